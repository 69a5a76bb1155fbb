//! One worker pool as a queue with several servers.

use std::{collections::VecDeque, f64::consts::TAU, ops::Range, time::Duration};

use rand::{RngExt as _, rngs::StdRng};

use super::units::{DAY, TICK, count};
use crate::spacelift::{
    account::{ID, Worker, WorkerPool},
    ulid::ulid,
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

/// A run on its way through the queue.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) id: ID,
    /// The index of its stack.
    pub(super) stack: usize,
    pub(super) arrived: Duration,
}

/// What happened to a run.
pub(super) enum Event {
    Arrived(Run),
    Started(Run),
    Finished { run: Run, duration: Duration },
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
    pending: VecDeque<Run>,
    /// When it last decided about its workers.
    scaled: Duration,
    /// What the demand has to add up to until the next run arrives.
    until_arrival: f64,
}

#[derive(Clone, Debug)]
struct Machine {
    id: ID,
    /// Since when it takes no new runs.
    drained: Option<Duration>,
    job: Option<Job>,
}

#[derive(Clone, Debug)]
struct Job {
    run: Run,
    started: Duration,
    ends: Duration,
}

impl Machine {
    fn new(rng: &mut StdRng) -> Self {
        Self { id: ulid(rng), drained: None, job: None }
    }

    fn is_free(&self) -> bool {
        self.drained.is_none() && self.job.is_none()
    }
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
            scaled: Duration::ZERO,
            until_arrival: exponential(1.0, rng),
        }
    }

    pub(super) fn busy(&self) -> usize {
        self.jobs().count()
    }

    /// Waiting runs.
    pub(super) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Waiting runs whose stack does not also run something, which would have to finish first.
    pub(super) fn schedulable(&self) -> usize {
        let running = |stack| self.jobs().any(|job| job.run.stack == stack);
        self.pending.iter().filter(|run| !running(run.stack)).count()
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

    /// Lives the tick that ends `now` and tells what happened in it.
    pub(super) fn tick(&mut self, now: Duration, rng: &mut StdRng) -> Vec<Event> {
        let mut events = Vec::new();
        self.finish(now, &mut events);
        self.receive(now, rng, &mut events);
        if now >= self.scaled + SCALING_INTERVAL {
            self.scaled = now;
            self.scale(now, rng);
        }
        self.start(now, rng, &mut events);
        events
    }

    fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.machines.iter().filter_map(|machine| machine.job.as_ref())
    }

    fn finish(&mut self, now: Duration, events: &mut Vec<Event>) {
        for machine in &mut self.machines {
            if let Some(Job { run, started, .. }) = machine.job.take_if(|job| job.ends <= now) {
                events.push(Event::Finished { run, duration: now - started });
            }
        }
    }

    /// With the demand adding up to an exponentially distributed amount between two arrivals, they are a
    /// Poisson process that follows the demand.
    fn receive(&mut self, now: Duration, rng: &mut StdRng, events: &mut Vec<Event>) {
        self.until_arrival -= self.demand.at(now) * TICK.as_secs_f64();
        while self.until_arrival <= 0.0 {
            self.until_arrival += exponential(1.0, rng);
            let run = Run { id: ulid(rng), stack: rng.random_range(self.stacks.clone()), arrived: now };
            self.pending.push_back(run.clone());
            events.push(Event::Arrived(run));
        }
    }

    fn scale(&mut self, now: Duration, rng: &mut StdRng) {
        self.machines.retain(|machine| {
            machine.job.is_some() || machine.drained.is_none_or(|since| now < since + DRAINING)
        });
        let active = self.machines.iter().filter(|machine| machine.drained.is_none()).count();
        let wanted = self.fleet.wanted(self.busy() + self.pending());
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

    fn start(&mut self, now: Duration, rng: &mut StdRng, events: &mut Vec<Event>) {
        for machine in self.machines.iter_mut().filter(|machine| machine.is_free()) {
            let Some(run) = self.pending.pop_front() else { break };
            events.push(Event::Started(run.clone()));
            let duration = Duration::from_secs_f64(exponential(self.demand.mean_duration, rng));
            machine.job = Some(Job { run, started: now, ends: now + duration });
        }
    }
}

/// A sample of the exponential distribution.
fn exponential(mean: f64, rng: &mut StdRng) -> f64 {
    // One minus, because the range includes zero, whose logarithm is infinite, but not one.
    -mean * (1.0 - rng.random::<f64>()).ln()
}
