//! A node pool.

use std::{
    collections::BTreeMap,
    f64::consts::TAU,
    sync::Arc,
    time::{Duration, SystemTime},
};

use rand::{RngExt as _, rngs::StdRng};

use super::{
    event::Event,
    plan::{Maker, PoolPlan, preemptions_per_hour},
};
use crate::google::{
    audit_log::Version,
    instance::{Instance, Status},
};

/// From one morning to the next.
const DAY: Duration = Duration::from_secs(300);
/// How often a pool decides about its size.
const SCALING_INTERVAL: Duration = Duration::from_secs(4);
/// How long, in seconds, a preempted instance still exists.
const AFTERLIFE: std::ops::Range<u64> = 15..40;
/// The share of preempted instances that a group recreates under their names.
const RECREATED: f64 = 0.8;
/// The share of requests that find no capacity.
const FAILING: f64 = 0.03;
/// How old the instances are in the beginning, at most, in seconds.
const OLDEST: u64 = 2 * 60 * 60;

/// When things happen.
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
    /// Names that were used before and are free again.
    free_names: Vec<(String, String)>,
    scaled: Duration,
    made: u64,
}

#[derive(Debug)]
struct Machine {
    instance: Instance,
    /// When a preempted instance ceases to exist.
    gone: Option<Duration>,
}

impl Pool {
    /// A pool without any instance.
    pub(super) fn new(
        plan: &'static PoolPlan,
        cluster: Option<(&'static str, &'static str)>,
        scale: usize,
    ) -> Self {
        let template = Instance::new(0, "", "").provisioning(plan.provisioning);
        let template = match (cluster, plan.maker) {
            (Some((name, location)), Maker::Karpenter) => template.karpenter(name, location, plan.name),
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
            made: 0,
        }
    }

    pub(super) fn machine_type(&self) -> &'static str {
        self.plan.machine_type
    }

    pub(super) fn zones(&self) -> &'static [&'static str] {
        self.plan.zones
    }

    /// How often one of its instances is preempted in an average zone.
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

    /// Makes as many instances as it wants, some time ago.
    pub(super) fn fill(&mut self, clock: &Clock, next_id: &mut u64, rng: &mut StdRng) {
        while self.machines.len() < self.wanted(clock) {
            let age = Duration::from_secs(rng.random_range(0..OLDEST));
            let instance = self.make(clock, next_id, rng);
            let created = instance.created - age;
            self.add(instance.created(created));
        }
    }

    /// Preempts every instance with the probability that its zone has.
    pub(super) fn take_back(
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

    /// Removes what is gone and, from time to time, adapts the size.
    pub(super) fn tick(
        &mut self,
        clock: &Clock,
        next_id: &mut u64,
        rng: &mut StdRng,
        events: &mut Vec<Event>,
    ) {
        let is_gone = |machine: &mut Machine| machine.gone.is_some_and(|gone| gone <= clock.elapsed);
        for machine in self.machines.extract_if(.., is_gone).collect::<Vec<_>>() {
            self.bury(machine.instance, rng, events);
        }
        if clock.elapsed < self.scaled + SCALING_INTERVAL {
            return;
        }
        self.scaled = clock.elapsed;
        let wanted = self.wanted(clock);
        let running = self.machines.iter().filter(|machine| machine.gone.is_none()).count();
        for _ in wanted..running {
            let candidates: Vec<usize> =
                (0..self.machines.len()).filter(|index| self.machines[*index].gone.is_none()).collect();
            let index = candidates[rng.random_range(0..candidates.len())];
            // The autoscaler deletes a node; its name does not come back.
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
        let version = if self.plan.maker == Maker::BetaGroup { Version::Beta } else { Version::V1 };
        if self.plan.maker == Maker::Bulk {
            // One request is for one zone.
            let mut by_zone = BTreeMap::<String, Vec<Instance>>::new();
            for _ in 0..count {
                let instance = self.make(clock, next_id, rng);
                self.add(instance.clone());
                by_zone.entry(instance.zone.clone()).or_default().push(instance);
            }
            events.extend(by_zone.into_values().map(|instances| Event::BulkCreated(instances, version)));
            return;
        }
        for _ in 0..count {
            let instance = self.make(clock, next_id, rng);
            if self.plan.provisioning.is_preemptible() && rng.random_bool(FAILING) {
                // The pool tries again when it next decides about its size.
                events.push(Event::Failed(instance, version));
            } else {
                self.add(instance.clone());
                events.push(Event::Created(instance, version));
            }
        }
    }

    fn bury(&mut self, instance: Instance, rng: &mut StdRng, events: &mut Vec<Event>) {
        let keeps_names = matches!(self.plan.maker, Maker::Group | Maker::BetaGroup);
        if keeps_names && rng.random_bool(RECREATED) {
            self.free_names.push((instance.zone.clone(), instance.name.clone()));
        }
        events.push(Event::Deleted(instance));
    }

    fn make(&mut self, clock: &Clock, next_id: &mut u64, rng: &mut StdRng) -> Instance {
        *next_id += rng.random_range(1..1_000_000_u64);
        let (zone, name) = self.free_names.pop().unwrap_or_else(|| {
            self.made += 1;
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

    /// Its number makes a name unique within the pool, and the pool's name within the world.
    fn new_name(&self, zone: &str, rng: &mut StdRng) -> String {
        let pool = self.plan.name;
        let suffix = suffix(self.made, rng);
        match (self.cluster, self.plan.maker) {
            (Some((cluster, location)), Maker::Karpenter) => {
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
        self.machines.push(Machine { instance, gone: None });
    }

    /// How many instances it wants at this time of the day.
    fn wanted(&self, clock: &Clock) -> usize {
        let (least, most) = self.plan.size;
        let time_of_day = clock.elapsed.div_duration_f64(DAY) - self.plan.morning;
        let busy = 0.5 + 0.5 * (TAU * time_of_day).sin();
        (least + ((most - least) as f64 * busy).round() as usize) * self.scale
    }
}

impl Machine {
    fn preempt(&mut self, clock: &Clock, rng: &mut StdRng) -> Option<Instance> {
        if self.gone.is_some() || !self.instance.provisioning.is_preemptible() {
            return None;
        }
        self.instance.status = Status::Terminated;
        self.gone = Some(clock.elapsed + Duration::from_secs(rng.random_range(AFTERLIFE)));
        Some(self.instance.clone())
    }
}

/// What is left of a location when there is little room.
fn short(location: &str) -> String {
    location.split('-').filter_map(|part| part.chars().next()).collect()
}

/// Four letters and digits that begin with the number.
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
