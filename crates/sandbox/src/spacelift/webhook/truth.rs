//! What a receiver is compared with: the runs as they really were.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use serde::Serialize;

use super::{Changes, Delivery, RunInfo};

/// How many ended runs are remembered one by one; a sandbox may run for weeks.
const CAPACITY: usize = 10_000;

/// The runs as they really were, since the start or the last reset.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Runs {
    /// How many runs ended, by everything that tells them apart.
    pub ended: BTreeMap<Outcome, u64>,
    /// The last 10,000 runs that ended, oldest first.
    pub last: Vec<EndedRun>,
    /// Runs that have not ended. Those that were there before a webhook was set count from their next state on,
    /// because until then a receiver cannot know them.
    pub active: BTreeMap<ActiveRuns, u64>,
}

/// What tells ended runs apart.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Outcome {
    /// The identity of the stack's space.
    pub space: String,
    /// The stack's slug.
    pub stack: String,
    /// `TRACKED`, `PROPOSED` or `TASK`.
    pub run_type: String,
    /// `FINISHED`, `FAILED`, …
    pub final_state: String,
    /// Whether it looked for drift.
    pub drift_detection: bool,
    /// The pool's name, or `public`.
    pub worker_pool: String,
}

/// What tells active runs apart.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct ActiveRuns {
    /// `QUEUED`, `PLANNING`, …
    pub state: String,
    /// `TRACKED`, `PROPOSED` or `TASK`.
    pub run_type: String,
    /// The pool's name, or `public`.
    pub worker_pool: String,
}

/// A run that ended. Times are counted from the Unix epoch.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EndedRun {
    /// A ULID.
    pub id: String,
    /// Whose it was and how it ended.
    pub outcome: Outcome,
    /// When it was created.
    pub created: Duration,
    /// When it entered its last state.
    pub ended: Duration,
    /// Time spent in each state, in the order in which they were first entered.
    pub timing: Vec<(String, Duration)>,
    /// What its plan said; nothing if it had none. A tracked run that is `FINISHED` has applied it.
    pub changes: Option<Changes>,
    /// Type and outcome of the policies that were evaluated.
    pub policy_evaluations: Vec<(String, String)>,
}

impl Runs {
    /// How many ended, with every space taken to be the empty one: what the default payload tells.
    #[must_use]
    pub fn ended_without_space(&self) -> BTreeMap<Outcome, u64> {
        let mut ended = BTreeMap::new();
        for (outcome, count) in &self.ended {
            *ended.entry(Outcome { space: String::new(), ..outcome.clone() }).or_default() += count;
        }
        ended
    }
}

/// Keeps account of runs, and makes deliveries of what happens to them.
#[derive(Default)]
pub(in crate::spacelift) struct RunBook {
    active: HashMap<String, Active>,
    ended: BTreeMap<Outcome, u64>,
    last: VecDeque<EndedRun>,
}

struct Active {
    states: Vec<(String, Duration)>,
    run: Arc<RunInfo>,
    /// Whether a webhook has told of it.
    is_told: bool,
}

impl RunBook {
    /// A run enters a state; `is_told` says whether a webhook tells of it.
    pub(in crate::spacelift) fn enter(
        &mut self,
        run: &Arc<RunInfo>,
        state: &str,
        at: Duration,
        is_told: bool,
    ) -> Delivery {
        let active = self.active.entry(run.id.clone()).or_insert_with(|| Active {
            states: Vec::new(),
            run: Arc::clone(run),
            is_told: false,
        });
        // The clock of a living account is mapped to the wall clock piece by piece, which must not turn anything round.
        let at = active.states.last().map_or(at, |(_, last)| at.max(*last));
        active.states.push((state.to_owned(), at));
        active.is_told |= is_told;
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

    /// Forgets the runs that ended.
    pub(in crate::spacelift) fn reset(&mut self) {
        self.ended.clear();
        self.last.clear();
    }

    pub(in crate::spacelift) fn runs(&self) -> Runs {
        let mut active = BTreeMap::new();
        for run in self.active.values().filter(|run| run.is_told) {
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
            "CONFIRMED" => delivery.username("developer").note("looks good"),
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
