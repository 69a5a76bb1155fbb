//! A simulation of clusters in two regions and two accounts, whose spot instances EC2 takes.
//!
//! Node pools grow and shrink over a simulated day of five minutes. EC2 takes spot instances at rates that
//! depend on the instance type and the zone, with occasional surges of one instance type in one zone. Most are
//! warned two minutes before their end; Karpenter terminates its nodes within these two minutes. Some are taken
//! without a warning. Pools that shrink terminate instances too, which is no interruption. Some instances belong
//! to no cluster.
//!
//! Time is a parameter and random numbers have a seed, so the same calls return the same events. The simulation
//! also counts interruptions, for comparison with an exporter's counters.

mod event;
mod plan;
mod pool;
mod truth;

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

pub use self::{
    event::WorldEvent,
    truth::{Interruption, Truth},
};
use self::{
    plan::POOLS,
    pool::{Context, Pool},
};
use super::ec2::Instance;

/// The time step of the simulation.
const TICK: Duration = Duration::from_millis(500);
/// The mean interval between surges.
const SURGE_INTERVAL: Duration = Duration::from_secs(90);
/// The factor of interruption rates during a surge.
const SURGE_FACTOR: f64 = 60.0;
/// The number of the first instance id. Ids of AWS begin with 0.
const FIRST_NUMBER: u64 = 0x0a00_0000_0000_0000;

/// Simulated clusters and other instances.
#[derive(Debug)]
pub struct World {
    context: Context,
    /// Elapsed time that is less than a tick.
    remainder: Duration,
    pools: Vec<Pool>,
    surge: Option<Surge>,
    truth: Truth,
}

/// Many interruptions of an instance type in a zone.
#[derive(Clone, Debug)]
struct Surge {
    zone: &'static str,
    instance_type: &'static str,
    until: Duration,
}

impl World {
    /// Returns a world with filled node pools. `now` is the time of the first event.
    #[must_use]
    pub fn new(seed: u64, now: SystemTime) -> Self {
        Self::with_scale(seed, now, 1)
    }

    /// Returns a world with node pools `scale` times the default size.
    #[must_use]
    pub fn with_scale(seed: u64, now: SystemTime, scale: usize) -> Self {
        let mut context = Context {
            rng: StdRng::seed_from_u64(seed),
            start: now,
            elapsed: Duration::ZERO,
            next_number: FIRST_NUMBER,
        };
        let mut pools: Vec<Pool> = POOLS.iter().map(|plan| Pool::new(plan, scale)).collect();
        for pool in &mut pools {
            pool.fill(&mut context);
        }
        let clusters: BTreeSet<&str> = POOLS.iter().filter_map(|plan| plan.cluster).collect();
        let truth = Truth::of_clusters(clusters);
        Self { context, remainder: Duration::ZERO, pools, surge: None, truth }
    }

    /// Advances the simulation and returns its events in order. A remainder of less than half a second is added
    /// to the next call, so the sizes of steps do not matter.
    pub fn advance(&mut self, elapsed: Duration) -> Vec<WorldEvent> {
        self.remainder += elapsed;
        let mut events = Vec::new();
        while self.remainder >= TICK {
            self.remainder -= TICK;
            self.tick(&mut events);
        }
        events
    }

    /// Interrupts each running spot instance with this probability. Returns the events.
    pub fn burst(&mut self, share: f64) -> Vec<WorldEvent> {
        let mut events = Vec::new();
        for pool in &mut self.pools {
            pool.interrupt_randomly(|_, _| share, &mut self.context, &mut events);
        }
        self.truth.note(&events);
        events
    }

    /// Returns all instances in any order, also terminated ones, which EC2 lists for an hour.
    pub fn instances(&self) -> impl Iterator<Item = &Instance> {
        self.pools.iter().flat_map(Pool::instances)
    }

    /// Returns the expected results of an exporter.
    #[must_use]
    pub fn truth(&self) -> Truth {
        let mut truth = self.truth.clone();
        for pool in &self.pools {
            pool.add_to(&mut truth);
        }
        truth
    }

    fn tick(&mut self, events: &mut Vec<WorldEvent>) {
        self.context.elapsed += TICK;
        self.surge = self.surge.take().filter(|surge| surge.until > self.context.elapsed);
        if self.surge.is_none() && self.context.rng.random_bool(TICK.div_duration_f64(SURGE_INTERVAL)) {
            self.surge = self.begin_surge();
        }
        let first = events.len();
        let Self { pools, context, surge, .. } = self;
        let chance = |zone: &str, instance_type: &str| {
            let is_surge = surge
                .as_ref()
                .is_some_and(|surge| surge.zone == zone && surge.instance_type == instance_type);
            let rate = plan::interruptions_per_hour(instance_type) / 3600.0 * plan::zone_factor(zone);
            let factor = if is_surge { SURGE_FACTOR } else { 1.0 };
            -(-rate * factor * TICK.as_secs_f64()).exp_m1()
        };
        for pool in pools {
            pool.interrupt_randomly(chance, context, events);
            pool.tick(context, events);
        }
        self.truth.note(&events[first..]);
    }

    fn begin_surge(&mut self) -> Option<Surge> {
        let spot: Vec<&Pool> = self.pools.iter().filter(|pool| pool.is_spot()).collect();
        let rng = &mut self.context.rng;
        let plan = spot.get(rng.random_range(0..spot.len().max(1)))?.plan();
        Some(Surge {
            zone: plan.zones[rng.random_range(0..plan.zones.len())],
            instance_type: plan.instance_types[rng.random_range(0..plan.instance_types.len())],
            until: self.context.elapsed + Duration::from_secs(rng.random_range(8..=16)),
        })
    }
}
