//! The state machine that turns deliveries into counts. It has no IO and no clock.
//!
//! A run is counted once, from its first delivery with a final state. Therefore the numbers of runs, their durations and
//! their resource changes do not depend on lost, repeated or reordered deliveries. Only the time in each state needs the
//! earlier deliveries, or the policy payload.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::active::ActiveRuns;
use super::counts::{Counter, Counts, Distribution};
use super::labels::{RunLabels, pool_label};
use super::names::{LabelBounds, OTHER};
use super::record::{TrackerChanges, TrackerRecord};
use super::run::Run;
use super::stack::{LastRun, Stacks};
use super::update::{FINISHED, PUBLIC, RunUpdate, Timestamp, creation_time_of_id, is_terminal};
use super::window::{DedupWindow, hash};

/// How long the id of an ended run is kept, to ignore its late deliveries, and for how many runs.
const ENDED_WINDOW: Duration = Duration::from_secs(7 * 24 * 3_600);
const MAX_ENDED: usize = 1_000_000;

/// Maximum number of flags of ended runs: lost, found after it was lost, policy payload counted.
const MAX_FLAGS: usize = 200_000;

/// How long the deliveries of an ended run are kept, only to distinguish duplicates from late deliveries in a metric.
const DELIVERY_WINDOW: Duration = Duration::from_secs(3_600);
const MAX_DELIVERIES: usize = 100_000;

/// The `final_state` of a run without deliveries for longer than `runs.max_age`.
const LOST: &str = "lost";
/// The `run_type` of a run whose deliveries lack it.
const UNKNOWN: &str = "UNKNOWN";

/// The limits that options set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunLimits {
    /// Maximum number of stacks with their own series.
    pub max_stacks: usize,
    /// How long the series of a stack without deliveries are kept.
    pub stack_ttl: Duration,
    /// How long a run without deliveries is active; then it is counted as lost.
    pub max_age: Duration,
}

/// A time, by the wall clock and by the monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// By the wall clock.
    pub timestamp: Timestamp,
    /// By the monotonic clock.
    pub instant: Instant,
}

/// Whether a delivery was received before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DedupStatus {
    /// The delivery is new.
    New,
    /// The delivery was received before.
    Duplicate,
}

/// The active runs, the ids of ended runs, and the stacks.
#[derive(Debug)]
pub struct Tracker {
    limits: RunLimits,
    active: ActiveRuns,
    /// Ids of ended runs.
    ended: DedupWindow,
    /// Flags of ended runs: lost, found after it was lost, policy payload counted.
    flags: DedupWindow,
    /// Ids of deliveries of ended runs.
    deliveries: DedupWindow,
    stacks: Stacks,
    bounds: LabelBounds,
}

/// Active runs by state.
#[derive(Debug, Default)]
pub struct ActiveView {
    /// Number of runs by state, run type and worker pool.
    pub runs: BTreeMap<[String; 3], u64>,
    /// Since when the longest waiting run is in its state, by stack and state.
    pub oldest: BTreeMap<[String; 2], Timestamp>,
}

impl Tracker {
    /// Creates a tracker from the durable state; from [`TrackerRecord::default`] without one.
    #[must_use]
    pub fn new(limits: RunLimits, record: TrackerRecord) -> Self {
        let TrackerRecord { runs, stacks, ended, flags, deliveries } = record;
        Self {
            limits,
            active: ActiveRuns::restore(runs),
            ended: DedupWindow::new(ENDED_WINDOW, MAX_ENDED).restore(ended),
            flags: DedupWindow::new(ENDED_WINDOW, MAX_FLAGS).restore(flags),
            deliveries: DedupWindow::new(DELIVERY_WINDOW, MAX_DELIVERIES).restore(deliveries),
            stacks: Stacks::new(stacks, limits.max_stacks, limits.stack_ttl),
            bounds: LabelBounds::default(),
        }
    }

    /// Adds the label values of existing counts to the allowed ones.
    #[must_use]
    pub fn with_labels_of(mut self, counts: &Counts) -> Self {
        self.bounds.add_labels_of(counts);
        self
    }

    /// Applies a delivery, and adds its effect to `counts`.
    pub fn apply(&mut self, update: &RunUpdate, now: Moment, counts: &mut Counts) -> DedupStatus {
        let stack = self.stacks.note_delivery(&update.stack, update.space.as_deref(), now.timestamp);
        if stack == OTHER {
            counts.increase(Counter::StackLimitExceeded, [], 1.0);
        }
        let at = update.at.unwrap_or(now.timestamp);
        if self.ended.contains(ended_id(&update.run)) {
            return self.apply_late(update, stack, now, counts);
        }
        let mut run = self.active.take(&update.run).unwrap_or_else(|| Run::new(stack, now.timestamp));
        run.last_delivery = run.last_delivery.max(now.timestamp);
        if is_terminal(&update.state) {
            self.end(update, &run, at, now, counts);
            return DedupStatus::New;
        }
        merge(&mut run, update);
        let is_new = run.enter(update.version, &update.state, at);
        if run.run_type.is_some() {
            self.run_labels(update, &run).create_series(counts);
        }
        self.active.put(&update.run, run);
        while let Some((id, run)) = self.active.take_lost(Timestamp(0)) {
            self.lose(&id, &run, now, counts);
        }
        if is_new { DedupStatus::New } else { DedupStatus::Duplicate }
    }

    /// Counts the end of a run.
    fn end(&mut self, update: &RunUpdate, run: &Run, at: Timestamp, now: Moment, counts: &mut Counts) {
        let final_state = self.bounds.states.bounded(&update.state).to_owned();
        let labels = self.run_labels(update, run);
        labels.create_series(counts);
        labels.count_end(&final_state, counts);
        // From this delivery or the id if possible: earlier deliveries may be lost, so using them first would make the result
        // depend on that.
        let created = update.created.or_else(|| creation_time_of_id(&update.run)).or(run.created);
        if let Some(created) = created {
            let seconds = at.seconds_since(created);
            let RunLabels { space, stack, run_type, .. } = &labels;
            counts.observe(Distribution::RunDuration, [space, run_type, &final_state], seconds);
            counts.increase(Counter::StackSeconds, [stack, run_type], seconds);
        }
        self.count_phases(update, run, at, &labels, counts);
        if let Some(changes) = update.changes.filter(|_| update.state == FINISHED) {
            labels.count_changes(&changes, counts);
        }
        self.count_policies(update, &labels.space, counts);
        if update.is_policy_payload() {
            self.flags.insert(policy_id(&update.run), now.instant);
        }
        self.ended.insert(ended_id(&update.run), now.instant);
        for (version, state) in run.deliveries().chain([(update.version, &*update.state)]) {
            self.deliveries.insert(delivery_id(&update.run, version, state), now.instant);
        }
        self.note_last_run(update, &labels, at);
    }

    /// Notes a run as the last one of its stack and type.
    fn note_last_run(&mut self, update: &RunUpdate, labels: &RunLabels, ended: Timestamp) {
        let final_state = self.bounds.states.bounded(&update.state).into();
        let last = LastRun { ended, run: update.run.as_str().into(), final_state };
        self.stacks.note_end(&labels.stack, &labels.run_type, last);
    }

    /// Counts the time in each state, from the policy payload if it has it, else from the deliveries.
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

    /// Counts the policy outcomes of a delivery.
    fn count_policies(&mut self, update: &RunUpdate, space: &str, counts: &mut Counts) {
        for receipt in &update.policies {
            let policy_type = self.bounds.policy_types.bounded(&receipt.policy_type);
            let outcome = self.bounds.policy_outcomes.bounded(&receipt.outcome);
            counts.increase(Counter::PolicyEvaluations, [space, policy_type, outcome], 1.0);
        }
    }

    /// Applies a delivery of an ended run: a duplicate, a late delivery, or the second payload of the end. Of the latter,
    /// only the fields that the first payload lacks are counted.
    fn apply_late(
        &mut self,
        update: &RunUpdate,
        stack: &str,
        now: Moment,
        counts: &mut Counts,
    ) -> DedupStatus {
        let is_end = is_terminal(&update.state);
        if is_end
            && self.flags.contains(lost_id(&update.run))
            && self.flags.insert(found_id(&update.run), now.instant)
        {
            // It is already counted as lost, but it is still the last run of its stack.
            let labels = self.run_labels(update, &Run::new(stack, now.timestamp));
            self.note_last_run(update, &labels, update.at.unwrap_or(now.timestamp));
            return DedupStatus::New;
        }
        if is_end && update.is_policy_payload() && self.flags.insert(policy_id(&update.run), now.instant) {
            let labels = self.run_labels(update, &Run::new(stack, now.timestamp));
            self.count_policies(update, &labels.space, counts);
            let replaced = update.changes.and_then(|changes| changes.replaced);
            if let Some(replaced) = replaced.filter(|_| update.state == FINISHED) {
                labels.count_changes_of_type("replaced", replaced, counts);
            }
            return DedupStatus::New;
        }
        let id = delivery_id(&update.run, update.version, &update.state);
        if self.deliveries.insert(id, now.instant) && !is_end {
            DedupStatus::New
        } else {
            DedupStatus::Duplicate
        }
    }

    /// Returns the labels of a run, from the delivery first, then from the run and its stack.
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

    /// Counts an internal error of Spacelift.
    pub fn internal_error(&mut self, severity: &str, counts: &mut Counts) {
        counts.increase(Counter::InternalErrors, [self.bounds.severities.bounded(severity)], 1.0);
    }

    /// Counts expired runs as lost, and removes expired stacks and ids. Returns the removed stacks.
    pub fn expire(&mut self, now: Moment, counts: &mut Counts) -> Vec<Box<str>> {
        let oldest = now.timestamp.0.saturating_sub(microseconds(self.limits.max_age));
        while let Some((id, run)) = self.active.take_lost(Timestamp(oldest)) {
            self.lose(&id, &run, now, counts);
        }
        self.ended.expire(now.instant);
        self.flags.expire(now.instant);
        self.deliveries.expire(now.instant);
        let active = self.active.runs().map(|run| &*run.stack);
        let removed = self.stacks.expire(now.timestamp, || active.collect());
        counts.remove_stacks(&removed);
        removed
    }

    /// Counts a run as lost.
    fn lose(&mut self, id: &str, run: &Run, now: Moment, counts: &mut Counts) {
        self.run_labels(&RunUpdate::default(), run).count_end(LOST, counts);
        self.ended.insert(ended_id(id), now.instant);
        self.flags.insert(lost_id(id), now.instant);
    }

    /// Returns the active runs by state.
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

    /// Returns the last run of each stack and run type.
    pub fn last_runs(&self) -> impl Iterator<Item = (&str, &str, &LastRun)> {
        self.stacks.last_runs()
    }

    /// Returns the changes since the last call.
    pub fn take_changes(&mut self, now: Instant) -> TrackerChanges {
        TrackerChanges {
            runs: self.active.take_changes(),
            stacks: self.stacks.take_changes(),
            ended: self.ended.take_changes(now),
            flags: self.flags.take_changes(now),
            deliveries: self.deliveries.take_changes(now),
        }
    }
}

/// Copies the fields of a delivery to its run.
fn merge(run: &mut Run, update: &RunUpdate) {
    let replace = |field: &mut Option<Box<str>>, value: Option<&str>| {
        if let Some(value) = value {
            *field = Some(value.into());
        }
    };
    replace(&mut run.space, update.space.as_deref());
    replace(&mut run.run_type, update.run_type.as_deref());
    replace(&mut run.worker_pool, update.worker_pool.as_ref().map(pool_label));
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
