//! The tracker: counts do not depend on the order, repetition and loss of deliveries.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use exporter_common::timeline::{Entry, Timeline};
use proptest::prelude::*;
use spacelift_promex::runs::{
    Counter, Counts, DedupStatus, Distribution, Labels, Moment, PolicyReceipt, ResourceChanges, Run,
    RunLimits, RunUpdate, Stack, Timestamp, Timing, Tracker, TrackerChanges, TrackerRecord, WorkerPool,
};

const SECOND: u64 = 1_000_000;
const CREATED: u64 = 1_757_500_000 * SECOND;

const LIMITS: RunLimits = RunLimits {
    max_stacks: 100,
    stack_ttl: Duration::from_secs(30 * 24 * 3_600),
    max_age: Duration::from_secs(7 * 24 * 3_600),
};

const STATES: [&str; 9] = [
    "QUEUED",
    "READY",
    "PREPARING",
    "INITIALIZING",
    "PLANNING",
    "UNCONFIRMED",
    "REPLAN_REQUESTED",
    "CONFIRMED",
    "APPLYING",
];
const ENDS: [&str; 6] = ["CANCELED", "FAILED", "FINISHED", "DISCARDED", "STOPPED", "SKIPPED"];

/// The states of a run in order, each with the seconds before it, and its final state.
#[derive(Debug, Clone)]
struct History {
    stack: usize,
    states: Vec<(usize, u64)>,
    end: usize,
    drift_detection: bool,
    added: u64,
}

impl History {
    fn updates(&self, number: usize) -> Vec<RunUpdate> {
        let mut at = CREATED + number as u64 * SECOND;
        let base = RunUpdate {
            run: format!("run-{number}"),
            stack: ["network", "cluster", "apps"][self.stack].to_owned(),
            created: Some(Timestamp(at)),
            run_type: Some(["TRACKED", "PROPOSED"][self.stack % 2].to_owned()),
            drift_detection: Some(self.drift_detection),
            worker_pool: (self.stack > 0).then(|| WorkerPool::Private("blue".to_owned())),
            changes: Some(ResourceChanges { added: self.added, ..ResourceChanges::default() }),
            ..RunUpdate::default()
        };
        let states = self.states.iter().map(|(state, seconds)| (STATES[*state], *seconds));
        let steps = states.chain([(ENDS[self.end], 7)]).enumerate();
        let updates = steps.map(|(version, (state, seconds))| {
            at += seconds * SECOND;
            let version = Some(version as u64);
            RunUpdate { state: state.to_owned(), version, at: Some(Timestamp(at)), ..base.clone() }
        });
        updates.collect()
    }
}

fn history() -> impl Strategy<Value = History> {
    let states = prop::collection::vec((0..STATES.len(), 0..500_u64), 0..8);
    (0..3_usize, states, 0..ENDS.len(), any::<bool>(), 0..5_u64).prop_map(
        |(stack, states, end, drift_detection, added)| History { stack, states, end, drift_detection, added },
    )
}

/// The deliveries of some runs as sent, and as received: each up to three times, in any order. The end of each run is
/// received at least once.
fn deliveries() -> impl Strategy<Value = (Vec<RunUpdate>, Vec<RunUpdate>)> {
    prop::collection::vec(history(), 1..6).prop_flat_map(|histories| {
        let sent: Vec<RunUpdate> =
            histories.iter().enumerate().flat_map(|(number, history)| history.updates(number)).collect();
        let copies = prop::collection::vec(0..4_usize, sent.len());
        (Just(sent), copies).prop_flat_map(|(sent, copies)| {
            let arrived: Vec<RunUpdate> = sent
                .iter()
                .zip(copies)
                .flat_map(|(update, copies)| {
                    let least = usize::from(ENDS.contains(&update.state.as_str()));
                    std::iter::repeat_n(update.clone(), copies.max(least))
                })
                .collect();
            (Just(sent), Just(arrived).prop_shuffle())
        })
    })
}

fn moment() -> Moment {
    Moment { timestamp: Timestamp(CREATED + 86_400 * SECOND), instant: Instant::now() }
}

fn tracker() -> Tracker {
    Tracker::new(LIMITS, TrackerRecord::default())
}

fn count<'a>(updates: impl IntoIterator<Item = &'a RunUpdate>) -> (Tracker, Counts) {
    let (mut tracker, mut counts) = (tracker(), Counts::default());
    for update in updates {
        tracker.apply(update, moment(), &mut counts);
    }
    (tracker, counts)
}

/// Removes the histogram of phases.
fn without_phases(mut counts: Counts) -> Counts {
    counts.histograms.retain(|(distribution, _), _| *distribution != Distribution::RunPhase);
    counts
}

fn last_runs(tracker: &Tracker) -> Vec<String> {
    tracker.last_runs().map(|last| format!("{last:?}")).collect()
}

fn value(counts: &Counts, counter: Counter, labels: &[&str]) -> Option<f64> {
    let labels: Labels = labels.iter().map(|label| Box::from(*label)).collect();
    counts.counters.get(&(counter, labels)).copied()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn counts_do_not_depend_on_order_repetition_or_loss((sent, arrived) in deliveries()) {
        let (in_order, expected) = count(&sent);
        let (shuffled, found) = count(&arrived);
        prop_assert_eq!(without_phases(found), without_phases(expected));
        prop_assert_eq!(last_runs(&shuffled), last_runs(&in_order));
    }

    #[test]
    fn phases_do_not_depend_on_order_before_the_end((sent, arrived) in deliveries()) {
        // All deliveries are received, and the ends last.
        let is_end = |update: &&RunUpdate| ENDS.contains(&update.state.as_str());
        let (ends, mut states): (Vec<&RunUpdate>, Vec<&RunUpdate>) = arrived.iter().partition(is_end);
        states.extend(sent.iter().filter(|update| !is_end(update)));
        let (_, found) = count(states.into_iter().chain(ends));
        prop_assert_eq!(found, count(&sent).1);
    }

    #[test]
    fn a_restart_does_not_change_the_counts((_, arrived) in deliveries(), at in any::<prop::sample::Index>()) {
        let (before, after) = arrived.split_at(at.index(arrived.len()));
        let mut storage = Storage::default();
        let mut counts = Counts::default();
        let mut statuses = Vec::new();
        for half in [before, after] {
            let mut tracker = Tracker::new(LIMITS, storage.record());
            for update in half {
                statuses.push(tracker.apply(update, moment(), &mut counts));
                storage.write(tracker.take_changes(Instant::now()));
            }
        }
        let mut tracker = tracker();
        let mut expected = Counts::default();
        let expected_statuses: Vec<DedupStatus> =
            arrived.iter().map(|update| tracker.apply(update, moment(), &mut expected)).collect();
        prop_assert_eq!(counts, expected);
        prop_assert_eq!(statuses, expected_statuses);
    }
}

/// The stored state, in memory.
#[derive(Default)]
struct Storage {
    runs: BTreeMap<Box<str>, Run>,
    stacks: BTreeMap<Box<str>, Stack>,
    timelines: [BTreeMap<u64, Entry<u64>>; 3],
}

impl Storage {
    fn write(&mut self, changes: TrackerChanges) {
        for (id, run) in changes.runs {
            match run {
                Some(run) => drop(self.runs.insert((*id).into(), run)),
                None => drop(self.runs.remove(&*id)),
            }
        }
        for (id, stack) in changes.stacks {
            match stack {
                Some(stack) => drop(self.stacks.insert(id, stack)),
                None => drop(self.stacks.remove(&id)),
            }
        }
        for (timeline, changes) in
            self.timelines.iter_mut().zip([changes.ended, changes.flags, changes.deliveries])
        {
            timeline.retain(|number, _| !changes.expired.contains(number));
            timeline.extend((changes.next..).zip(changes.added));
        }
    }

    fn record(&self) -> TrackerRecord {
        let [ended, flags, deliveries] = self.timelines.each_ref().map(|timeline| {
            let first = timeline.keys().next().copied().unwrap_or_default();
            Timeline::restore(first, timeline.values().copied().collect())
        });
        let runs = self.runs.clone().into_iter().collect();
        TrackerRecord { runs, stacks: self.stacks.clone(), ended, flags, deliveries }
    }
}

#[test]
fn a_second_payload_adds_only_its_own_fields() {
    let history =
        History { stack: 0, states: vec![(0, 0), (4, 10)], end: 2, drift_detection: false, added: 2 };
    let default = history.updates(0);
    let end = default.last().unwrap();
    let policy = RunUpdate {
        version: None,
        space: Some("infra".to_owned()),
        changes: Some(ResourceChanges { added: 2, replaced: Some(3), ..ResourceChanges::default() }),
        timing: vec![
            Timing { state: "QUEUED".to_owned(), nanoseconds: 10_000_000_000 },
            Timing { state: "PLANNING".to_owned(), nanoseconds: 4_000_000_000 },
            Timing { state: "PLANNING".to_owned(), nanoseconds: 3_000_000_000 },
        ],
        policies: vec![PolicyReceipt { policy_type: "PLAN".to_owned(), outcome: "allow".to_owned() }; 2],
        ..end.clone()
    };
    let (_, late) = count(default.iter().chain([&policy, &policy]));
    assert_eq!(value(&late, Counter::PolicyEvaluations, &["infra", "PLAN", "allow"]), Some(2.0));
    assert_eq!(
        value(&late, Counter::ResourceChanges, &["infra", "network", "TRACKED", "replaced"]),
        Some(3.0)
    );
    assert_eq!(value(&late, Counter::ResourceChanges, &["", "network", "TRACKED", "added"]), Some(2.0));

    let (_, first) = count([&policy].into_iter().chain(&default));
    let labels = ["infra", "network", "TRACKED", "FINISHED", "false", "public"];
    assert_eq!(value(&first, Counter::Runs, &labels), Some(1.0));
    assert_eq!(value(&first, Counter::ResourceChanges, &["infra", "network", "TRACKED", "added"]), Some(2.0));
    // The phases of the policy payload's timing equal those of the deliveries.
    let phases = |counts: &Counts| {
        let mut phases = counts.clone();
        phases.histograms.retain(|(distribution, _), _| *distribution == Distribution::RunPhase);
        phases.histograms
    };
    assert_eq!(phases(&first), phases(&late));
}

#[test]
fn groups_stacks_beyond_the_limit() {
    let mut tracker = Tracker::new(RunLimits { max_stacks: 2, ..LIMITS }, TrackerRecord::default());
    let mut counts = Counts::default();
    let history = History { stack: 0, states: vec![], end: 2, drift_detection: false, added: 0 };
    for number in 0..5 {
        let mut update = history.updates(number).remove(0);
        update.stack = format!("stack-{number}");
        tracker.apply(&update, moment(), &mut counts);
    }
    let runs = |stack| value(&counts, Counter::Runs, &["", stack, "TRACKED", "FINISHED", "false", "public"]);
    assert_eq!(
        [runs("stack-0"), runs("stack-1"), runs("stack-2"), runs("_other")],
        [Some(1.0), Some(1.0), None, Some(3.0)]
    );
    assert_eq!(value(&counts, Counter::StackLimitExceeded, &[]), Some(3.0));
    assert_eq!(tracker.last_runs().count(), 2);
}

#[test]
fn removes_silent_runs_and_stacks() {
    let (mut tracker, mut counts) = (tracker(), Counts::default());
    let history = History { stack: 0, states: vec![(0, 0)], end: 2, drift_detection: false, added: 1 };
    let updates = history.updates(0);
    tracker.apply(&updates[0], moment(), &mut counts);
    let after = |days: u64| Moment {
        timestamp: Timestamp(moment().timestamp.0 + days * 86_400 * SECOND + 1),
        instant: moment().instant,
    };
    assert!(tracker.expire(after(6), &mut counts).is_empty());
    assert_eq!(tracker.active().runs.len(), 1);
    tracker.expire(after(7), &mut counts);
    let labels = ["", "network", "TRACKED", "lost", "false", "public"];
    assert_eq!((tracker.active().runs.len(), value(&counts, Counter::Runs, &labels)), (0, Some(1.0)));
    // The end of a lost run is not counted again, but it is the last run of its stack.
    assert_eq!(tracker.apply(&updates[1], after(7), &mut counts), DedupStatus::New);
    assert_eq!(tracker.apply(&updates[1], after(7), &mut counts), DedupStatus::Duplicate);
    assert_eq!(tracker.last_runs().count(), 1);
    assert_eq!(
        value(&counts, Counter::Runs, &["", "network", "TRACKED", "FINISHED", "false", "public"]),
        Some(0.0)
    );
    assert_eq!(tracker.expire(after(37), &mut counts).len(), 0);
    assert_eq!(tracker.expire(after(38), &mut counts).len(), 1);
    assert!(counts.counters.keys().all(|(_, labels)| !labels.contains(&"network".into())));
}

#[test]
fn unknown_names_do_not_replace_known_names() {
    let (mut tracker, mut counts) = (tracker(), Counts::default());
    let history = History { stack: 0, states: vec![(0, 0)], end: 2, drift_detection: false, added: 0 };
    for number in 1..1_000 {
        let mut update = history.updates(number).remove(0);
        update.state = format!("STATE_{number}");
        update.run_type = Some(format!("TYPE_{number}"));
        tracker.apply(&update, moment(), &mut counts);
    }
    assert!(tracker.active().runs.len() < 200);
    tracker.apply(&history.updates(0)[1], moment(), &mut counts);
    let labels = ["", "network", "TRACKED", "FINISHED", "false", "public"];
    assert_eq!(value(&counts, Counter::Runs, &labels), Some(1.0));
    // A restart does not reset the limit.
    let mut restarted = Tracker::new(LIMITS, TrackerRecord::default()).with_labels_of(&counts);
    let mut update = history.updates(1_000).remove(0);
    update.run_type = Some("TYPE_1000".to_owned());
    restarted.apply(&update, moment(), &mut counts);
    assert!(counts.counters.keys().all(|(_, labels)| !labels.contains(&"TYPE_1000".into())));
}

#[test]
fn keeps_a_stack_with_an_active_run() {
    let settings = RunLimits { stack_ttl: Duration::from_secs(60), ..LIMITS };
    let (mut tracker, mut counts) = (Tracker::new(settings, TrackerRecord::default()), Counts::default());
    let history = History { stack: 0, states: vec![(0, 0)], end: 2, drift_detection: false, added: 0 };
    let updates = history.updates(0);
    tracker.apply(&updates[0], moment(), &mut counts);
    let later = Moment { timestamp: Timestamp(moment().timestamp.0 + 3_600 * SECOND), ..moment() };
    assert!(tracker.expire(later, &mut counts).is_empty());
    tracker.apply(&updates[1], moment(), &mut counts);
    assert_eq!(tracker.expire(later, &mut counts).len(), 1);
    assert!(counts.counters.keys().all(|(_, labels)| !labels.contains(&"network".into())));
}

#[test]
fn counts_the_oldest_run_as_lost_beyond_50_000_active_runs() {
    let (mut tracker, mut counts) = (tracker(), Counts::default());
    let history = History { stack: 0, states: vec![(0, 0)], end: 2, drift_detection: false, added: 0 };
    let update = history.updates(0).remove(0);
    let start = moment();
    for number in 0..=50_000 {
        let update = RunUpdate { run: format!("run-{number}"), ..update.clone() };
        let received = Moment { timestamp: Timestamp(start.timestamp.0 + number), ..start };
        assert_eq!(tracker.apply(&update, received, &mut counts), DedupStatus::New);
    }
    assert_eq!(tracker.active().runs.values().sum::<u64>(), 50_000);
    let runs = |counts: &Counts, final_state| {
        value(counts, Counter::Runs, &["", "network", "TRACKED", final_state, "false", "public"])
    };
    assert_eq!(runs(&counts, "lost"), Some(1.0));
    // The lost run is the first one: its end is not counted again, unlike that of the second one.
    for (number, finished) in [(0, 0.0), (1, 1.0)] {
        let end = RunUpdate { run: format!("run-{number}"), ..history.updates(0).remove(1) };
        tracker.apply(&end, start, &mut counts);
        assert_eq!(runs(&counts, "FINISHED"), Some(finished), "run-{number}");
    }
}
