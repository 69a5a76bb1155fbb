//! A simulated pool of instances.

use std::{
    collections::BTreeMap,
    f64::consts::TAU,
    sync::Arc,
    time::{Duration, SystemTime},
};

use rand::{RngExt as _, rngs::StdRng};

use super::{
    event::WorldEvent,
    plan::{ManagedBy, PoolPlan},
    truth::Truth,
};
use crate::aws::ec2::{Instance, InstanceState, Lifecycle, StateReason};

/// The length of a simulated day.
const DAY: Duration = Duration::from_secs(300);
/// The interval at which a pool adjusts its size.
const SCALING_INTERVAL: Duration = Duration::from_secs(4);
/// The time from a warning to the end of the instance.
const WARNING: Duration = Duration::from_secs(120);
/// The time from a warning to the termination by Karpenter, in seconds.
const KARPENTER_SECONDS: std::ops::Range<u64> = 10..110;
/// How long terminated instances are listed.
const LISTED: Duration = Duration::from_secs(60 * 60);
/// The share of interruptions without a warning.
const UNANNOUNCED: f64 = 0.12;
/// The share of warnings that follow a rebalance recommendation.
const RECOMMENDED: f64 = 0.3;
/// The share of scaling steps with a recommendation that nothing follows.
const VAIN_RECOMMENDATION: f64 = 0.05;
/// The maximum age of the initial instances, in seconds.
const MAX_AGE_SECONDS: u64 = 6 * 60 * 60;

/// The simulated time, the random numbers and the ids of all pools.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) rng: StdRng,
    pub(super) start: SystemTime,
    pub(super) elapsed: Duration,
    pub(super) next_number: u64,
}

impl Context {
    fn now(&self) -> SystemTime {
        self.start + self.elapsed
    }
}

#[derive(Debug)]
pub(super) struct Pool {
    plan: &'static PoolPlan,
    scale: usize,
    tags: Arc<BTreeMap<String, String>>,
    machines: Vec<Machine>,
    scaled: Duration,
}

#[derive(Debug)]
struct Machine {
    instance: Instance,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    Running,
    /// Warned: terminated at this time for this reason.
    Warned(Duration, StateReason),
    /// Terminated at this time.
    Terminated(Duration),
}

impl Pool {
    /// Returns an empty pool.
    pub(super) fn new(plan: &'static PoolPlan, scale: usize) -> Self {
        let template = Instance::new(0, plan.zones[0]);
        let template = match (plan.cluster, plan.managed_by) {
            (Some(cluster), ManagedBy::NodeGroup) => template.eks(cluster, plan.name),
            (Some(cluster), ManagedBy::Karpenter | ManagedBy::AutoMode) => {
                template.karpenter(cluster, plan.name)
            }
            (Some(cluster), _) => template.kops(cluster, plan.name),
            (None, _) => template.tag("team", "media").tag("Name", plan.name),
        };
        Self { plan, scale, tags: template.tags, machines: Vec::new(), scaled: Duration::ZERO }
    }

    pub(super) fn plan(&self) -> &'static PoolPlan {
        self.plan
    }

    pub(super) fn is_spot(&self) -> bool {
        self.plan.is_spot
    }

    pub(super) fn instances(&self) -> impl Iterator<Item = &Instance> {
        self.machines.iter().map(|machine| &machine.instance)
    }

    /// Adds the running instances.
    pub(super) fn add_to(&self, truth: &mut Truth) {
        for machine in &self.machines {
            truth.instances += u64::from(machine.instance.state == InstanceState::Running);
        }
        if let (Some(cluster), true) = (self.plan.cluster, self.plan.is_spot) {
            *truth.spot_by_cluster.entry(cluster.to_owned()).or_default() += self.running() as u64;
        }
    }

    /// Creates the initial instances with random ages.
    pub(super) fn fill(&mut self, context: &mut Context) {
        while self.machines.len() < self.wanted(context.elapsed) {
            let age = Duration::from_secs(context.rng.random_range(0..MAX_AGE_SECONDS));
            let instance = self.create(context);
            let launched = instance.launched - age;
            self.machines.push(Machine { instance: instance.launched(launched), phase: Phase::Running });
        }
    }

    /// Interrupts each running spot instance with the probability of its zone and instance type.
    pub(super) fn interrupt_randomly(
        &mut self,
        chance: impl Fn(&str, &str) -> f64,
        context: &mut Context,
        events: &mut Vec<WorldEvent>,
    ) {
        if !self.plan.is_spot {
            return;
        }
        let managed_by = self.plan.managed_by;
        for machine in self.machines.iter_mut().filter(|machine| machine.phase == Phase::Running) {
            let Instance { zone, instance_type, .. } = &machine.instance;
            if context.rng.random_bool(chance(zone, instance_type).clamp(0.0, 1.0)) {
                machine.interrupt(managed_by, context, events);
            }
        }
    }

    /// Terminates instances whose time has come, forgets old ones and adjusts the size at intervals.
    pub(super) fn tick(&mut self, context: &mut Context, events: &mut Vec<WorldEvent>) {
        for machine in &mut self.machines {
            if let Phase::Warned(at, reason) = machine.phase
                && at <= context.elapsed
            {
                machine.terminate(reason, context, events);
            }
        }
        let is_old = |machine: &mut Machine| matches!(machine.phase, Phase::Terminated(at) if at + LISTED <= context.elapsed);
        let forgotten = self.machines.extract_if(.., is_old);
        events.extend(forgotten.map(|machine| WorldEvent::Forgotten(machine.instance)));
        if context.elapsed < self.scaled + SCALING_INTERVAL {
            return;
        }
        self.scaled = context.elapsed;
        self.scale_to(self.wanted(context.elapsed), context, events);
        if self.plan.is_spot && context.rng.random_bool(VAIN_RECOMMENDATION) {
            let running: Vec<&Machine> = self.running_machines().collect();
            if !running.is_empty() {
                let machine = running[context.rng.random_range(0..running.len())];
                events.push(WorldEvent::RebalanceRecommended(machine.instance.clone()));
            }
        }
    }

    fn scale_to(&mut self, wanted: usize, context: &mut Context, events: &mut Vec<WorldEvent>) {
        for _ in wanted..self.running() {
            let is_running = |index: &usize| self.machines[*index].phase == Phase::Running;
            let candidates: Vec<usize> = (0..self.machines.len()).filter(is_running).collect();
            let index = candidates[context.rng.random_range(0..candidates.len())];
            // The autoscaler terminates a node, which is no interruption.
            self.machines[index].terminate(StateReason::UserShutdown, context, events);
        }
        for _ in self.running()..wanted {
            let instance = self.create(context);
            events.push(WorldEvent::Launched(instance.clone()));
            self.machines.push(Machine { instance, phase: Phase::Running });
        }
    }

    fn create(&self, context: &mut Context) -> Instance {
        context.next_number += context.rng.random_range(1..1_000_000_u64);
        let plan = self.plan;
        let choose =
            |rng: &mut StdRng, names: &'static [&'static str]| names[rng.random_range(0..names.len())];
        let zone = choose(&mut context.rng, plan.zones);
        let instance = Instance::new(context.next_number, zone)
            .account(plan.account)
            .instance_type(choose(&mut context.rng, plan.instance_types))
            .lifecycle(if plan.is_spot { Lifecycle::Spot } else { Lifecycle::OnDemand })
            .tags(Arc::clone(&self.tags))
            .launched(context.now());
        match plan.managed_by {
            ManagedBy::AutoMode => instance.operator("eks.amazonaws.com").hidden(),
            _ => instance,
        }
    }

    fn running_machines(&self) -> impl Iterator<Item = &Machine> {
        self.machines.iter().filter(|machine| machine.phase == Phase::Running)
    }

    fn running(&self) -> usize {
        self.running_machines().count()
    }

    /// Returns the number of instances at this time of the day.
    fn wanted(&self, elapsed: Duration) -> usize {
        let (least, most) = self.plan.size;
        let time_of_day = elapsed.div_duration_f64(DAY) - self.plan.day_start;
        let load = 0.5 + 0.5 * (TAU * time_of_day).sin();
        (least + ((most - least) as f64 * load).round() as usize) * self.scale
    }
}

impl Machine {
    fn interrupt(&mut self, managed_by: ManagedBy, context: &mut Context, events: &mut Vec<WorldEvent>) {
        if context.rng.random_bool(UNANNOUNCED) {
            self.terminate(StateReason::SpotTermination, context, events);
            return;
        }
        if context.rng.random_bool(RECOMMENDED) {
            events.push(WorldEvent::RebalanceRecommended(self.instance.clone()));
        }
        events.push(WorldEvent::Warned(self.instance.clone()));
        self.phase = match managed_by {
            ManagedBy::Karpenter | ManagedBy::AutoMode => {
                let seconds = context.rng.random_range(KARPENTER_SECONDS);
                Phase::Warned(context.elapsed + Duration::from_secs(seconds), StateReason::UserShutdown)
            }
            _ => Phase::Warned(context.elapsed + WARNING, StateReason::SpotTermination),
        };
    }

    fn terminate(&mut self, reason: StateReason, context: &Context, events: &mut Vec<WorldEvent>) {
        let was_warned = matches!(self.phase, Phase::Warned(..));
        self.phase = Phase::Terminated(context.elapsed);
        let instance = self.instance.clone().state(InstanceState::Terminated);
        self.instance = instance.reason(reason, Some(context.now()));
        events.push(WorldEvent::Terminated { instance: self.instance.clone(), was_warned });
    }
}
