//! A simulated account: runs arrive, wait and finish, workers start and stop, stacks drift.
//!
//! Each pool is a queue with several servers (M/M/c): runs arrive in a Poisson process whose rate varies over
//! a simulated day, and their duration has an exponential distribution. A day has five minutes, so that a
//! demo shows its changes. The other data follows from the runs: a run waits for the lock of its stack and
//! for a worker, passes through Spacelift's states and changes the state of its stack. A successful run
//! removes drift, and a busy worker uses minutes.
//!
//! Time is a parameter and random numbers have a seed, so the same calls return the same account.

mod history;
mod job;
mod plan;
mod pool;
mod run;
mod stack;
mod units;
mod used;

use std::{cmp::Reverse, collections::BTreeMap, time::Duration};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

pub(super) use self::run::Transition;
use self::{
    history::History,
    plan::POOLS,
    pool::Pool,
    run::{RunState, RunType},
    stack::Stack,
    units::{DAY, TICK, count, whole},
    used::{BILLING_PERIOD, Used},
};
use super::account::{
    Account, DriftDetectionSchedule, MetricPoint, Metrics, MetricsRange, MetricsRun, PublicWorkerPool,
    SeatUsage, Seats, Usage,
};

/// The mean interval between drifts in the account.
const DRIFT_INTERVAL: Duration = Duration::from_secs(8);
/// How far ahead scheduled drift detections are listed.
const UPCOMING: Duration = Duration::from_secs(20);

const ALLOWED_MINUTES: i64 = 900_000;
const SEATS: i64 = 60;
/// An account that changes over time.
#[derive(Debug)]
pub struct SimulatedAccount {
    rng: StdRng,
    start: Duration,
    now: Duration,
    /// Elapsed time that is less than a tick.
    remainder: Duration,
    public: Pool,
    private: Vec<Pool>,
    stacks: Vec<Stack>,
    used: Used,
    history: History,
    /// Transitions of runs in the last step.
    transitions: Vec<Transition>,
}

impl SimulatedAccount {
    /// Returns an account after a simulated day. `now` is counted from the Unix epoch and determines the
    /// billing period and the time of day.
    #[must_use]
    pub fn new(seed: u64, now: Duration) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut stacks = Vec::new();
        let [public, private @ ..] = POOLS.map(|(name, demand, fleet, count)| {
            let first = stacks.len();
            stacks.extend((1..=count).map(|number| Stack::new(name, number, &mut rng)));
            Pool::new(name, demand, fleet, first..stacks.len(), &mut rng)
        });
        // Simulates the last day, which fills queues and statistics.
        let start = now.saturating_sub(DAY);
        let mut account = Self {
            rng,
            start,
            now: start,
            remainder: Duration::ZERO,
            public,
            private: private.into(),
            stacks,
            used: Used::up_to(start),
            history: History::default(),
            transitions: Vec::new(),
        };
        account.advance(DAY);
        account
    }

    /// Advances the simulation. Returns whether the account may have changed. A remainder of less than half a
    /// second is added to the next call, so the sizes of steps do not matter.
    pub fn advance(&mut self, elapsed: Duration) -> bool {
        self.transitions.clear();
        self.remainder += elapsed;
        let changed = self.remainder >= TICK;
        while self.remainder >= TICK {
            self.remainder -= TICK;
            self.tick();
        }
        changed
    }

    /// Takes the transitions of runs in the last step.
    pub(super) fn take_transitions(&mut self) -> Vec<Transition> {
        std::mem::take(&mut self.transitions)
    }

    /// Returns the simulated time.
    pub(super) fn now(&self) -> Duration {
        self.now + self.remainder
    }

    /// Returns the current account.
    #[must_use]
    pub fn snapshot(&self) -> Account {
        let used_seats = 38 + count(self.waiting(RunState::Unconfirmed).count()) % 9;
        Account {
            public_pool: Some(PublicWorkerPool {
                busy_workers: count(self.public.busy()),
                intent_projects_count: 1,
                parallelism: count(self.public.workers()),
                pending_runs: count(self.public.pending()),
                schedulable_runs_count: count(self.public.schedulable()),
                users_count: count(self.public.stacks.len()),
            }),
            pools: self.private.iter().map(Pool::snapshot).collect(),
            usage: self.usage(used_seats),
            seats: Seats {
                api_key: SeatUsage { in_use: 7, limit: 20 },
                user: SeatUsage { in_use: used_seats, limit: SEATS },
            },
            audit_trail_retention_days: 90,
            run_log_retention_days: 30,
            integrations: Account::rich().integrations,
            metrics: Some(self.metrics()),
            dora: Some(self.dora()),
        }
    }

    fn tick(&mut self) {
        self.now += TICK;
        if self.now >= self.used.since + BILLING_PERIOD {
            self.used = Used::at_start_of_period(self.now);
        }
        let pools = std::iter::once(&mut self.public).chain(&mut self.private);
        let transitions: Vec<Transition> =
            pools.flat_map(|pool| pool.tick(self.now, &self.stacks, &mut self.rng)).collect();
        for transition in &transitions {
            self.apply(transition);
        }
        self.transitions.extend(transitions);
        self.drift();
        self.used.public += busy_time(&self.public);
        self.used.private += self.private.iter().map(busy_time).sum::<Duration>();
    }

    fn apply(&mut self, Transition { run, at }: &Transition) {
        if matches!(run.state, RunState::Finished | RunState::Failed) {
            self.history.durations.push(1e9 * run.work.as_secs_f64());
        }
        if !run.has_lock {
            return;
        }
        let stack = &mut self.stacks[run.stack];
        stack.run = Some((run.info.id.as_str().into(), run.state));
        match (run.kind, run.state) {
            (RunType::Tracked, RunState::Finished) => self.history.record_deployment(*at, run, stack),
            (RunType::Tracked, RunState::Failed) => {
                stack.failing_since.get_or_insert(*at);
                self.history.failures.push(1.0);
            }
            _ => {}
        }
    }

    /// Simulates a manual change of a resource. The next deployment reverts it.
    fn drift(&mut self) {
        if self.rng.random_bool(TICK.div_duration_f64(DRIFT_INTERVAL)) {
            let index = self.rng.random_range(0..self.stacks.len());
            let stack = &mut self.stacks[index];
            stack.drifted = (stack.drifted + self.rng.random_range(1..=6)).min(stack.resources);
        }
    }

    fn usage(&self, used_seats: i64) -> Usage {
        let Used { since, public, private } = self.used;
        let minutes = |used: Duration| whole(used.as_secs() / 60);
        Usage {
            allowed_minutes: ALLOWED_MINUTES,
            allowed_seats: SEATS,
            billing_period_end: whole((since + BILLING_PERIOD).as_secs()),
            billing_period_start: whole(since.as_secs()),
            used_minutes: minutes(public) + minutes(private),
            used_private_minutes: minutes(private),
            used_public_minutes: minutes(public),
            used_seats,
            used_workers: count(self.private.iter().map(Pool::workers).sum()),
        }
    }

    fn metrics(&self) -> Metrics {
        let sizes = self.stacks.iter().map(|stack| stack.resources);
        let resources: u32 = sizes.clone().sum();
        let drifted: u32 = self.stacks.iter().map(|stack| stack.drifted).sum();
        let largest = sizes.clone().max().unwrap_or(0);
        let detecting = self.stacks.iter().filter(|stack| stack.detects_drift).count();

        let mut by_state = BTreeMap::<_, u32>::new();
        let mut by_vendor = BTreeMap::<_, u32>::new();
        for stack in &self.stacks {
            *by_state.entry(stack.state()).or_default() += 1;
            *by_vendor.entry(stack.vendor).or_default() += stack.resources;
        }
        let mut by_size: Vec<&Stack> = self.stacks.iter().collect();
        by_size.sort_by_key(|stack| Reverse(stack.resources));

        let stacks = self.stacks.len() as f64;
        Metrics {
            average_run_duration: self.history.durations.average(),
            avg_stack_size_by_resource_count: MetricPoint::single(f64::from(resources) / stacks),
            drift_detection_coverage: MetricPoint::single(detecting as f64 / stacks),
            has_runs: true,
            has_stacks: true,
            largest_stacks: by_size.iter().take(10).map(|stack| stack.as_largest()).collect(),
            max_stack_size_by_resource_count: MetricPoint::single(largest.into()),
            median_run_duration: self.history.durations.median(),
            needs_approval_runs: self.waiting(RunState::Unconfirmed).collect(),
            resources_count_by_drift: vec![
                MetricPoint::labelled("IN_SYNC", (resources - drifted).into()),
                MetricPoint::labelled("DRIFTED", drifted.into()),
            ],
            resources_count_by_vendor: points(by_vendor),
            runs_requiring_attention: self
                .waiting(RunState::Unconfirmed)
                .chain(self.waiting(RunState::Failed))
                .collect(),
            stacks_count_by_state: points(by_state),
            upcoming_drift_detection_schedules: self.upcoming_drift_detection(),
        }
    }

    fn dora(&self) -> MetricsRange {
        let days = (self.now - self.start).div_duration_f64(DAY);
        let History { lead_times, recoveries, failures, deployments, .. } = &self.history;
        MetricsRange {
            average_lead_time_for_changes_value: lead_times.average(),
            average_time_to_recovery_value: recoveries.average(),
            change_failure_rate_value: failures.average(),
            deployment_frequency_rate_value: MetricPoint::single(f64::from(*deployments) / days),
            median_lead_time_for_changes_value: lead_times.median(),
            median_time_to_recovery_value: recoveries.median(),
        }
    }

    /// Returns the last run of each stack in this state.
    fn waiting(&self, wanted: RunState) -> impl Iterator<Item = MetricsRun> {
        let runs = self.stacks.iter().filter_map(|stack| stack.run.as_ref());
        runs.filter(move |(_, state)| *state == wanted).map(|(id, _)| MetricsRun { id: id.clone() })
    }

    /// Each stack has one drift detection a day, in turn.
    fn upcoming_drift_detection(&self) -> Vec<DriftDetectionSchedule> {
        let time_of_day = self.now.div_duration_f64(DAY).fract();
        let due_in = |index: usize| (index as f64 / self.stacks.len() as f64 - time_of_day).rem_euclid(1.0);
        let stacks =
            self.stacks.iter().enumerate().filter(|(index, stack)| {
                stack.detects_drift && due_in(*index) < UPCOMING.div_duration_f64(DAY)
            });
        stacks.map(|(_, stack)| DriftDetectionSchedule { stack_tile: stack.tile() }).collect()
    }
}

fn busy_time(pool: &Pool) -> Duration {
    TICK * u32::try_from(pool.busy()).unwrap_or(u32::MAX)
}

fn points(counts: BTreeMap<&'static str, u32>) -> Vec<MetricPoint> {
    counts.into_iter().map(|(label, count)| MetricPoint::labelled(label, count.into())).collect()
}
