//! A run and its states.

use std::{sync::Arc, time::Duration};

use rand::{RngExt as _, rngs::StdRng};

use super::stack::Stack;
use crate::spacelift::{
    ulid::ulid,
    webhook::{Changes, PolicyReceipt, RunInfo, WorkerPoolInfo},
};

/// The shares of run types. The rest are tracked runs.
const PROPOSED: f64 = 0.3;
const TASKS: f64 = 0.06;
/// The share of drift detection runs, among possible ones.
const DRIFT: f64 = 0.25;
/// The share of failed runs.
const FAILING: f64 = 0.07;
/// The share of runs that are stopped while they execute.
const STOPPED: f64 = 0.01;
/// The share of tracked runs that are skipped.
const SKIPPED: f64 = 0.01;
/// The share of tracked runs that need confirmation.
const NEEDS_CONFIRMATION: f64 = 0.11;
/// The share of those that need a review first.
const NEEDS_REVIEW: f64 = 0.2;
/// The share of plans without changes.
const UNCHANGED: f64 = 0.15;

/// The state of a run.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(in crate::spacelift) enum RunState {
    /// Waits for the lock of its stack.
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

/// The type of a run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum RunType {
    Tracked,
    /// Finishes after the plan and does not change the stack.
    Proposed,
    Task,
}

/// The next state of a run.
pub(super) enum Next {
    /// The run continues on the same worker.
    Work(RunState),
    /// The run no longer needs the worker.
    Leave(RunState),
}

/// A run with its predetermined outcome.
#[derive(Clone, Debug)]
pub(in crate::spacelift) struct Run {
    /// The description in webhooks, without times.
    pub(in crate::spacelift) info: Arc<RunInfo>,
    /// The index of its stack.
    pub(super) stack: usize,
    pub(super) kind: RunType,
    pub(super) arrived: Duration,
    pub(in crate::spacelift) state: RunState,
    /// Whether it holds the lock of its stack.
    pub(super) has_lock: bool,
    /// Whether it needs confirmation, and whether after a review.
    needs_confirmation: bool,
    needs_review: bool,
    /// The state in which the run ends prematurely, and its final state.
    ends_early: Option<(RunState, RunState)>,
    /// The execution time on workers.
    pub(super) work: Duration,
}

/// The transition of a run to a state.
#[derive(Clone, Debug)]
pub(in crate::spacelift) struct Transition {
    pub(in crate::spacelift) run: Run,
    /// The simulated time.
    pub(in crate::spacelift) at: Duration,
}

impl RunState {
    /// Returns Spacelift's name of the state.
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

    /// Returns whether the state is final.
    pub(super) const fn is_terminal(self) -> bool {
        matches!(
            self,
            Self::Finished | Self::Failed | Self::Discarded | Self::Canceled | Self::Stopped | Self::Skipped
        )
    }
}

impl RunType {
    const fn name(self) -> &'static str {
        match self {
            Self::Tracked => "TRACKED",
            Self::Proposed => "PROPOSED",
            Self::Task => "TASK",
        }
    }

    /// Returns whether runs of this type lock their stack.
    pub(super) const fn needs_lock(self) -> bool {
        !matches!(self, Self::Proposed)
    }
}

impl Run {
    /// Returns a run that has just arrived. `pool` is `None` for the public pool.
    pub(super) fn new(
        stack: (usize, &Stack),
        pool: Option<WorkerPoolInfo>,
        work: Duration,
        now: Duration,
        rng: &mut StdRng,
    ) -> Self {
        let (index, stack) = stack;
        let kind = match rng.random::<f64>() {
            share if share < PROPOSED => RunType::Proposed,
            share if share < PROPOSED + TASKS => RunType::Task,
            _ => RunType::Tracked,
        };
        let drift = stack.detects_drift && kind != RunType::Task && rng.random_bool(DRIFT);
        let steps = match kind {
            RunType::Tracked => [RunState::Initializing, RunState::Planning, RunState::Applying],
            RunType::Proposed => [RunState::Preparing, RunState::Initializing, RunState::Planning],
            RunType::Task => [RunState::Preparing, RunState::Initializing, RunState::Performing],
        };
        let ends_early = match rng.random::<f64>() {
            share if share < FAILING => Some((steps[rng.random_range(0..steps.len())], RunState::Failed)),
            share if share < FAILING + STOPPED => Some((RunState::Planning, RunState::Stopped)),
            share if share < FAILING + STOPPED + SKIPPED && kind == RunType::Tracked => {
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
            command: (kind == RunType::Task).then(|| "terraform state list".to_owned()),
            worker_pool: pool,
            changes: (kind != RunType::Task).then_some(changes),
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
            needs_confirmation: rng.random_bool(NEEDS_CONFIRMATION),
            needs_review: rng.random_bool(NEEDS_REVIEW),
            ends_early,
            work,
        }
    }

    /// Returns the final state if the run ends in its current state.
    pub(super) fn early_end(&self) -> Option<RunState> {
        self.ends_early.filter(|(state, _)| *state == self.state).map(|(_, end)| end)
    }

    /// Returns the state after a worker starts the run.
    pub(super) const fn first_step(&self) -> RunState {
        match self.state {
            RunState::Confirmed => RunState::PreparingApply,
            RunState::ReplanRequested => RunState::PreparingReplan,
            _ => RunState::Preparing,
        }
    }

    /// Returns the duration of the current state on a worker.
    pub(super) fn step(&self) -> Duration {
        let share = match (self.state, self.kind) {
            (RunState::Preparing, RunType::Tracked) => 0.08,
            (RunState::Initializing, RunType::Tracked) => 0.12,
            (RunState::Planning, RunType::Tracked) => 0.45,
            (RunState::PreparingApply | RunState::PreparingReplan, _) => 0.04,
            (RunState::Applying, _) => 0.35,
            (RunState::Preparing, _) => 0.1,
            (RunState::Initializing, _) => 0.15,
            _ => 0.75,
        };
        self.work.mul_f64(share)
    }

    /// Returns the state that follows the current state on a worker.
    pub(super) fn next(&self) -> Next {
        if let Some(end) = self.early_end() {
            return Next::Leave(end);
        }
        match self.state {
            RunState::Preparing => Next::Work(RunState::Initializing),
            RunState::Initializing if self.kind == RunType::Task => Next::Work(RunState::Performing),
            RunState::Initializing | RunState::PreparingReplan => Next::Work(RunState::Planning),
            RunState::PreparingApply => Next::Work(RunState::Applying),
            RunState::Planning
                if self.kind == RunType::Tracked && self.info.changes != Some(Changes::default()) =>
            {
                match (self.needs_confirmation, self.needs_review) {
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
