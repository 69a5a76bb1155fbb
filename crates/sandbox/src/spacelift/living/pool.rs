//! One worker pool as a queue with several servers.

use std::{
    collections::{HashSet, VecDeque},
    f64::consts::TAU,
    ops::Range,
    time::Duration,
};

use rand::{RngExt as _, rngs::StdRng};

use super::{
    job::{Machine, enter},
    run::{Run, RunState, Transition},
    stack::Stack,
    units::{DAY, TICK, count},
};
use crate::spacelift::{
    account::{ID, Worker, WorkerPool},
    ulid::ulid,
    webhook::WorkerPoolInfo,
};

/// How often a pool decides about its workers.
const SCALING_INTERVAL: Duration = Duration::from_secs(5);
/// How long a drained worker stays at least, so that it is seen.
const DRAINING: Duration = Duration::from_secs(12);
/// How many workers can join at once.
const JOINING: usize = 2;
/// The chance that a machine is replaced when its pool decides about workers.
const REPLACEMENT: f64 = 0.04;
/// With more waiting runs than this a pool shows a notification.
const CROWDED: usize = 10;
/// How long a run that needs somebody's decision waits for it, on average.
const DECISION: Duration = Duration::from_secs(45);
/// The shares of decisions to discard a run and to plan it again; the others confirm it.
const DISCARDED: f64 = 0.12;
const REPLANNED: f64 = 0.08;
/// How long a run waits before somebody loses patience and cancels it, on average.
const PATIENCE: Duration = Duration::from_secs(300);

/// When runs come to a pool and how long they take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Demand {
    /// On average over the day.
    pub(super) runs_per_second: f64,
    /// How far the rate swings around its mean; with more than one there is none at night.
    pub(super) swing: f64,
    /// When the day begins, as a part of a day.
    pub(super) morning: f64,
    /// In seconds.
    pub(super) mean_duration: f64,
}

impl Demand {
    /// Runs per second at one time of the day.
    fn at(&self, now: Duration) -> f64 {
        let time_of_day = now.as_secs_f64() / DAY.as_secs_f64() - self.morning;
        self.runs_per_second * (1.0 + self.swing * (TAU * time_of_day).sin()).max(0.0)
    }
}

/// How many workers a pool has.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fleet {
    /// As many as were paid for; they never change.
    Slots(usize),
    /// Always as many, but one is replaced from time to time.
    Machines(usize),
    /// As many as there is work for.
    Elastic { least: usize, most: usize },
}

impl Fleet {
    fn wanted(self, work: usize) -> usize {
        match self {
            Self::Slots(count) | Self::Machines(count) => count,
            Self::Elastic { least, most } => work.clamp(least, most),
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Pool {
    id: ID,
    name: &'static str,
    fleet: Fleet,
    /// Whose runs it executes.
    pub(super) stacks: Range<usize>,
    demand: Demand,
    machines: Vec<Machine>,
    /// Runs that wait for their stack's lock or for a worker.
    pending: VecDeque<Run>,
    /// Runs that wait for somebody's decision.
    undecided: Vec<Run>,
    /// The stacks that one run has for itself.
    locked: HashSet<usize>,
    /// When it last decided about its workers.
    scaled: Duration,
    /// What the demand has to add up to until the next run arrives.
    until_arrival: f64,
}

impl Pool {
    pub(super) fn new(
        name: &'static str,
        demand: Demand,
        fleet: Fleet,
        stacks: Range<usize>,
        rng: &mut StdRng,
    ) -> Self {
        Self {
            id: ulid(rng),
            name,
            fleet,
            stacks,
            demand,
            machines: (0..fleet.wanted(0)).map(|_| Machine::new(rng)).collect(),
            pending: VecDeque::new(),
            undecided: Vec::new(),
            locked: HashSet::new(),
            scaled: Duration::ZERO,
            until_arrival: exponential(1.0, rng),
        }
    }

    pub(super) fn busy(&self) -> usize {
        self.machines.iter().filter(|machine| machine.job.is_some()).count()
    }

    /// Waiting runs.
    pub(super) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Waiting runs that nothing but a free worker holds back.
    pub(super) fn schedulable(&self) -> usize {
        self.pending.iter().filter(|run| run.state != RunState::Queued).count()
    }

    pub(super) fn workers(&self) -> usize {
        self.machines.len()
    }

    /// The pool as the API shows it.
    pub(super) fn snapshot(&self) -> WorkerPool {
        let worker =
            |machine: &Machine| Worker { drained: machine.drained.is_some(), id: machine.id.clone() };
        WorkerPool {
            busy_workers: count(self.busy()),
            drift_detection_run_limit: (self.stacks.len() > 20).then_some(5),
            id: self.id.clone(),
            intent_projects_count: 0,
            managed_by_k8s_controller: matches!(self.fleet, Fleet::Elastic { .. }),
            name: self.name.to_owned(),
            notification_count: i64::from(self.pending() > CROWDED),
            pending_runs: count(self.pending()),
            schedulable_runs_count: count(self.schedulable()),
            users_count: count(self.stacks.len()),
            workers: self.machines.iter().map(worker).collect(),
        }
    }

    /// Lives the tick that ends `now` and tells what happened to runs in it. `stacks` are those of all pools.
    pub(super) fn tick(&mut self, now: Duration, stacks: &[Stack], rng: &mut StdRng) -> Vec<Transition> {
        let mut log = Vec::new();
        self.work(now, &mut log);
        self.decide(now, rng, &mut log);
        self.receive(now, stacks, rng, &mut log);
        self.lock(now, &mut log);
        if now >= self.scaled + SCALING_INTERVAL {
            self.scaled = now;
            self.scale(now, rng);
        }
        self.start(now, &mut log);
        log
    }

    fn work(&mut self, now: Duration, log: &mut Vec<Transition>) {
        let left: Vec<Run> = self.machines.iter_mut().filter_map(|machine| machine.work(now, log)).collect();
        for run in left {
            if run.state.is_terminal() {
                self.unlock(&run);
            } else {
                self.undecided.push(run);
            }
        }
    }

    fn unlock(&mut self, run: &Run) {
        if run.has_lock {
            self.locked.remove(&run.stack);
        }
    }

    /// People decide about runs that wait for it, and cancel some that wait for something else.
    fn decide(&mut self, now: Duration, rng: &mut StdRng, log: &mut Vec<Transition>) {
        for mut run in std::mem::take(&mut self.undecided) {
            if !rng.random_bool(TICK.div_duration_f64(DECISION)) {
                self.undecided.push(run);
                continue;
            }
            let decision = match rng.random::<f64>() {
                _ if run.state == RunState::PendingReview => RunState::Unconfirmed,
                share if share < DISCARDED => RunState::Discarded,
                share if share < DISCARDED + REPLANNED => RunState::ReplanRequested,
                _ => RunState::Confirmed,
            };
            enter(&mut run, decision, now, log);
            match decision {
                RunState::Unconfirmed => self.undecided.push(run),
                RunState::Discarded => self.unlock(&run),
                // It was its turn already.
                _ => self.pending.push_front(run),
            }
        }
        self.pending.retain_mut(|run| {
            let is_new = matches!(run.state, RunState::Queued | RunState::Ready);
            let is_canceled = is_new && rng.random_bool(TICK.div_duration_f64(PATIENCE));
            if is_canceled {
                enter(run, RunState::Canceled, now, log);
                if run.has_lock {
                    self.locked.remove(&run.stack);
                }
            }
            !is_canceled
        });
    }

    /// With the demand adding up to an exponentially distributed amount between two arrivals, they are a
    /// Poisson process that follows the demand.
    fn receive(&mut self, now: Duration, stacks: &[Stack], rng: &mut StdRng, log: &mut Vec<Transition>) {
        self.until_arrival -= self.demand.at(now) * TICK.as_secs_f64();
        while self.until_arrival <= 0.0 {
            self.until_arrival += exponential(1.0, rng);
            let stack = rng.random_range(self.stacks.clone());
            let work = Duration::from_secs_f64(exponential(self.demand.mean_duration, rng));
            let mut run = Run::new((stack, &stacks[stack]), self.info(), work, now, rng);
            enter(&mut run, RunState::Queued, now, log);
            self.pending.push_back(run);
        }
    }

    /// The runs at the front of their stack's queue get its lock, those that need none go on at once.
    fn lock(&mut self, now: Duration, log: &mut Vec<Transition>) {
        self.pending.retain_mut(|run| {
            if run.state != RunState::Queued {
                return true;
            }
            if let Some(end) = run.early_end() {
                enter(run, end, now, log);
                return false;
            }
            run.has_lock = run.kind.needs_lock() && self.locked.insert(run.stack);
            if run.has_lock || !run.kind.needs_lock() {
                enter(run, RunState::Ready, now, log);
            }
            true
        });
    }

    fn scale(&mut self, now: Duration, rng: &mut StdRng) {
        self.machines.retain(|machine| {
            machine.job.is_some() || machine.drained.is_none_or(|since| now < since + DRAINING)
        });
        let active = self.machines.iter().filter(|machine| machine.drained.is_none()).count();
        let wanted = self.fleet.wanted(self.busy() + self.schedulable());
        for _ in active..wanted.min(active + JOINING) {
            self.machines.push(Machine::new(rng));
        }
        if active > wanted
            && let Some(machine) = self.machines.iter_mut().find(|machine| machine.is_free())
        {
            machine.drained = Some(now);
        }
        if let Fleet::Machines(_) = self.fleet
            && rng.random_bool(REPLACEMENT)
            && let Some(machine) = self.machines.iter_mut().find(|machine| machine.drained.is_none())
        {
            machine.drained = Some(now);
        }
    }

    fn start(&mut self, now: Duration, log: &mut Vec<Transition>) {
        for machine in self.machines.iter_mut().filter(|machine| machine.is_free()) {
            let ready = self.pending.iter().position(|run| run.state != RunState::Queued);
            let Some(run) = ready.and_then(|index| self.pending.remove(index)) else { break };
            machine.start(run, now, log);
        }
    }

    /// How webhooks describe it; the public pool needs no description.
    fn info(&self) -> Option<WorkerPoolInfo> {
        (!matches!(self.fleet, Fleet::Slots(_))).then(|| WorkerPoolInfo {
            id: self.id.to_string(),
            name: self.name.to_owned(),
            labels: vec![format!("env:{}", self.name)],
        })
    }
}

/// A sample of the exponential distribution.
fn exponential(mean: f64, rng: &mut StdRng) -> f64 {
    // One minus, because the range includes zero, whose logarithm is infinite, but not one.
    -mean * (1.0 - rng.random::<f64>()).ln()
}
