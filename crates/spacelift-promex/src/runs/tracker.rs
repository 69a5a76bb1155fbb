//! The state machine: deliveries in, counts out.
//!
//! It has no IO and no clock. What a run adds to the counts is decided once, when its first terminal delivery comes,
//! from that delivery: so that runs, durations and changes do not depend on which others came, how often and in which
//! order. Only the times in each state need the deliveries before it, or the policy payload.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::active::ActiveRuns;
use super::counts::{Counter, Counts, Distribution};
use super::labels::{RunLabels, pool_label};
use super::names::{LabelBounds, OTHER};
use super::record::{Changes, Record};
use super::run::Run;
use super::stack::{LastRun, Stacks};
use super::update::{FINISHED, PUBLIC, RunUpdate, Timestamp, created_by_id, is_terminal};
use super::window::{Window, hash};

/// How long a run that ended is known, so that a late delivery of it has no effect, and how many are.
const ENDED_WINDOW: Duration = Duration::from_secs(7 * 24 * 3_600);
const MAX_ENDED: usize = 1_000_000;

/// How many of them are known to have been lost, or to be counted with their policy payload.
const MAX_NOTES: usize = 200_000;

/// How long each delivery of a run that ended is known, which only tells duplicates from late ones.
const DELIVERY_WINDOW: Duration = Duration::from_secs(3_600);
const MAX_DELIVERIES: usize = 100_000;

/// The final state of a run of which nothing was heard for too long.
const LOST: &str = "lost";
/// The type of a run whose deliveries do not say.
const UNKNOWN: &str = "UNKNOWN";
/// The bounds that options set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Stacks that have series of their own.
    pub max_stacks: usize,
    /// How long a stack of which nothing is heard keeps its series.
    pub stack_ttl: Duration,
    /// How long a run of which nothing is heard is taken to run.
    pub max_age: Duration,
}

/// A moment by both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// By the clock on the wall.
    pub timestamp: Timestamp,
    /// By the one that never goes back.
    pub instant: Instant,
}

/// Whether a delivery was news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Novelty {
    /// It was.
    New,
    /// It was here before.
    Duplicate,
}

/// What is known of runs and stacks.
#[derive(Debug)]
pub struct Tracker {
    settings: Settings,
    active: ActiveRuns,
    /// Runs that ended.
    ended: Window,
    /// Those of them of which more is known: that they were lost, or that their policy payload is counted.
    notes: Window,
    /// Deliveries of runs that ended.
    deliveries: Window,
    stacks: Stacks,
    bounds: LabelBounds,
}

/// What the runs that have not ended are doing.
#[derive(Debug, Default)]
pub struct ActiveView {
    /// How many, by state, type and worker pool.
    pub runs: BTreeMap<[String; 3], u64>,
    /// Since when the oldest has been in its state, by stack and state.
    pub oldest: BTreeMap<[String; 2], Timestamp>,
}

impl Tracker {
    /// A tracker that knows what was written down.
    #[must_use]
    pub fn new(settings: Settings, record: Record) -> Self {
        let Record { runs, stacks, ended, notes, deliveries } = record;
        Self {
            settings,
            active: ActiveRuns::restore(runs),
            ended: Window::new(ENDED_WINDOW, MAX_ENDED).restore(ended),
            notes: Window::new(ENDED_WINDOW, MAX_NOTES).restore(notes),
            deliveries: Window::new(DELIVERY_WINDOW, MAX_DELIVERIES).restore(deliveries),
            stacks: Stacks::new(stacks, settings.max_stacks, settings.stack_ttl),
            bounds: LabelBounds::default(),
        }
    }

    /// Takes the label values of counts that are shown already for known.
    #[must_use]
    pub fn with_labels_of(mut self, counts: &Counts) -> Self {
        self.bounds.admit(counts);
        self
    }

    /// A run has entered a state. What follows is added to `counts`.
    pub fn apply(&mut self, update: &RunUpdate, now: Moment, counts: &mut Counts) -> Novelty {
        let stack = self.stacks.heard(&update.stack, update.space.as_deref(), now.timestamp);
        if stack == OTHER {
            counts.increase(Counter::StackLimitExceeded, [], 1.0);
        }
        let at = update.at.unwrap_or(now.timestamp);
        if self.ended.contains(ended_id(&update.run)) {
            return self.apply_late(update, stack, now, counts);
        }
        let mut run = self.active.take(&update.run).unwrap_or_else(|| Run::new(stack, now.timestamp));
        run.heard = run.heard.max(now.timestamp);
        if is_terminal(&update.state) {
            self.end(update, &run, at, now, counts);
            return Novelty::New;
        }
        learn(&mut run, update);
        let is_new = run.enter(update.version, &update.state, at);
        if run.run_type.is_some() {
            self.run_labels(update, &run).touch(counts);
        }
        self.active.put(&update.run, run);
        while let Some((id, run)) = self.active.take_lost(Timestamp(0)) {
            self.lose(&id, &run, now, counts);
        }
        if is_new { Novelty::New } else { Novelty::Duplicate }
    }

    /// Counts a run that ends.
    fn end(&mut self, update: &RunUpdate, run: &Run, at: Timestamp, now: Moment, counts: &mut Counts) {
        let final_state = self.bounds.states.bounded(&update.state).to_owned();
        let labels = self.run_labels(update, run);
        labels.touch(counts);
        labels.ended(&final_state, counts);
        // What this delivery itself says comes before what others said, which may be lost; the id says it too.
        let created = update.created.or_else(|| created_by_id(&update.run)).or(run.created);
        if let Some(created) = created {
            let seconds = at.seconds_since(created);
            let RunLabels { space, stack, run_type, .. } = &labels;
            counts.observe(Distribution::RunDuration, [space, run_type, &final_state], seconds);
            counts.increase(Counter::StackSeconds, [stack, run_type], seconds);
        }
        self.count_phases(update, run, at, &labels, counts);
        if let Some(changes) = update.changes.filter(|_| update.state == FINISHED) {
            labels.changed(&changes, counts);
        }
        self.count_policies(update, &labels.space, counts);
        if update.is_policy_payload() {
            self.notes.insert(policy_id(&update.run), now.instant);
        }
        self.ended.insert(ended_id(&update.run), now.instant);
        for (version, state) in run.deliveries().chain([(update.version, &*update.state)]) {
            self.deliveries.insert(delivery_id(&update.run, version, state), now.instant);
        }
        self.note_last_run(update, &labels, at);
    }

    fn note_last_run(&mut self, update: &RunUpdate, labels: &RunLabels, ended: Timestamp) {
        let final_state = self.bounds.states.bounded(&update.state).into();
        let last = LastRun { ended, run: update.run.as_str().into(), final_state };
        self.stacks.ended(&labels.stack, &labels.run_type, last);
    }

    fn count_phases(
        &mut self,
        update: &RunUpdate,
        run: &Run,
        end: Timestamp,
        labels: &RunLabels,
        counts: &mut Counts,
    ) {
        let mut phases: BTreeMap<&str, f64> = BTreeMap::new();
        for timing in &update.timing {
            *phases.entry(&timing.state).or_default() += timing.nanoseconds as f64 / 1e9;
        }
        if phases.is_empty() {
            phases = run.phases(end);
        }
        for (phase, seconds) in phases.into_iter().filter(|(state, _)| !is_terminal(state)) {
            let phase = self.bounds.states.bounded(phase);
            counts.observe(Distribution::RunPhase, [phase, &labels.run_type, &labels.worker_pool], seconds);
        }
    }

    fn count_policies(&mut self, update: &RunUpdate, space: &str, counts: &mut Counts) {
        for receipt in &update.policies {
            let policy_type = self.bounds.policy_types.bounded(&receipt.policy_type);
            let outcome = self.bounds.policy_outcomes.bounded(&receipt.outcome);
            counts.increase(Counter::PolicyEvaluations, [space, policy_type, outcome], 1.0);
        }
    }

    /// A delivery of a run that has ended: a duplicate, a late one, or the other payload of its end, of which only what
    /// the first one did not have is counted.
    fn apply_late(&mut self, update: &RunUpdate, stack: &str, now: Moment, counts: &mut Counts) -> Novelty {
        let is_end = is_terminal(&update.state);
        if is_end
            && self.notes.contains(lost_id(&update.run))
            && self.notes.insert(found_id(&update.run), now.instant)
        {
            // It was counted as lost, and is the last run of its stack all the same.
            let labels = self.run_labels(update, &Run::new(stack, now.timestamp));
            self.note_last_run(update, &labels, update.at.unwrap_or(now.timestamp));
            return Novelty::New;
        }
        if is_end && update.is_policy_payload() && self.notes.insert(policy_id(&update.run), now.instant) {
            let labels = self.run_labels(update, &Run::new(stack, now.timestamp));
            self.count_policies(update, &labels.space, counts);
            let replaced = update.changes.and_then(|changes| changes.replaced);
            if let Some(replaced) = replaced.filter(|_| update.state == FINISHED) {
                labels.changed_by("replaced", replaced, counts);
            }
            return Novelty::New;
        }
        let id = delivery_id(&update.run, update.version, &update.state);
        if self.deliveries.insert(id, now.instant) && !is_end { Novelty::New } else { Novelty::Duplicate }
    }

    fn run_labels(&mut self, update: &RunUpdate, run: &Run) -> RunLabels {
        let space =
            update.space.as_deref().or(run.space.as_deref()).or_else(|| self.stacks.space(&run.stack));
        let run_type = update.run_type.as_deref().or(run.run_type.as_deref());
        let pool = update.worker_pool.as_ref().map(pool_label).or(run.worker_pool.as_deref());
        let drift_detection = update.drift_detection.or(run.drift_detection).unwrap_or_default();
        RunLabels {
            space: space.map(|space| self.bounds.spaces.bounded(space)).unwrap_or_default().to_owned(),
            stack: run.stack.to_string(),
            run_type: self.bounds.run_types.bounded(run_type.unwrap_or(UNKNOWN)).to_owned(),
            drift_detection,
            worker_pool: self.bounds.worker_pools.bounded(pool.unwrap_or(PUBLIC)).to_owned(),
        }
    }

    /// Something failed inside Spacelift.
    pub fn internal_error(&mut self, severity: &str, counts: &mut Counts) {
        counts.increase(Counter::InternalErrors, [self.bounds.severities.bounded(severity)], 1.0);
    }

    /// Lets go of what is too old: runs, stacks and the ids of what has ended. Returns the stacks that are gone.
    pub fn expire(&mut self, now: Moment, counts: &mut Counts) -> Vec<Box<str>> {
        let oldest = now.timestamp.0.saturating_sub(microseconds(self.settings.max_age));
        while let Some((id, run)) = self.active.take_lost(Timestamp(oldest)) {
            self.lose(&id, &run, now, counts);
        }
        self.ended.expire(now.instant);
        self.notes.expire(now.instant);
        self.deliveries.expire(now.instant);
        let active = self.active.runs().map(|run| &*run.stack);
        let gone = self.stacks.expire(now.timestamp, || active.collect());
        counts.forget_stacks(&gone);
        gone
    }

    /// Counts a run of which nothing was heard for too long.
    fn lose(&mut self, id: &str, run: &Run, now: Moment, counts: &mut Counts) {
        self.run_labels(&RunUpdate::default(), run).ended(LOST, counts);
        self.ended.insert(ended_id(id), now.instant);
        self.notes.insert(lost_id(id), now.instant);
    }

    /// What the runs that have not ended are doing.
    #[must_use]
    pub fn active(&mut self) -> ActiveView {
        let mut view = ActiveView::default();
        for run in self.active.runs() {
            let Some((state, since)) = run.current() else { continue };
            let state = self.bounds.states.bounded(state);
            let run_type = self.bounds.run_types.bounded(run.run_type.as_deref().unwrap_or(UNKNOWN));
            let pool = self.bounds.worker_pools.bounded(run.worker_pool.as_deref().unwrap_or(PUBLIC));
            *view.runs.entry([state, run_type, pool].map(str::to_owned)).or_default() += 1;
            let oldest = view.oldest.entry([&*run.stack, state].map(str::to_owned)).or_insert(since);
            *oldest = since.min(*oldest);
        }
        view
    }

    /// Stack, type of run and the last run of that type.
    pub fn last_runs(&self) -> impl Iterator<Item = (&str, &str, &LastRun)> {
        self.stacks.last_runs()
    }

    /// What has become different since the last time that this was asked.
    pub fn take_changes(&mut self, now: Instant) -> Changes {
        Changes {
            runs: self.active.take_changes(),
            stacks: self.stacks.take_changes(),
            ended: self.ended.take_changes(now),
            notes: self.notes.take_changes(now),
            deliveries: self.deliveries.take_changes(now),
        }
    }
}

/// Keeps what a delivery says of its run.
fn learn(run: &mut Run, update: &RunUpdate) {
    let keep = |known: &mut Option<Box<str>>, said: Option<&str>| {
        if let Some(said) = said {
            *known = Some(said.into());
        }
    };
    keep(&mut run.space, update.space.as_deref());
    keep(&mut run.run_type, update.run_type.as_deref());
    keep(&mut run.worker_pool, update.worker_pool.as_ref().map(pool_label));
    run.drift_detection = update.drift_detection.or(run.drift_detection);
    run.created = update.created.or(run.created);
}

fn ended_id(run: &str) -> u64 {
    hash(&("ended", run))
}

fn lost_id(run: &str) -> u64 {
    hash(&("lost", run))
}

fn found_id(run: &str) -> u64 {
    hash(&("found", run))
}

fn policy_id(run: &str) -> u64 {
    hash(&("policy", run))
}

fn delivery_id(run: &str, version: Option<u64>, state: &str) -> u64 {
    hash(&(run, version, state))
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
