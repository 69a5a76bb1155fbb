//! A fixture for attribution tests: the state machine with a manual clock, one zone, and clusters and instances with
//! short names.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use spot_interruption_exporter::attribution::{
    Attribution, Counted, Lookup, OPERATION_LATENESS, Outcome, Settings,
};
use spot_interruption_exporter::event::{Entry, Event, FailedCreation, FailureReason, Invalid};
use spot_interruption_exporter::instance::{Instance, InstanceId, InstanceRef};
use spot_interruption_exporter::inventory::{Moment, Profile, Scope, Unseen};
use spot_interruption_exporter::ledger::Ledger;
use spot_interruption_exporter::provider::google::audit_log::InterruptionMethods;
use spot_interruption_exporter::source::Queue;

pub(crate) const ZONE: &str = "europe-west1-c";
pub(crate) const GRACE: Duration = Duration::from_secs(60);
pub(crate) const WINDOW: Duration = Duration::from_secs(600);
pub(crate) const TOMBSTONE: Duration = Duration::from_secs(300);

/// The scope of the configured project.
pub(crate) fn scope() -> Scope {
    Scope::project("mock-project")
}

/// The state machine with a manual clock. Tokens are numbered from 1.
pub(crate) struct Fixture {
    pub(crate) settings: Settings,
    pub(crate) attribution: Attribution<u32>,
    pub(crate) now: Instant,
    began: Instant,
    /// Outcomes that were resolved since the last commit.
    pub(crate) batch: Ledger,
    tokens: u32,
}

/// Resolved tokens with their outcome as text, such as `counted a` for an interruption counted for cluster `a`.
pub(crate) type Outcomes = Vec<(u32, String)>;

impl Fixture {
    /// Without instances and without a complete listing.
    pub(crate) fn without_listing() -> Self {
        Self::with_window(WINDOW)
    }

    pub(crate) fn with_window(dedup_window: Duration) -> Self {
        let settings = Settings {
            project: "mock-project".to_owned(),
            attribution_grace: GRACE,
            dedup_window,
            tombstone_ttl: TOMBSTONE,
            fixed_scopes: Vec::new(),
            lateness: OPERATION_LATENESS,
        };
        let now = Instant::now();
        Self {
            attribution: Attribution::new(settings.clone()),
            settings,
            now,
            began: now,
            batch: Ledger::default(),
            tokens: 0,
        }
    }

    /// After one complete listing without instances.
    pub(crate) fn new() -> Self {
        let mut fixture = Self::without_listing();
        fixture.list_all(&[]);
        fixture
    }

    /// Returns the number of tokens that were issued.
    pub(crate) fn tokens(&self) -> u32 {
        self.tokens
    }

    /// Advances the clock.
    pub(crate) fn advance(&mut self, time: Duration) -> Outcomes {
        self.now += time;
        self.commit();
        self.attribution.tick(self.now);
        self.resolved()
    }

    /// Marks all decided outcomes as committed.
    fn commit(&mut self) {
        let decided = self.attribution.decided(self.now);
        self.attribution.mark_safe(decided, self.now);
    }

    /// Returns the current time. The clock starts at `at(0)`.
    pub(crate) fn moment(&self) -> Moment {
        let passed = i64::try_from((self.now - self.began).as_secs()).unwrap();
        Moment { instant: self.now, timestamp: at(passed).unwrap() }
    }

    pub(crate) fn begin_listing(&mut self) {
        let moment = self.moment();
        self.attribution.begin_listing(&scope(), moment);
    }

    /// Finishes a complete listing. Returns the number of instances that were removed.
    pub(crate) fn finish_listing(&mut self) -> usize {
        self.attribution.finish_listing(&scope(), &Unseen::default(), self.now)
    }

    pub(crate) fn next_token(&mut self) -> u32 {
        self.tokens += 1;
        self.tokens
    }

    /// Delivers a message with the next token.
    pub(crate) fn deliver(&mut self, message_id: &str, entry: Entry<'_>) -> Outcomes {
        self.deliver_parsed(message_id, Ok(entry))
    }

    pub(crate) fn deliver_parsed(
        &mut self,
        message_id: &str,
        parsed: Result<Entry<'_>, Invalid>,
    ) -> Outcomes {
        self.tokens += 1;
        self.attribution.message(message_id, parsed, self.tokens, self.now);
        self.resolved()
    }

    /// Lists one instance, outside or within a listing that has begun.
    pub(crate) fn list_one(&mut self, instance: &Instance<'_>) -> Outcomes {
        self.attribution.list(&scope(), instance, self.now);
        self.resolved()
    }

    /// Makes a complete listing of exactly these instances. Returns the number of instances that were removed.
    pub(crate) fn list_all(&mut self, instances: &[Instance<'_>]) -> usize {
        self.begin_listing();
        for instance in instances {
            self.attribution.list(&scope(), instance, self.now);
        }
        self.finish_listing()
    }

    pub(crate) fn lookup(&mut self) -> Option<Lookup> {
        self.attribution.poll_lookup(self.now)
    }

    pub(crate) fn found(&mut self, lookup: &Lookup, instance: &Instance<'_>) -> Outcomes {
        self.attribution.found(lookup.id, instance, self.now);
        self.resolved()
    }

    pub(crate) fn resolved(&mut self) -> Outcomes {
        self.take_outcomes().into_iter().map(|(token, outcome)| (token, self.text_of(outcome))).collect()
    }

    pub(crate) fn take_outcomes(&mut self) -> Vec<(u32, Outcome)> {
        let resolved = std::iter::from_fn(|| self.attribution.poll_resolved());
        let outcomes: Vec<_> = resolved.map(|resolved| (resolved.token, resolved.outcome)).collect();
        self.commit();
        for (_, outcome) in &outcomes {
            self.batch.record(Queue::Interruptions, outcome, Timestamp::UNIX_EPOCH);
        }
        outcomes
    }

    fn text_of(&self, outcome: Outcome) -> String {
        match outcome {
            Outcome::Counted(counted) => format!("counted {}", self.profile(counted).cluster),
            Outcome::CreationFailed { profile, reason } => {
                let cluster = &self.attribution.inventory().profile(profile).cluster;
                format!("creation failed: {} in {cluster}", reason.label())
            }
            Outcome::Ignored(ignored) => format!("ignored {}", ignored.label()),
            Outcome::Invalid(invalid) => format!("invalid {}", invalid.label()),
            outcome => outcome.label().to_owned(),
        }
    }

    pub(crate) fn profile(&self, counted: Counted) -> &Profile {
        self.attribution.inventory().profile(counted.profile)
    }

    pub(crate) fn clusters(&self) -> Vec<&str> {
        self.attribution.inventory().clusters().iter().map(|cluster| &**cluster).collect()
    }

    pub(crate) fn spot_running(&self) -> u32 {
        self.attribution.inventory().spot_running().iter().sum()
    }

    pub(crate) fn known(&self) -> usize {
        self.attribution.inventory().len()
    }
}

/// A reference by id and name. An id of 0 means no id.
pub(crate) fn named(id: u64, name: &str) -> InstanceRef<'_> {
    InstanceRef {
        id: InstanceId::new(id),
        project: Some("mock-project".into()),
        zone: Some(ZONE.into()),
        name: Some(name.into()),
    }
}

/// A running spot node of a cluster.
pub(crate) fn node<'a>(id: u64, name: &'a str, cluster: &'a str) -> Instance<'a> {
    Instance {
        instance: named(id, name),
        cluster: Some(cluster.into()),
        spot: true,
        running: true,
        ..Instance::default()
    }
}

/// A running instance outside any cluster.
pub(crate) fn outside_cluster(id: u64, name: &str) -> Instance<'_> {
    Instance { instance: named(id, name), running: true, ..Instance::default() }
}

/// The last entry of a failed creation, without the request.
pub(crate) fn failure(instance: InstanceRef<'_>) -> Entry<'_> {
    entry(Event::CreationFailed(FailedCreation {
        instance: Instance { instance, ..Instance::default() },
        is_described: false,
        on_demand: false,
        had_begun: true,
        reason: FailureReason::Stockout,
    }))
}

/// The last entry of a failed creation of an on-demand instance, which is not counted.
pub(crate) fn failure_on_demand(instance: InstanceRef<'_>) -> Entry<'_> {
    entry(Event::CreationFailed(FailedCreation {
        instance: Instance { instance, ..Instance::default() },
        is_described: true,
        on_demand: true,
        had_begun: true,
        reason: FailureReason::Stockout,
    }))
}

/// A log entry without an `insertId`, as written by hand.
pub(crate) fn entry(event: Event<'_>) -> Entry<'_> {
    Entry { insert_id: None, operation_id: None, timestamp: None, event }
}

pub(crate) fn creation(instance: Instance<'_>) -> Entry<'_> {
    entry(Event::Creation(instance))
}

pub(crate) fn interruption(instance: InstanceRef<'_>) -> Entry<'_> {
    let reason = InterruptionMethods::default().reason("compute.instances.preempted").unwrap();
    entry(Event::Interruption { instance, reason })
}

/// The same entry with the ids that Cloud Logging adds.
pub(crate) fn logged<'a>(insert_id: &'a str, operation_id: &'a str, entry: Entry<'a>) -> Entry<'a> {
    Entry { insert_id: Some(insert_id.into()), operation_id: Some(operation_id.into()), ..entry }
}

pub(crate) fn at(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp::from_second(1_700_000_000 + seconds).unwrap())
}

pub(crate) fn outcomes(expected: &[(u32, &str)]) -> Outcomes {
    expected.iter().map(|(token, outcome)| (*token, (*outcome).to_owned())).collect()
}
