//! A simulated node pool.

use std::{
    collections::BTreeMap,
    f64::consts::TAU,
    sync::Arc,
    time::{Duration, SystemTime},
};

use rand::{RngExt as _, rngs::StdRng};

use super::{
    event::Event,
    plan::{CreatedBy, PoolPlan, preemptions_per_hour},
};
use crate::google::{
    audit_log::Version,
    instance::{Instance, Status},
};

/// The length of a simulated day.
const DAY: Duration = Duration::from_secs(300);
/// The interval at which a pool adjusts its size.
const SCALING_INTERVAL: Duration = Duration::from_secs(4);
/// How long a preempted instance exists, in seconds.
const TERMINATED_SECONDS: std::ops::Range<u64> = 15..40;
/// The share of preempted instances whose names a group reuses.
const REUSED_NAMES: f64 = 0.8;
/// The share of creations that fail for lack of capacity.
const FAILURES: f64 = 0.03;
/// The maximum age of the initial instances, in seconds.
const MAX_AGE_SECONDS: u64 = 2 * 60 * 60;

/// The simulated time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    pub(super) start: SystemTime,
    pub(super) elapsed: Duration,
}

impl Clock {
    fn now(&self) -> SystemTime {
        self.start + self.elapsed
    }
}

#[derive(Debug)]
pub(super) struct Pool {
    plan: &'static PoolPlan,
    cluster: Option<(&'static str, &'static str)>,
    scale: usize,
    labels: Arc<BTreeMap<String, String>>,
    machines: Vec<Machine>,
    /// Names of deleted instances for reuse.
    free_names: Vec<(String, String)>,
    scaled: Duration,
    count: u64,
}

#[derive(Debug)]
struct Machine {
    instance: Instance,
    /// When a preempted instance is deleted.
    deleted_at: Option<Duration>,
}

impl Pool {
    /// Returns an empty pool.
    pub(super) fn new(
        plan: &'static PoolPlan,
        cluster: Option<(&'static str, &'static str)>,
        scale: usize,
    ) -> Self {
        let template = Instance::new(0, "", "").provisioning(plan.provisioning);
        let template = match (cluster, plan.created_by) {
            (Some((name, location)), CreatedBy::Karpenter) => template.karpenter(name, location, plan.name),
            (Some((name, location)), _) => template.gke(name, location, plan.name),
            (None, _) => template.label("team", "media"),
        };
        Self {
            plan,
            cluster,
            scale,
            labels: template.labels,
            machines: Vec::new(),
            free_names: Vec::new(),
            scaled: Duration::ZERO,
            count: 0,
        }
    }

    pub(super) fn machine_type(&self) -> &'static str {
        self.plan.machine_type
    }

    pub(super) fn zones(&self) -> &'static [&'static str] {
        self.plan.zones
    }

    /// Returns the preemption rate of an instance in an average zone.
    pub(super) fn preemptions_per_second(&self) -> f64 {
        if self.plan.provisioning.is_preemptible() {
            preemptions_per_hour(self.plan.machine_type) / 3600.0
        } else {
            0.0
        }
    }

    pub(super) fn instances(&self) -> impl Iterator<Item = &Instance> {
        self.machines.iter().map(|machine| &machine.instance)
    }

    /// Creates the initial instances with random ages.
    pub(super) fn fill(&mut self, clock: &Clock, next_id: &mut u64, rng: &mut StdRng) {
        while self.machines.len() < self.wanted(clock) {
            let age = Duration::from_secs(rng.random_range(0..MAX_AGE_SECONDS));
            let instance = self.create(clock, next_id, rng);
            let created = instance.created - age;
            self.add(instance.created(created));
        }
    }

    /// Preempts each instance with the probability of its zone.
    pub(super) fn preempt_randomly(
        &mut self,
        chance: impl Fn(&str) -> f64,
        clock: &Clock,
        rng: &mut StdRng,
        events: &mut Vec<Event>,
    ) {
        if !self.plan.provisioning.is_preemptible() {
            return;
        }
        for machine in &mut self.machines {
            if rng.random_bool(chance(&machine.instance.zone).clamp(0.0, 1.0)) {
                events.extend(machine.preempt(clock, rng).map(Event::Preempted));
            }
        }
    }

    /// Deletes preempted instances and adjusts the size at intervals.
    pub(super) fn tick(
        &mut self,
        clock: &Clock,
        next_id: &mut u64,
        rng: &mut StdRng,
        events: &mut Vec<Event>,
    ) {
        let is_deleted =
            |machine: &mut Machine| machine.deleted_at.is_some_and(|deleted_at| deleted_at <= clock.elapsed);
        for machine in self.machines.extract_if(.., is_deleted).collect::<Vec<_>>() {
            self.delete(machine.instance, rng, events);
        }
        if clock.elapsed < self.scaled + SCALING_INTERVAL {
            return;
        }
        self.scaled = clock.elapsed;
        let wanted = self.wanted(clock);
        let running = self.machines.iter().filter(|machine| machine.deleted_at.is_none()).count();
        for _ in wanted..running {
            let candidates: Vec<usize> =
                (0..self.machines.len()).filter(|index| self.machines[*index].deleted_at.is_none()).collect();
            let index = candidates[rng.random_range(0..candidates.len())];
            // The cluster autoscaler deletes a node. Its name is not reused.
            events.push(Event::Deleted(self.machines.remove(index).instance));
        }
        if running < wanted {
            self.grow(wanted - running, clock, next_id, rng, events);
        }
    }

    fn grow(
        &mut self,
        count: usize,
        clock: &Clock,
        next_id: &mut u64,
        rng: &mut StdRng,
        events: &mut Vec<Event>,
    ) {
        let version = if self.plan.created_by == CreatedBy::BetaGroup { Version::Beta } else { Version::V1 };
        if self.plan.created_by == CreatedBy::Bulk {
            // A bulk request is for one zone.
            let mut by_zone = BTreeMap::<String, Vec<Instance>>::new();
            for _ in 0..count {
                let instance = self.create(clock, next_id, rng);
                self.add(instance.clone());
                by_zone.entry(instance.zone.clone()).or_default().push(instance);
            }
            events.extend(by_zone.into_values().map(|instances| Event::BulkCreated(instances, version)));
            return;
        }
        for _ in 0..count {
            let instance = self.create(clock, next_id, rng);
            if self.plan.provisioning.is_preemptible() && rng.random_bool(FAILURES) {
                // The pool retries when it adjusts its size again.
                events.push(Event::Failed(instance, version));
            } else {
                self.add(instance.clone());
                events.push(Event::Created(instance, version));
            }
        }
    }

    fn delete(&mut self, instance: Instance, rng: &mut StdRng, events: &mut Vec<Event>) {
        let keeps_names = matches!(self.plan.created_by, CreatedBy::Group | CreatedBy::BetaGroup);
        if keeps_names && rng.random_bool(REUSED_NAMES) {
            self.free_names.push((instance.zone.clone(), instance.name.clone()));
        }
        events.push(Event::Deleted(instance));
    }

    fn create(&mut self, clock: &Clock, next_id: &mut u64, rng: &mut StdRng) -> Instance {
        *next_id += rng.random_range(1..1_000_000_u64);
        let (zone, name) = self.free_names.pop().unwrap_or_else(|| {
            self.count += 1;
            let zone = self.plan.zones[rng.random_range(0..self.plan.zones.len())].to_owned();
            let name = self.new_name(&zone, rng);
            (zone, name)
        });
        Instance::new(*next_id, zone, name)
            .provisioning(self.plan.provisioning)
            .machine_type(self.plan.machine_type)
            .labels(Arc::clone(&self.labels))
            .created(clock.now())
    }

    /// Returns a new name. The number makes it unique within the pool, the pool's name within the world.
    fn new_name(&self, zone: &str, rng: &mut StdRng) -> String {
        let pool = self.plan.name;
        let suffix = suffix(self.count, rng);
        match (self.cluster, self.plan.created_by) {
            (Some((cluster, location)), CreatedBy::Karpenter) => {
                format!("karpenter-{cluster}-{}-{pool}-{suffix}", short(location))
            }
            (Some((cluster, location)), _) => {
                let group = zone
                    .bytes()
                    .chain(location.bytes())
                    .fold(0xcbf2_9ce4_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
                format!("gke-{cluster}-{pool}-{group:08x}-{suffix}")
            }
            (None, _) => format!("{pool}-{suffix}"),
        }
    }

    fn add(&mut self, instance: Instance) {
        self.machines.push(Machine { instance, deleted_at: None });
    }

    /// Returns the number of instances at this time of the day.
    fn wanted(&self, clock: &Clock) -> usize {
        let (least, most) = self.plan.size;
        let time_of_day = clock.elapsed.div_duration_f64(DAY) - self.plan.day_start;
        let load = 0.5 + 0.5 * (TAU * time_of_day).sin();
        (least + ((most - least) as f64 * load).round() as usize) * self.scale
    }
}

impl Machine {
    fn preempt(&mut self, clock: &Clock, rng: &mut StdRng) -> Option<Instance> {
        if self.deleted_at.is_some() || !self.instance.provisioning.is_preemptible() {
            return None;
        }
        self.instance.status = Status::Terminated;
        self.deleted_at = Some(clock.elapsed + Duration::from_secs(rng.random_range(TERMINATED_SECONDS)));
        Some(self.instance.clone())
    }
}

/// Returns the initials of a location.
fn short(location: &str) -> String {
    location.split('-').filter_map(|part| part.chars().next()).collect()
}

/// Returns two or more characters of the number in base 36 and two random characters.
fn suffix(number: u64, rng: &mut StdRng) -> String {
    const LETTERS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let (mut rest, mut suffix) = (number, String::new());
    while rest > 0 || suffix.len() < 2 {
        suffix.push(char::from(LETTERS[(rest % 36) as usize]));
        rest /= 36;
    }
    for _ in 0..2 {
        suffix.push(char::from(LETTERS[rng.random_range(0..36)]));
    }
    suffix
}
