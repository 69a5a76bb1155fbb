//! Expected results of a receiver: the runs of a simulated account.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use serde::Serialize;

use super::{Changes, Delivery, RunInfo};

/// The maximum number of ended runs kept individually. It bounds the memory of a sandbox that runs for weeks.
const CAPACITY: usize = 10_000;

/// The runs of a simulated account since the start or the last reset.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Runs {
    /// The number of ended runs by their attributes.
    pub ended: BTreeMap<Outcome, u64>,
    /// The last 10,000 runs that ended, oldest first.
    pub last: Vec<EndedRun>,
    /// Runs that have not ended. Runs that existed before the webhook was set are included from their next
    /// state on, because a receiver cannot know them earlier.
    pub active: BTreeMap<ActiveRuns, u64>,
}

/// The attributes of ended runs.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Outcome {
    /// The id of the stack's space.
    pub space: String,
    /// The slug of the stack.
    pub stack: String,
    /// `TRACKED`, `PROPOSED` or `TASK`.
    pub run_type: String,
    /// `FINISHED`, `FAILED`, …
    pub final_state: String,
    /// Whether it was a drift detection run.
    pub drift_detection: bool,
    /// The name of the pool, or `public`.
    pub worker_pool: String,
}

/// The attributes of active runs.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct ActiveRuns {
    /// `QUEUED`, `PLANNING`, …
    pub state: String,
    /// `TRACKED`, `PROPOSED` or `TASK`.
    pub run_type: String,
    /// The name of the pool, or `public`.
    pub worker_pool: String,
}

/// An ended run. Times are counted from the Unix epoch.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EndedRun {
    /// A ULID.
    pub id: String,
    /// The attributes.
    pub outcome: Outcome,
    /// The time of creation.
    pub created: Duration,
    /// The time of the final state.
    pub ended: Duration,
    /// The time spent in each state, in the order of first entry.
    pub timing: Vec<(String, Duration)>,
    /// The planned changes; `None` without a plan. A tracked run that is `FINISHED` has applied them.
    pub changes: Option<Changes>,
    /// The type and the outcome of each evaluated policy.
    pub policy_evaluations: Vec<(String, String)>,
}

impl Runs {
    /// Returns the number of ended runs without their spaces, as in the default payload.
    #[must_use]
    pub fn ended_without_space(&self) -> BTreeMap<Outcome, u64> {
        let mut ended = BTreeMap::new();
        for (outcome, count) in &self.ended {
            *ended.entry(Outcome { space: String::new(), ..outcome.clone() }).or_default() += count;
        }
        ended
    }
}

/// Records the states of runs and creates the deliveries about them.
#[derive(Default)]
pub(in crate::spacelift) struct RunLog {
    active: HashMap<String, Active>,
    ended: BTreeMap<Outcome, u64>,
    last: VecDeque<EndedRun>,
}

struct Active {
    states: Vec<(String, Duration)>,
    run: Arc<RunInfo>,
    /// Whether a webhook was set during one of its states.
    is_delivered: bool,
}

impl RunLog {
    /// Records a state of a run and returns the delivery. `is_delivered` is whether a webhook is set.
    pub(in crate::spacelift) fn enter(
        &mut self,
        run: &Arc<RunInfo>,
        state: &str,
        at: Duration,
        is_delivered: bool,
    ) -> Delivery {
        let active = self.active.entry(run.id.clone()).or_insert_with(|| Active {
            states: Vec::new(),
            run: Arc::clone(run),
            is_delivered: false,
        });
        // Simulated time is mapped to real time in steps, so that rounding could reverse two times.
        let at = active.states.last().map_or(at, |(_, last)| at.max(*last));
        active.states.push((state.to_owned(), at));
        active.is_delivered |= is_delivered;
        let delivery = active.delivery();
        if delivery.is_terminal() {
            self.active.remove(&run.id);
            let ended = EndedRun::new(&delivery);
            *self.ended.entry(ended.outcome.clone()).or_default() += 1;
            if self.last.len() == CAPACITY {
                self.last.pop_front();
            }
            self.last.push_back(ended);
        }
        delivery
    }

    /// Removes the ended runs.
    pub(in crate::spacelift) fn reset(&mut self) {
        self.ended.clear();
        self.last.clear();
    }

    pub(in crate::spacelift) fn runs(&self) -> Runs {
        let mut active = BTreeMap::new();
        for run in self.active.values().filter(|run| run.is_delivered) {
            let key = ActiveRuns {
                state: run.states.last().map(|(state, _)| state.clone()).unwrap_or_default(),
                run_type: run.run.run_type.clone(),
                worker_pool: run.run.pool_name().to_owned(),
            };
            *active.entry(key).or_default() += 1;
        }
        Runs { ended: self.ended.clone(), last: self.last.iter().cloned().collect(), active }
    }
}

impl Active {
    fn delivery(&self) -> Delivery {
        let mut run = RunInfo::clone(&self.run);
        if let Some((_, created)) = self.states.first() {
            run.created_at = *created;
            run.commit.at = created.saturating_sub(Duration::from_secs(90));
        }
        let is_planned = self.states.iter().rev().skip(1).any(|(state, _)| state == "PLANNING");
        if !is_planned {
            run.changes = None;
            run.policy_receipts.retain(|receipt| receipt.policy_type != "PLAN");
        }
        let mut delivery = Delivery::new(run);
        for (version, (state, at)) in (0..).zip(&self.states) {
            delivery = delivery.state(state, version, *at);
        }
        match delivery.current() {
            "CONFIRMED" => delivery.username("developer").note("advances good"),
            "DISCARDED" | "CANCELED" | "REPLAN_REQUESTED" => delivery.username("developer"),
            _ => delivery,
        }
    }
}

impl EndedRun {
    fn new(delivery: &Delivery) -> Self {
        let run = delivery.run();
        Self {
            id: run.id.clone(),
            outcome: Outcome {
                space: run.stack.space_id.clone(),
                stack: run.stack.id.clone(),
                run_type: run.run_type.clone(),
                final_state: delivery.current().to_owned(),
                drift_detection: run.drift_detection,
                worker_pool: run.pool_name().to_owned(),
            },
            created: run.created_at,
            ended: delivery.at(),
            timing: delivery.timing().into_iter().map(|(state, spent)| (state.to_owned(), spent)).collect(),
            changes: run.changes,
            policy_evaluations: run
                .policy_receipts
                .iter()
                .map(|receipt| (receipt.policy_type.clone(), receipt.outcome.clone()))
                .collect(),
        }
    }
}
