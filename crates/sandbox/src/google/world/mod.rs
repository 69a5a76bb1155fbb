//! Clusters that live: their nodes come, are preempted and come again.
//!
//! Node pools grow and shrink with the rhythm of a day of five minutes. Spot VMs are preempted at rates that
//! differ by machine type and zone, and now and then a zone takes back a machine type in a surge. Managed
//! instance groups recreate a preempted VM under its old name, others take a new one. Some VMs belong to no
//! cluster at all.
//!
//! Time is a parameter and chance comes from a seed: the same calls yield the same events. The world also
//! knows the truth, which is what an exporter's counters are compared with.

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

/// The step in which the world lives.
const TICK: Duration = Duration::from_millis(500);
/// From one surge to the next, on average.
const SURGE_INTERVAL: Duration = Duration::from_secs(90);
/// How much more likely a preemption is in a surge.
const SURGE: f64 = 80.0;

/// As large as the ids of Compute Engine.
const FIRST_ID: u64 = 1_844_488_190_000_000_000;
/// How many ids a world has for itself.
const IDS: u64 = 1_000_000_000_000_000;

/// Clusters and other instances that change as time passes.
#[derive(Debug)]
pub struct World {
    rng: StdRng,
    clock: Clock,
    /// Time that has passed but is less than a tick.
    owed: Duration,
    pools: Vec<Pool>,
    surge: Option<Surge>,
    next_id: u64,
    interruptions: BTreeMap<String, u64>,
    unattributed: u64,
}

/// A zone wants a machine type back.
#[derive(Clone, Debug)]
struct Surge {
    zone: String,
    machine_type: &'static str,
    until: Duration,
}

impl World {
    /// A world in full swing. `now` is when the events begin.
    #[must_use]
    pub fn new(seed: u64, now: SystemTime) -> Self {
        Self::with_scale(seed, now, 1)
    }

    /// A world whose node pools are so many times as large.
    #[must_use]
    pub fn with_scale(seed: u64, now: SystemTime, scale: usize) -> Self {
        Self::with_plan(&FIRST, seed, now, scale, FIRST_ID)
    }

    /// The world of another project, with other clusters. `ordinal` tells it from the other ones: it counts from 1,
    /// and instances of different worlds have different ids.
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
        let loose = plan.loose.iter().map(|plan| Pool::new(plan, None, scale));
        let mut world = Self {
            rng: StdRng::seed_from_u64(seed),
            clock: Clock { start: now, elapsed: Duration::ZERO },
            owed: Duration::ZERO,
            pools: clusters.chain(loose).collect(),
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

    /// Lets time pass and yields what happened, in order. Less than half a second is added to the next call,
    /// so that it does not matter in how many steps time passes.
    pub fn advance(&mut self, elapsed: Duration) -> Vec<Event> {
        self.owed += elapsed;
        let mut events = Vec::new();
        while self.owed >= TICK {
            self.owed -= TICK;
            self.tick(&mut events);
        }
        events
    }

    /// Preempts each spot VM now with this probability.
    pub fn storm(&mut self, share: f64) -> Vec<Event> {
        let Self { pools, clock, rng, .. } = self;
        let mut events = Vec::new();
        for pool in pools {
            pool.take_back(|_| share, clock, rng, &mut events);
        }
        self.note_all(&events);
        events
    }

    /// The instances that exist, in no order.
    pub fn instances(&self) -> impl Iterator<Item = &Instance> {
        self.pools.iter().flat_map(Pool::instances)
    }

    /// How many interruptions there have been, by the name of the cluster. Every cluster is there.
    #[must_use]
    pub fn interruptions_by_cluster(&self) -> &BTreeMap<String, u64> {
        &self.interruptions
    }

    /// What an exporter should have found out by now.
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
                let factor = plan::zone_factor(zone) * if is_surge { SURGE } else { 1.0 };
                -(-rate * factor * TICK.as_secs_f64()).exp_m1()
            };
            pool.take_back(chance, clock, rng, events);
            pool.tick(clock, next_id, rng, events);
        }
        self.note_all(&events[first..]);
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

    fn note_all(&mut self, events: &[Event]) {
        for event in events {
            if let Event::Preempted(instance) = event {
                self.note(instance);
            }
        }
    }

    fn note(&mut self, instance: &Instance) {
        match instance.cluster() {
            Some(cluster) => *self.interruptions.entry(cluster.to_owned()).or_default() += 1,
            None => self.unattributed += 1,
        }
    }
}

fn is_spot(instance: &Instance) -> bool {
    instance.status == Status::Running && instance.provisioning.is_preemptible()
}
