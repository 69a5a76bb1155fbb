//! The state of the simulation: the worlds of the projects, and where their events are published.

use std::{
    collections::BTreeMap,
    sync::{
        PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use tokio::time::{Instant, MissedTickBehavior};
use tonic::Status;

use super::{
    assets::{AssetInventory, ProjectAsset, ProjectState},
    backend::Backend,
    compute::{Access, Compute, ProjectCompute},
    event_log::EventLog,
    instance::Instance,
    names::{CREATION_TOPIC, FOLDER, INTERRUPTION_TOPIC},
    world::{Event, Truth, World},
};

/// The interval at which simulations follow the clock.
const STEP: Duration = Duration::from_millis(500);
/// The maximum number of simulated seconds of one step.
const MAX_CATCH_UP: f64 = 600.0;

/// The base of generated project numbers.
const OTHER_NUMBERS: u64 = 200_000_000_000;

/// Settings of new worlds.
#[derive(Clone, Copy, Debug)]
pub(super) struct WorldSettings {
    pub(super) seed: u64,
    pub(super) scale: usize,
}

/// The state shared by the handle and the control endpoint.
pub(super) struct Simulation {
    /// The first project, which has the topics.
    pub(super) project: String,
    pub(super) backend: Backend,
    pub(super) compute: Compute,
    pub(super) assets: AssetInventory,
    settings: WorldSettings,
    /// Whether events are published.
    sink: AtomicBool,
    speed: std::sync::Mutex<f64>,
    /// Locked while events are published, which keeps their order.
    simulations: tokio::sync::Mutex<ProjectSimulations>,
}

struct ProjectSimulations {
    /// The simulations of all projects, starting with the first one.
    projects: Vec<ProjectSimulation>,
    /// The time up to which the simulations have advanced.
    advanced_to: Instant,
}

/// The simulation of a project and the outputs of its events.
struct ProjectSimulation {
    compute: ProjectCompute,
    world: World,
    log: EventLog,
    /// Deleted projects have no events.
    is_deleted: bool,
}

impl Simulation {
    /// Returns a state with the projects of `compute`.
    pub(super) fn new(
        project: String,
        backend: Backend,
        compute: Compute,
        assets: AssetInventory,
        settings: WorldSettings,
        speed: f64,
    ) -> Self {
        let mut projects = Vec::new();
        for project in compute.projects() {
            assets.add(asset(&project));
            projects.push(ProjectSimulation::new(project, projects.len() as u64, settings));
        }
        Self {
            project,
            backend,
            compute,
            assets,
            settings,
            sink: AtomicBool::new(true),
            speed: std::sync::Mutex::new(speed),
            simulations: tokio::sync::Mutex::new(ProjectSimulations {
                projects,
                advanced_to: Instant::now(),
            }),
        }
    }

    pub(super) fn speed(&self) -> f64 {
        *self.speed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_speed(&self, speed: f64) {
        *self.speed.lock().unwrap_or_else(PoisonError::into_inner) = speed;
    }

    pub(super) fn sink(&self) -> bool {
        self.sink.load(Ordering::Relaxed)
    }

    pub(super) fn set_sink(&self, on: bool) {
        self.sink.store(on, Ordering::Relaxed);
    }

    /// Returns the expected results of an exporter by project id.
    pub(super) async fn truths(&self) -> BTreeMap<String, Truth> {
        let simulations = self.simulations.lock().await;
        simulations
            .projects
            .iter()
            .map(|simulation| (simulation.compute.id().to_owned(), simulation.truth()))
            .collect()
    }

    /// Returns the expected results of an exporter over all projects.
    pub(super) async fn truth(&self) -> Truth {
        let mut sum = Truth::default();
        for truth in self.truths().await.values() {
            sum.add(truth);
        }
        sum
    }

    /// Adds a project with a new simulation, or returns the existing project with this id.
    pub(super) async fn add_project(&self, id: &str, number: Option<u64>) -> ProjectCompute {
        let mut simulations = self.simulations.lock().await;
        if let Some(simulation) = simulations.projects.iter().find(|simulation| simulation.compute.id() == id)
        {
            return simulation.compute.clone();
        }
        let ordinal = simulations.projects.len() as u64;
        let project = self.compute.add_project(id, number.unwrap_or(OTHER_NUMBERS + ordinal));
        self.assets.add(asset(&project));
        simulations.projects.push(ProjectSimulation::new(project.clone(), ordinal, self.settings));
        project
    }

    /// Deletes a project and its resources. Returns whether the project existed.
    pub(super) async fn delete_project(&self, id: &str) -> bool {
        let mut simulations = self.simulations.lock().await;
        let Some(simulation) =
            simulations.projects.iter_mut().find(|simulation| simulation.compute.id() == id)
        else {
            return false;
        };
        simulation.is_deleted = true;
        simulation.compute.clear();
        simulation.compute.clear_operations();
        simulation.compute.set_access(Access::Deleted);
        self.assets.set_state(id, ProjectState::DeleteRequested);
        true
    }

    /// Changes the worlds, given by their project ids. Applies the events to Compute Engine and, unless the
    /// sink is off, publishes them.
    pub(super) async fn apply(
        &self,
        mut change: impl FnMut(&str, &mut World) -> Vec<Event>,
    ) -> Result<Vec<Event>, Status> {
        let mut simulations = self.simulations.lock().await;
        let mut all = Vec::new();
        for simulation in simulations.projects.iter_mut().filter(|simulation| !simulation.is_deleted) {
            let events = change(simulation.compute.id(), &mut simulation.world);
            self.report(simulation, &events).await?;
            all.extend(events);
        }
        Ok(all)
    }

    pub(super) async fn publish(&self, topic: &str, payloads: Vec<Bytes>) -> Result<(), Status> {
        if payloads.is_empty() {
            return Ok(());
        }
        self.backend.publish(&format!("projects/{}/topics/{topic}", self.project), payloads).await
    }

    async fn catch_up(&self) -> Result<(), Status> {
        let speed = self.speed();
        let elapsed = {
            let mut simulations = self.simulations.lock().await;
            let elapsed = simulations.advanced_to.elapsed();
            simulations.advanced_to += elapsed;
            elapsed
        };
        let seconds = (elapsed.as_secs_f64() * speed).clamp(0.0, MAX_CATCH_UP);
        // Only a speed that is NaN passes the clamp. It pauses the simulation.
        let simulated = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        self.apply(|_, world| world.advance(simulated)).await.map(drop)
    }

    /// Applies events to Compute Engine and publishes them.
    async fn report(&self, simulation: &mut ProjectSimulation, events: &[Event]) -> Result<(), Status> {
        // The simulation may run faster than real time, but log entries have real times.
        let now = SystemTime::now();
        for event in events {
            update_compute(&simulation.compute, event, now);
        }
        let entries = simulation.log.entries(events, now);
        simulation.compute.insert_operations(entries.operations);
        if !self.sink() {
            return Ok(());
        }
        self.publish(CREATION_TOPIC, entries.creations).await?;
        self.publish(INTERRUPTION_TOPIC, entries.interruptions).await
    }
}

impl ProjectSimulation {
    /// Returns a simulation. The ordinal zero is that of the first project.
    fn new(compute: ProjectCompute, ordinal: u64, settings: WorldSettings) -> Self {
        let WorldSettings { seed, scale } = settings;
        let now = SystemTime::now();
        let world = match ordinal {
            0 => World::with_scale(seed, now, scale),
            _ => World::of_other_project(ordinal, seed, now, scale),
        };
        compute.insert_all(world.instances().cloned());
        let log = EventLog::new(compute.id(), compute.number(), seed.wrapping_add(ordinal));
        Self { compute, world, log, is_deleted: false }
    }

    fn truth(&self) -> Truth {
        let truth = self.world.truth();
        if !self.is_deleted {
            return truth;
        }
        let spot_by_cluster = truth.spot_by_cluster.into_keys().map(|cluster| (cluster, 0)).collect();
        Truth { spot_by_cluster, instances: 0, ..truth }
    }
}

/// Applies an event to Compute Engine.
fn update_compute(compute: &ProjectCompute, event: &Event, now: SystemTime) {
    match event {
        Event::Created(instance, _) => compute.insert(instance.clone().created(now)),
        Event::BulkCreated(instances, _) => {
            compute.insert_all(instances.iter().map(|instance| instance.clone().created(now)));
        }
        Event::Failed(..) => {}
        Event::Preempted(Instance { zone, name, status, .. }) => compute.set_status(zone, name, *status),
        Event::Deleted(Instance { zone, name, .. }) => drop(compute.remove(zone, name)),
    }
}

/// Returns the default inventory entry of a project.
fn asset(project: &ProjectCompute) -> ProjectAsset {
    ProjectAsset::new(project.id(), project.number()).folder(FOLDER)
}

/// Advances the simulations with the clock until the state is dropped.
pub(super) async fn run_clock(simulation: Weak<Simulation>) {
    let mut interval = tokio::time::interval(STEP);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let Some(simulation) = simulation.upgrade() else { return };
        if let Err(error) = simulation.catch_up().await {
            tracing::warn!(%error, "cannot publish events");
        }
    }
}
