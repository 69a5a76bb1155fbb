//! A simulation of clusters whose nodes are created, preempted and recreated.
//!
//! Node pools grow and shrink over a simulated day of five minutes. Spot instances are preempted at rates
//! that depend on the machine type and the zone, with occasional surges of one machine type in one zone.
//! Managed instance groups recreate most preempted instances with the same name, other pools use new names.
//! Some instances belong to no cluster.
//!
//! Time is a parameter and random numbers have a seed, so the same calls return the same events. The
//! simulation also counts interruptions, for comparison with an exporter's counters.

mod event;
mod plan;
mod pool;
mod truth;

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

pub use self::{event::Event, truth::Truth};
use self::{
    plan::{FIRST, OTHER, Plan},
    pool::{Clock, Pool},
};
use super::instance::{Instance, Status};

/// The time step of the simulation.
const TICK: Duration = Duration::from_millis(500);
/// The mean interval between surges.
const SURGE_INTERVAL: Duration = Duration::from_secs(90);
/// The factor of preemption rates during a surge.
const SURGE_FACTOR: f64 = 80.0;

/// In the range of Compute Engine's ids.
const FIRST_ID: u64 = 1_844_488_190_000_000_000;
/// The size of the id range of a world.
const IDS: u64 = 1_000_000_000_000_000;

/// Simulated clusters and other instances.
#[derive(Debug)]
pub struct World {
    rng: StdRng,
    clock: Clock,
    /// Elapsed time that is less than a tick.
    remainder: Duration,
    pools: Vec<Pool>,
    surge: Option<Surge>,
    next_id: u64,
    interruptions: BTreeMap<String, u64>,
    unattributed: u64,
}

/// Many preemptions of a machine type in a zone.
#[derive(Clone, Debug)]
struct Surge {
    zone: String,
    machine_type: &'static str,
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
        Self::with_plan(&FIRST, seed, now, scale, FIRST_ID)
    }

    /// Returns the world of another project, with other clusters. The `ordinal` of the project, counted from
    /// 1, determines the id range.
    #[must_use]
    pub fn of_other_project(ordinal: u64, seed: u64, now: SystemTime, scale: usize) -> Self {
        let first_id = FIRST_ID + ordinal * IDS;
        Self::with_plan(&OTHER, seed.wrapping_add(ordinal), now, scale, first_id)
    }

    fn with_plan(plan: &Plan, seed: u64, now: SystemTime, scale: usize, first_id: u64) -> Self {
        let clusters = plan.clusters.iter().flat_map(|cluster| {
            cluster
                .pools
                .iter()
                .map(move |plan| Pool::new(plan, Some((cluster.name, cluster.location)), scale))
        });
        let standalone = plan.standalone.iter().map(|plan| Pool::new(plan, None, scale));
        let mut world = Self {
            rng: StdRng::seed_from_u64(seed),
            clock: Clock { start: now, elapsed: Duration::ZERO },
            remainder: Duration::ZERO,
            pools: clusters.chain(standalone).collect(),
            surge: None,
            next_id: first_id,
            interruptions: BTreeMap::new(),
            unattributed: 0,
        };
        for cluster in plan.clusters {
            world.interruptions.insert(cluster.name.to_owned(), 0);
        }
        for pool in &mut world.pools {
            pool.fill(&world.clock, &mut world.next_id, &mut world.rng);
        }
        world
    }

    /// Advances the simulation and returns its events in order. A remainder of less than half a second is
    /// added to the next call, so the sizes of steps do not matter.
    pub fn advance(&mut self, elapsed: Duration) -> Vec<Event> {
        self.remainder += elapsed;
        let mut events = Vec::new();
        while self.remainder >= TICK {
            self.remainder -= TICK;
            self.tick(&mut events);
        }
        events
    }

    /// Preempts each spot instance with this probability. Returns the events.
    pub fn burst(&mut self, share: f64) -> Vec<Event> {
        let Self { pools, clock, rng, .. } = self;
        let mut events = Vec::new();
        for pool in pools {
            pool.preempt_randomly(|_| share, clock, rng, &mut events);
        }
        self.count_interruptions(&events);
        events
    }

    /// Returns the existing instances in any order.
    pub fn instances(&self) -> impl Iterator<Item = &Instance> {
        self.pools.iter().flat_map(Pool::instances)
    }

    /// Returns the number of interruptions by cluster name, for all clusters.
    #[must_use]
    pub fn interruptions_by_cluster(&self) -> &BTreeMap<String, u64> {
        &self.interruptions
    }

    /// Returns the expected results of an exporter.
    #[must_use]
    pub fn truth(&self) -> Truth {
        let mut spot: BTreeMap<String, u64> =
            self.interruptions.keys().map(|cluster| (cluster.clone(), 0)).collect();
        for instance in self.instances().filter(|instance| is_spot(instance)) {
            if let Some(count) = instance.cluster().and_then(|cluster| spot.get_mut(cluster)) {
                *count += 1;
            }
        }
        Truth {
            interruptions_by_cluster: self.interruptions.clone(),
            unattributed: self.unattributed,
            spot_by_cluster: spot,
            instances: self.instances().count() as u64,
        }
    }

    fn tick(&mut self, events: &mut Vec<Event>) {
        self.clock.elapsed += TICK;
        self.surge = self.surge.take().filter(|surge| surge.until > self.clock.elapsed);
        if self.surge.is_none() && self.rng.random_bool(TICK.div_duration_f64(SURGE_INTERVAL)) {
            self.surge = self.begin_surge();
        }
        let first = events.len();
        let Self { pools, clock, rng, surge, next_id, .. } = self;
        for pool in pools {
            let rate = pool.preemptions_per_second();
            let machine_type = pool.machine_type();
            let chance = |zone: &str| {
                let is_surge = surge
                    .as_ref()
                    .is_some_and(|surge| surge.zone == zone && surge.machine_type == machine_type);
                let factor = plan::zone_factor(zone) * if is_surge { SURGE_FACTOR } else { 1.0 };
                -(-rate * factor * TICK.as_secs_f64()).exp_m1()
            };
            pool.preempt_randomly(chance, clock, rng, events);
            pool.tick(clock, next_id, rng, events);
        }
        self.count_interruptions(&events[first..]);
    }

    fn begin_surge(&mut self) -> Option<Surge> {
        let candidates: Vec<&Pool> =
            self.pools.iter().filter(|pool| pool.preemptions_per_second() > 0.0).collect();
        let pool = candidates.get(self.rng.random_range(0..candidates.len().max(1)))?;
        let zones = pool.zones();
        Some(Surge {
            zone: zones[self.rng.random_range(0..zones.len())].to_owned(),
            machine_type: pool.machine_type(),
            until: self.clock.elapsed + Duration::from_secs(self.rng.random_range(8..=16)),
        })
    }

    fn count_interruptions(&mut self, events: &[Event]) {
        for event in events {
            if let Event::Preempted(instance) = event {
                self.count_interruption(instance);
            }
        }
    }

    fn count_interruption(&mut self, instance: &Instance) {
        match instance.cluster() {
            Some(cluster) => *self.interruptions.entry(cluster.to_owned()).or_default() += 1,
            None => self.unattributed += 1,
        }
    }
}

fn is_spot(instance: &Instance) -> bool {
    instance.status == Status::Running && instance.provisioning.is_preemptible()
}
