//! Random histories of warnings, listings and restarts: each interrupted instance counts once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use exporter_common::durable::Commit as _;
use proptest::prelude::*;
use spot_interruption_exporter::OpenError;
use spot_interruption_exporter::attribution::{Attribution, Outcome};
use spot_interruption_exporter::durable::store::{self, Batch, Opened, Store};
use spot_interruption_exporter::event::{Entry, Event, InterruptionReason, Reasons};
use spot_interruption_exporter::instance::{Instance, InstanceId, InstanceRef};
use spot_interruption_exporter::interruptions::RecentChanges;
use spot_interruption_exporter::inventory::{Moment, Unseen};
use spot_interruption_exporter::ledger::Ledger;
use tempfile::TempDir;

use super::counting::{ACCOUNT, GRACE, REGION, scope, settings};

const INSTANCES: u64 = 4;

#[derive(Debug, Clone)]
enum Step {
    /// Delivers a warning of an instance, each time with another message id.
    Warn(u64),
    /// Delivers the last warning again.
    Redeliver,
    /// EC2 takes an instance back.
    End(u64),
    List,
    Advance(u64),
    /// Ends the process. Messages without an effect are delivered again.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..=INSTANCES).prop_map(Step::Warn),
        2 => Just(Step::Redeliver),
        3 => (1..=INSTANCES).prop_map(Step::End),
        4 => Just(Step::List),
        // In total less than an hour, the time for which EC2 lists an ended instance.
        3 => (1_u64..90).prop_map(Step::Advance),
        1 => Just(Step::Restart),
    ]
}

struct Exporter {
    attribution: Attribution<usize>,
    store: Store,
    warning: InterruptionReason,
    unannounced: InterruptionReason,
}

/// The exporter, the messages in the queue, and the instances.
struct World {
    directory: TempDir,
    exporter: Option<Exporter>,
    now: Instant,
    /// Message id and instance of each message. The index is its token.
    messages: Vec<(String, u64)>,
    undeleted: BTreeSet<usize>,
    ended: BTreeSet<u64>,
    reported: BTreeSet<u64>,
    counted: u64,
    unattributed: u64,
}

/// The token of an ended instance in a listing.
const LISTED: usize = usize::MAX;

fn open(directory: &Path, now: Instant) -> Exporter {
    let mut reasons = Reasons::default();
    let [warning, unannounced] = ["interruption_warning", "unannounced"].map(|label| reasons.labelled(label));
    let Opened { store, mut attribution, .. } = loop {
        match store::open(directory, &settings(), &mut reasons, now) {
            // A process that another test starts has a copy of the lock until it runs its program.
            Err(OpenError::InUse(_)) => std::thread::sleep(Duration::from_millis(1)),
            opened => break opened.unwrap(),
        }
    };
    attribution.watch_operations();
    Exporter { attribution, store, warning, unannounced }
}

fn reference(number: u64) -> InstanceRef<'static> {
    InstanceRef {
        id: InstanceId::new(number),
        project: Some(ACCOUNT.into()),
        zone: Some(REGION.into()),
        name: Some(format!("i-{number:017x}").into()),
    }
}

fn entry(number: u64, reason: InterruptionReason) -> Entry<'static> {
    let event = Event::Interruption { instance: reference(number), reason };
    Entry { insert_id: None, operation_id: Some("interruption".into()), timestamp: None, event }
}

impl World {
    fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let directory = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let (directory, now) = (directory.unwrap(), Instant::now());
        let exporter = Some(open(directory.path(), now));
        let mut world = Self {
            directory,
            exporter,
            now,
            messages: Vec::new(),
            undeleted: BTreeSet::new(),
            ended: BTreeSet::new(),
            reported: BTreeSet::new(),
            counted: 0,
            unattributed: 0,
        };
        world.list();
        world
    }

    fn exporter(&mut self) -> &mut Exporter {
        self.exporter.as_mut().unwrap()
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Warn(number) => {
                self.reported.insert(*number);
                self.messages.push((format!("message-{}", self.messages.len()), *number));
                self.deliver(self.messages.len() - 1);
            }
            Step::Redeliver => {
                if let Some(last) = self.messages.len().checked_sub(1) {
                    self.deliver(last);
                }
            }
            Step::End(number) => {
                self.ended.insert(*number);
            }
            Step::List => self.list(),
            Step::Advance(seconds) => {
                self.now += Duration::from_secs(*seconds);
                let now = self.now;
                self.exporter().attribution.tick(now);
                self.commit();
            }
            Step::Restart => {
                self.exporter = None;
                self.exporter = Some(open(self.directory.path(), self.now));
                for token in self.undeleted.clone() {
                    self.deliver(token);
                }
            }
        }
    }

    fn deliver(&mut self, token: usize) {
        self.undeleted.insert(token);
        let (id, number) = self.messages[token].clone();
        let now = self.now;
        let exporter = self.exporter();
        let entry = entry(number, exporter.warning);
        exporter.attribution.message(&id, Ok(entry), token, now);
        self.commit();
    }

    fn list(&mut self) {
        let (now, ended) = (self.now, self.ended.clone());
        self.reported.extend(&ended);
        let exporter = self.exporter();
        let moment = Moment { instant: now, timestamp: jiff::Timestamp::now() };
        exporter.attribution.begin_listing(&scope(), moment);
        for number in 1..=INSTANCES {
            let instance = Instance {
                instance: InstanceRef { zone: Some("eu-central-1b".into()), ..reference(number) },
                cluster: Some("prod".into()),
                location: Some(REGION.into()),
                spot: true,
                running: !ended.contains(&number),
                ..Instance::default()
            };
            exporter.attribution.list(&scope(), &instance, now);
            if ended.contains(&number) {
                let entry = entry(number, exporter.unannounced);
                exporter.attribution.operation(entry, true, LISTED, now);
            }
        }
        exporter.attribution.finish_listing(&scope(), &Unseen::default(), now);
        exporter.attribution.operations_received(now);
        self.commit();
    }

    /// Commits what is decided, and deletes the messages.
    fn commit(&mut self) {
        let now = self.now;
        let mut ledger = Ledger::default();
        let mut deleted = Vec::new();
        let Exporter { attribution, store, .. } = self.exporter.as_mut().unwrap();
        while let Some(resolved) = attribution.poll_resolved() {
            match resolved.outcome {
                Outcome::Counted(_) => self.counted += 1,
                Outcome::Unattributed { .. } => self.unattributed += 1,
                _ => {}
            }
            let queue = spot_interruption_exporter::source::Queue::Listed;
            ledger.record(queue, &resolved.outcome, jiff::Timestamp::now());
            deleted.push(resolved.token);
        }
        let decided = attribution.decided(now);
        let changes = attribution.take_changes(now);
        let batch =
            Batch { ledger, changes, cursors: BTreeMap::new(), recent: RecentChanges::default(), now };
        store.commit(&batch).unwrap();
        attribution.mark_safe(decided, now);
        for token in deleted {
            self.undeleted.remove(&token);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn counts_each_interrupted_instance_once(steps in prop::collection::vec(step(), 1..40)) {
        let mut world = World::new();
        for step in &steps {
            world.apply(step);
        }
        // The last listing, the end of all graces, and a restart with all messages.
        for step in [Step::List, Step::Advance(GRACE.as_secs()), Step::Restart, Step::List, Step::Advance(GRACE.as_secs())] {
            world.apply(&step);
        }
        prop_assert!(world.undeleted.is_empty(), "{:?}", world.undeleted);
        prop_assert_eq!(world.unattributed, 0);
        prop_assert_eq!(world.counted, world.reported.len() as u64, "{:?}", steps);
    }
}
