//! A run on its way from the queue to its end.

use std::{sync::Arc, time::Duration};

use rand::{RngExt as _, rngs::StdRng};

use super::stack::Stack;
use crate::spacelift::{
    ulid::ulid,
    webhook::{Changes, PolicyReceipt, RunInfo, WorkerPoolInfo},
};

/// The shares of the types of runs; the rest are tracked ones.
const PROPOSED: f64 = 0.3;
const TASKS: f64 = 0.06;
/// The share of runs that look for drift, of those that could.
const DRIFT: f64 = 0.25;
/// The share of runs that fail.
const FAILING: f64 = 0.07;
/// The share of runs that somebody stops while a worker has them.
const STOPPED: f64 = 0.01;
/// The share of tracked runs that are skipped instead of being executed.
const SKIPPED: f64 = 0.01;
/// The share of tracked runs that wait for somebody to confirm what they would do.
const ASKING: f64 = 0.11;
/// The share of those that wait for a review first.
const REVIEWED: f64 = 0.2;
/// The share of plans that change nothing.
const UNCHANGED: f64 = 0.15;

/// A run's state.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(in crate::spacelift) enum RunState {
    /// Waits for its stack's lock.
    Queued,
    /// Waits for a worker.
    Ready,
    Preparing,
    Initializing,
    Planning,
    PendingReview,
    Unconfirmed,
    ReplanRequested,
    PreparingReplan,
    /// Waits for a worker again.
    Confirmed,
    PreparingApply,
    Applying,
    Performing,
    Finished,
    Failed,
    Discarded,
    Canceled,
    Stopped,
    Skipped,
}

/// What a run is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Tracked,
    /// Ends after the plan and leaves the stack alone.
    Proposed,
    Task,
}

/// What a run does when it leaves a state.
pub(super) enum Next {
    /// It goes on with the same worker.
    Work(RunState),
    /// The worker is done with it.
    Leave(RunState),
}

/// A run, and what chance has in store for it.
#[derive(Clone, Debug)]
pub(in crate::spacelift) struct Run {
    /// What webhooks say of it, apart from times.
    pub(in crate::spacelift) info: Arc<RunInfo>,
    /// The index of its stack.
    pub(super) stack: usize,
    pub(super) kind: Kind,
    pub(super) arrived: Duration,
    pub(in crate::spacelift) state: RunState,
    /// Whether it holds its stack's lock.
    pub(super) has_lock: bool,
    /// Whether somebody has to confirm it, and whether after a review.
    asks: bool,
    reviewed: bool,
    /// The state that it does not leave well, and how it ends then.
    ends_early: Option<(RunState, RunState)>,
    /// How long workers need for it.
    pub(super) work: Duration,
}

/// A run has entered a state.
#[derive(Clone, Debug)]
pub(in crate::spacelift) struct Transition {
    pub(in crate::spacelift) run: Run,
    /// When, in the account's time.
    pub(in crate::spacelift) at: Duration,
}

impl RunState {
    /// Spacelift's name of it.
    pub(in crate::spacelift) const fn name(self) -> &'static str {
        match self {
            Self::Queued => "QUEUED",
            Self::Ready => "READY",
            Self::Preparing => "PREPARING",
            Self::Initializing => "INITIALIZING",
            Self::Planning => "PLANNING",
            Self::PendingReview => "PENDING_REVIEW",
            Self::Unconfirmed => "UNCONFIRMED",
            Self::ReplanRequested => "REPLAN_REQUESTED",
            Self::PreparingReplan => "PREPARING_REPLAN",
            Self::Confirmed => "CONFIRMED",
            Self::PreparingApply => "PREPARING_APPLY",
            Self::Applying => "APPLYING",
            Self::Performing => "PERFORMING",
            Self::Finished => "FINISHED",
            Self::Failed => "FAILED",
            Self::Discarded => "DISCARDED",
            Self::Canceled => "CANCELED",
            Self::Stopped => "STOPPED",
            Self::Skipped => "SKIPPED",
        }
    }

    /// Whether no other state follows.
    pub(super) const fn is_terminal(self) -> bool {
        matches!(
            self,
            Self::Finished | Self::Failed | Self::Discarded | Self::Canceled | Self::Stopped | Self::Skipped
        )
    }
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Tracked => "TRACKED",
            Self::Proposed => "PROPOSED",
            Self::Task => "TASK",
        }
    }

    /// Whether its runs have their stack for themselves.
    pub(super) const fn needs_lock(self) -> bool {
        !matches!(self, Self::Proposed)
    }
}

impl Run {
    /// A run that has just arrived at a pool, which has no description if it is the public one.
    pub(super) fn new(
        stack: (usize, &Stack),
        pool: Option<WorkerPoolInfo>,
        work: Duration,
        now: Duration,
        rng: &mut StdRng,
    ) -> Self {
        let (index, stack) = stack;
        let kind = match rng.random::<f64>() {
            share if share < PROPOSED => Kind::Proposed,
            share if share < PROPOSED + TASKS => Kind::Task,
            _ => Kind::Tracked,
        };
        let drift = stack.detects_drift && kind != Kind::Task && rng.random_bool(DRIFT);
        let worked = match kind {
            Kind::Tracked => [RunState::Initializing, RunState::Planning, RunState::Applying],
            Kind::Proposed => [RunState::Preparing, RunState::Initializing, RunState::Planning],
            Kind::Task => [RunState::Preparing, RunState::Initializing, RunState::Performing],
        };
        let ends_early = match rng.random::<f64>() {
            fate if fate < FAILING => Some((worked[rng.random_range(0..worked.len())], RunState::Failed)),
            fate if fate < FAILING + STOPPED => Some((RunState::Planning, RunState::Stopped)),
            fate if fate < FAILING + STOPPED + SKIPPED && kind == Kind::Tracked => {
                Some((RunState::Queued, RunState::Skipped))
            }
            _ => None,
        };
        let changes = if rng.random_bool(UNCHANGED) {
            Changes::default()
        } else {
            Changes {
                added: rng.random_range(0..4),
                changed: rng.random_range(0..6),
                deleted: rng.random_range(0..2),
                replaced: u32::from(rng.random_bool(0.1)),
            }
        };
        let info = RunInfo {
            run_type: kind.name().to_owned(),
            drift_detection: drift,
            triggered_by: match (drift, rng.random_bool(0.3)) {
                (true, _) => Some("drift detection".to_owned()),
                (false, true) => Some("developer".to_owned()),
                (false, false) => None,
            },
            command: (kind == Kind::Task).then(|| "terraform state list".to_owned()),
            worker_pool: pool,
            changes: (kind != Kind::Task).then_some(changes),
            resources: stack.resources,
            policy_receipts: policy_receipts(ends_early, rng),
            ..RunInfo::new(ulid(rng).to_string(), "")
        };
        Self {
            info: Arc::new(RunInfo { stack: stack.info(), ..info }),
            stack: index,
            kind,
            arrived: now,
            state: RunState::Queued,
            has_lock: false,
            asks: rng.random_bool(ASKING),
            reviewed: rng.random_bool(REVIEWED),
            ends_early,
            work,
        }
    }

    /// How it ends in its present state, if it does not leave it well.
    pub(super) fn early_end(&self) -> Option<RunState> {
        self.ends_early.filter(|(state, _)| *state == self.state).map(|(_, end)| end)
    }

    /// Into which state a worker that takes it brings it.
    pub(super) const fn first_step(&self) -> RunState {
        match self.state {
            RunState::Confirmed => RunState::PreparingApply,
            RunState::ReplanRequested => RunState::PreparingReplan,
            _ => RunState::Preparing,
        }
    }

    /// How long it stays in its present state, which a worker works on.
    pub(super) fn step(&self) -> Duration {
        let share = match (self.state, self.kind) {
            (RunState::Preparing, Kind::Tracked) => 0.08,
            (RunState::Initializing, Kind::Tracked) => 0.12,
            (RunState::Planning, Kind::Tracked) => 0.45,
            (RunState::PreparingApply | RunState::PreparingReplan, _) => 0.04,
            (RunState::Applying, _) => 0.35,
            (RunState::Preparing, _) => 0.1,
            (RunState::Initializing, _) => 0.15,
            _ => 0.75,
        };
        self.work.mul_f64(share)
    }

    /// What comes after its present state, which a worker has finished with.
    pub(super) fn next(&self) -> Next {
        if let Some(end) = self.early_end() {
            return Next::Leave(end);
        }
        match self.state {
            RunState::Preparing => Next::Work(RunState::Initializing),
            RunState::Initializing if self.kind == Kind::Task => Next::Work(RunState::Performing),
            RunState::Initializing | RunState::PreparingReplan => Next::Work(RunState::Planning),
            RunState::PreparingApply => Next::Work(RunState::Applying),
            RunState::Planning
                if self.kind == Kind::Tracked && self.info.changes != Some(Changes::default()) =>
            {
                match (self.asks, self.reviewed) {
                    (true, true) => Next::Leave(RunState::PendingReview),
                    (true, false) => Next::Leave(RunState::Unconfirmed),
                    (false, _) => Next::Work(RunState::Applying),
                }
            }
            _ => Next::Leave(RunState::Finished),
        }
    }
}

fn policy_receipts(ends_early: Option<(RunState, RunState)>, rng: &mut StdRng) -> Vec<PolicyReceipt> {
    let receipt = |name: &str, policy_type: &str, outcome: &str| PolicyReceipt {
        name: name.to_owned(),
        policy_type: policy_type.to_owned(),
        outcome: outcome.to_owned(),
        flags: Vec::new(),
    };
    let plan = match ends_early {
        Some((RunState::Planning, RunState::Failed)) => "deny",
        _ if rng.random_bool(0.1) => "warn",
        _ => "allow",
    };
    vec![receipt("pushes to main", "GIT_PUSH", "track"), receipt("no public buckets", "PLAN", plan)]
}
