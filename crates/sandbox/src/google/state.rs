//! What the handle and the control endpoint share: the worlds of the projects, and where their events show.

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

/// How often a world that lives by the clock catches up with it.
const STEP: Duration = Duration::from_millis(500);
/// How much simulated time may have to be caught up on at once.
const MAX_CATCH_UP: f64 = 600.0;

/// The numbers of projects that are added without one follow this.
const OTHER_NUMBERS: u64 = 200_000_000_000;

/// What worlds are made from.
#[derive(Clone, Copy, Debug)]
pub(super) struct WorldSettings {
    pub(super) seed: u64,
    pub(super) scale: usize,
}

/// What runs, for as long as somebody has it.
pub(super) struct State {
    /// The project of the topics, which is the first one.
    pub(super) project: String,
    pub(super) backend: Backend,
    pub(super) compute: Compute,
    pub(super) assets: AssetInventory,
    settings: WorldSettings,
    /// Whether what happens is published.
    sink: AtomicBool,
    speed: std::sync::Mutex<f64>,
    /// Held while events are published, so that they are in order.
    lives: tokio::sync::Mutex<Lives>,
}

struct Lives {
    /// One for each project, the first one first.
    lives: Vec<Life>,
    /// Up to when the worlds have lived by the clock.
    at: Instant,
}

/// A project's world, and where its events show.
struct Life {
    compute: ProjectCompute,
    world: World,
    log: EventLog,
    /// Nothing happens any more in a project that is deleted.
    is_deleted: bool,
}

impl State {
    /// A state with the projects that `compute` has.
    pub(super) fn new(
        project: String,
        backend: Backend,
        compute: Compute,
        assets: AssetInventory,
        settings: WorldSettings,
        speed: f64,
    ) -> Self {
        let mut lives = Vec::new();
        for project in compute.projects() {
            assets.add(asset(&project));
            lives.push(Life::new(project, lives.len() as u64, settings));
        }
        Self {
            project,
            backend,
            compute,
            assets,
            settings,
            sink: AtomicBool::new(true),
            speed: std::sync::Mutex::new(speed),
            lives: tokio::sync::Mutex::new(Lives { lives, at: Instant::now() }),
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

    /// What there is in each project, by its id.
    pub(super) async fn truths(&self) -> BTreeMap<String, Truth> {
        let lives = self.lives.lock().await;
        lives.lives.iter().map(|life| (life.compute.id().to_owned(), life.truth())).collect()
    }

    /// What there is in all projects together.
    pub(super) async fn truth(&self) -> Truth {
        let mut sum = Truth::default();
        for truth in self.truths().await.values() {
            sum.add(truth);
        }
        sum
    }

    /// Adds a project with a world of its own, unless there is one of this id.
    pub(super) async fn add_project(&self, id: &str, number: Option<u64>) -> ProjectCompute {
        let mut lives = self.lives.lock().await;
        if let Some(life) = lives.lives.iter().find(|life| life.compute.id() == id) {
            return life.compute.clone();
        }
        let ordinal = lives.lives.len() as u64;
        let project = self.compute.add_project(id, number.unwrap_or(OTHER_NUMBERS + ordinal));
        self.assets.add(asset(&project));
        lives.lives.push(Life::new(project.clone(), ordinal, self.settings));
        project
    }

    /// Deletes a project with everything in it; says whether there is such a project.
    pub(super) async fn delete_project(&self, id: &str) -> bool {
        let mut lives = self.lives.lock().await;
        let Some(life) = lives.lives.iter_mut().find(|life| life.compute.id() == id) else { return false };
        life.is_deleted = true;
        life.compute.clear();
        life.compute.clear_operations();
        life.compute.set_access(Access::Deleted);
        self.assets.set_state(id, ProjectState::DeleteRequested);
        true
    }

    /// Lets something happen in the worlds, given by the ids of their projects; it shows in Compute Engine and, unless
    /// the sink is off, is published.
    pub(super) async fn happen(
        &self,
        mut change: impl FnMut(&str, &mut World) -> Vec<Event>,
    ) -> Result<Vec<Event>, Status> {
        let mut lives = self.lives.lock().await;
        let mut all = Vec::new();
        for life in lives.lives.iter_mut().filter(|life| !life.is_deleted) {
            let events = change(life.compute.id(), &mut life.world);
            self.report(life, &events).await?;
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
            let mut lives = self.lives.lock().await;
            let elapsed = lives.at.elapsed();
            lives.at += elapsed;
            elapsed
        };
        let seconds = (elapsed.as_secs_f64() * speed).clamp(0.0, MAX_CATCH_UP);
        // Only a speed that is no number gets past the clamp, and time stands still then.
        let simulated = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        self.happen(|_, world| world.advance(simulated)).await.map(drop)
    }

    /// Lets events show in Compute Engine and publishes them.
    async fn report(&self, life: &mut Life, events: &[Event]) -> Result<(), Status> {
        // The world's time may run faster than real time; log entries carry real time.
        let now = SystemTime::now();
        for event in events {
            show(&life.compute, event, now);
        }
        let entries = life.log.entries(events, now);
        life.compute.insert_operations(entries.operations);
        if !self.sink() {
            return Ok(());
        }
        self.publish(CREATION_TOPIC, entries.creations).await?;
        self.publish(INTERRUPTION_TOPIC, entries.interruptions).await
    }
}

impl Life {
    /// The world of the first project, or with another ordinal than zero of one that was added.
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

/// Lets Compute Engine know of an event.
fn show(compute: &ProjectCompute, event: &Event, now: SystemTime) {
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

/// A project as it stands in the inventory unless somebody changes that.
fn asset(project: &ProjectCompute) -> ProjectAsset {
    ProjectAsset::new(project.id(), project.number()).folder(FOLDER)
}

/// Lets the worlds live by the clock for as long as there is somebody who has them.
pub(super) async fn live(state: Weak<State>) {
    let mut interval = tokio::time::interval(STEP);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let Some(state) = state.upgrade() else { return };
        if let Err(error) = state.catch_up().await {
            tracing::warn!(%error, "events are lost");
        }
    }
}
