//! What the handle and the control endpoint share: the world, and where its events show.

use std::{
    sync::{PoisonError, Weak},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use tokio::time::{Instant, MissedTickBehavior};
use tonic::Status;

use super::{
    backend::Backend,
    compute::Compute,
    event_log::EventLog,
    instance::Instance,
    names::{CREATION_TOPIC, INTERRUPTION_TOPIC},
    world::{Event, Truth, World},
};

/// How often a world that lives by the clock catches up with it.
const STEP: Duration = Duration::from_millis(500);
/// How much simulated time may have to be caught up on at once.
const MAX_CATCH_UP: f64 = 600.0;

/// What runs, for as long as somebody has it.
pub(super) struct State {
    pub(super) project: String,
    pub(super) backend: Backend,
    pub(super) compute: Compute,
    speed: std::sync::Mutex<f64>,
    /// Held while events are published, so that they are in order.
    life: tokio::sync::Mutex<Life>,
}

struct Life {
    world: World,
    log: EventLog,
    /// Up to when the world has lived by the clock.
    at: Instant,
}

impl State {
    pub(super) fn new(
        project: String,
        backend: Backend,
        compute: Compute,
        world: World,
        log: EventLog,
        speed: f64,
    ) -> Self {
        Self {
            project,
            backend,
            compute,
            speed: std::sync::Mutex::new(speed),
            life: tokio::sync::Mutex::new(Life { world, log, at: Instant::now() }),
        }
    }

    pub(super) fn speed(&self) -> f64 {
        *self.speed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_speed(&self, speed: f64) {
        *self.speed.lock().unwrap_or_else(PoisonError::into_inner) = speed;
    }

    pub(super) async fn truth(&self) -> Truth {
        self.life.lock().await.world.truth()
    }

    /// Lets something happen in the world; it shows in Compute Engine and is published.
    pub(super) async fn happen(
        &self,
        change: impl FnOnce(&mut World) -> Vec<Event>,
    ) -> Result<Vec<Event>, Status> {
        let mut life = self.life.lock().await;
        let events = change(&mut life.world);
        self.tell(&mut life, &events).await?;
        Ok(events)
    }

    pub(super) async fn publish(&self, topic: &str, payloads: Vec<Bytes>) -> Result<(), Status> {
        if payloads.is_empty() {
            return Ok(());
        }
        self.backend.publish(&format!("projects/{}/topics/{topic}", self.project), payloads).await
    }

    async fn catch_up(&self) -> Result<(), Status> {
        let speed = self.speed();
        let mut life = self.life.lock().await;
        let elapsed = life.at.elapsed();
        life.at += elapsed;
        let seconds = (elapsed.as_secs_f64() * speed).clamp(0.0, MAX_CATCH_UP);
        // Only a speed that is no number gets past the clamp, and time stands still then.
        let simulated = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        let events = life.world.advance(simulated);
        self.tell(&mut life, &events).await
    }

    async fn tell(&self, life: &mut Life, events: &[Event]) -> Result<(), Status> {
        // The world's own time may run faster than that of whoever reads the entries.
        let now = SystemTime::now();
        for event in events {
            self.show(event, now);
        }
        let entries = life.log.entries(events, now);
        self.publish(CREATION_TOPIC, entries.creations).await?;
        self.publish(INTERRUPTION_TOPIC, entries.interruptions).await
    }

    /// Lets Compute Engine know.
    fn show(&self, event: &Event, now: SystemTime) {
        match event {
            Event::Created(instance, _) => self.compute.insert(instance.clone().created(now)),
            Event::BulkCreated(instances, _) => {
                self.compute.insert_all(instances.iter().map(|instance| instance.clone().created(now)));
            }
            Event::Failed(..) => {}
            Event::Preempted(Instance { zone, name, status, .. }) => {
                self.compute.set_status(zone, name, *status);
            }
            Event::Deleted(Instance { zone, name, .. }) => drop(self.compute.remove(zone, name)),
        }
    }
}

/// Lets the world live by the clock for as long as there is somebody who has it.
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
