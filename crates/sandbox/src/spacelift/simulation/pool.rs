//! A worker pool: a queue with several servers.

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

/// The interval at which a pool adjusts its workers.
const SCALING_INTERVAL: Duration = Duration::from_secs(5);
/// The minimum time a drained worker stays registered, so that it is visible.
const DRAINING: Duration = Duration::from_secs(12);
/// The maximum number of workers that start at the same time.
const MAX_STARTING: usize = 2;
/// The probability that a worker is replaced at each adjustment.
const REPLACEMENT: f64 = 0.04;
/// The number of waiting runs above which the pool has a notification.
const NOTIFICATION_THRESHOLD: usize = 10;
/// The mean time a run waits for a decision.
const DECISION: Duration = Duration::from_secs(45);
/// The shares of decisions to discard a run and to plan it again. The others confirm it.
const DISCARDED: f64 = 0.12;
const REPLANNED: f64 = 0.08;
/// The mean time until a waiting run is canceled.
const CANCEL_AFTER: Duration = Duration::from_secs(300);

/// The arrival rate and the duration of runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Demand {
    /// The mean over a day.
    pub(super) runs_per_second: f64,
    /// The relative amplitude of the rate. Above one, no runs arrive at night.
    pub(super) swing: f64,
    /// The start of the day, as a fraction of a day.
    pub(super) day_start: f64,
    /// In seconds.
    pub(super) mean_duration: f64,
}

impl Demand {
    /// Returns the runs per second at a time of day.
    fn at(&self, now: Duration) -> f64 {
        let time_of_day = now.as_secs_f64() / DAY.as_secs_f64() - self.day_start;
        self.runs_per_second * (1.0 + self.swing * (TAU * time_of_day).sin()).max(0.0)
    }
}

/// How the number of workers is determined.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fleet {
    /// A fixed number.
    Slots(usize),
    /// A fixed number, but workers are occasionally replaced.
    Machines(usize),
    /// As many as there are runs, within limits.
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
    /// The stacks whose runs it executes.
    pub(super) stacks: Range<usize>,
    demand: Demand,
    machines: Vec<Machine>,
    /// Runs that wait for the lock of their stack or for a worker.
    pending: VecDeque<Run>,
    /// Runs that wait for a decision.
    awaiting_decision: Vec<Run>,
    /// Stacks that are locked by a run.
    locked: HashSet<usize>,
    /// When the workers were last adjusted.
    scaled: Duration,
    /// The integral of the arrival rate until the next arrival.
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
            awaiting_decision: Vec::new(),
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

    /// Waiting runs that need only a free worker.
    pub(super) fn schedulable(&self) -> usize {
        self.pending.iter().filter(|run| run.state != RunState::Queued).count()
    }

    pub(super) fn workers(&self) -> usize {
        self.machines.len()
    }

    /// Returns the pool as in the API.
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
            notification_count: i64::from(self.pending() > NOTIFICATION_THRESHOLD),
            pending_runs: count(self.pending()),
            schedulable_runs_count: count(self.schedulable()),
            users_count: count(self.stacks.len()),
            workers: self.machines.iter().map(worker).collect(),
        }
    }

    /// Simulates the tick that ends at `now`. Returns the transitions of runs. `stacks` are the stacks of all
    /// pools.
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
                self.awaiting_decision.push(run);
            }
        }
    }

    fn unlock(&mut self, run: &Run) {
        if run.has_lock {
            self.locked.remove(&run.stack);
        }
    }

    /// Decides runs that wait for a decision, and cancels some waiting runs.
    fn decide(&mut self, now: Duration, rng: &mut StdRng, log: &mut Vec<Transition>) {
        for mut run in std::mem::take(&mut self.awaiting_decision) {
            if !rng.random_bool(TICK.div_duration_f64(DECISION)) {
                self.awaiting_decision.push(run);
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
                RunState::Unconfirmed => self.awaiting_decision.push(run),
                RunState::Discarded => self.unlock(&run),
                // It had reached the front of the queue before.
                _ => self.pending.push_front(run),
            }
        }
        self.pending.retain_mut(|run| {
            let is_new = matches!(run.state, RunState::Queued | RunState::Ready);
            let is_canceled = is_new && rng.random_bool(TICK.div_duration_f64(CANCEL_AFTER));
            if is_canceled {
                enter(run, RunState::Canceled, now, log);
                if run.has_lock {
                    self.locked.remove(&run.stack);
                }
            }
            !is_canceled
        });
    }

    /// The integral of the rate between two arrivals has an exponential distribution, so arrivals are a
    /// Poisson process with this rate.
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

    /// Locks the stack of the first waiting run of each stack. Runs that need no lock become ready
    /// immediately.
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
        for _ in active..wanted.min(active + MAX_STARTING) {
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

    /// Returns the pool as in webhooks; `None` for the public pool.
    fn info(&self) -> Option<WorkerPoolInfo> {
        (!matches!(self.fleet, Fleet::Slots(_))).then(|| WorkerPoolInfo {
            id: self.id.to_string(),
            name: self.name.to_owned(),
            labels: vec![format!("env:{}", self.name)],
        })
    }
}

/// Returns a sample of the exponential distribution.
fn exponential(mean: f64, rng: &mut StdRng) -> f64 {
    // The range of `random` includes zero, whose logarithm is infinite, but not one.
    -mean * (1.0 - rng.random::<f64>()).ln()
}
