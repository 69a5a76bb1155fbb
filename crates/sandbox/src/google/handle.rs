//! A running simulated Google and how to get one.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, OnceLock, PoisonError, Weak},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::Value;
use tokio::{
    task::JoinHandle,
    time::{Instant, MissedTickBehavior},
};
use tonic::Status;

use super::{
    Event, Instance, StartError, Truth, World,
    audit_log::{AuditLog, Naming},
    backend::Backend,
    compute::Compute,
    control::ControlRoutes,
    pubsub::PubSub,
};

/// The topic that interruptions are published to.
pub const INTERRUPTION_TOPIC: &str = "sie-interruption-topic";
/// The topic that creations are published to.
pub const CREATION_TOPIC: &str = "sie-creation-topic";
/// The subscription to the interruptions.
pub const INTERRUPTION_SUBSCRIPTION: &str = "sie-interruption-subscription";
/// The subscription to the creations.
pub const CREATION_SUBSCRIPTION: &str = "sie-creation-subscription";
/// The project, unless another is asked for.
pub const PROJECT: &str = "example-project";
/// Its number.
pub const PROJECT_NUMBER: u64 = 123_456_789_012;

/// How often a world that lives by the clock catches up with it.
const STEP: Duration = Duration::from_millis(500);
/// How much simulated time may have to be caught up on at once.
const MAX_CATCH_UP: f64 = 600.0;
/// The share of log entries that Cloud Logging delivers twice.
const REPEATED: f64 = 0.01;
/// The share of creations whose names carry the project's number.
const NUMBERED: f64 = 0.3;

/// A simulated Google Cloud with a world that lives in it. It stops when it is dropped.
pub struct Google {
    state: Arc<State>,
    clock: JoinHandle<()>,
}

/// What a [`Google`] is to be; every setting has a default.
#[derive(Clone, Debug)]
pub struct Builder {
    project: String,
    number: u64,
    pubsub_listen: SocketAddr,
    compute_listen: SocketAddr,
    emulator: Option<String>,
    seed: u64,
    speed: f64,
    scale: usize,
}

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
    log: AuditLog,
    rng: StdRng,
    /// Up to when the world has lived by the clock.
    at: Instant,
}

/// Log entries to be published.
#[derive(Default)]
struct Entries {
    interruptions: Vec<Bytes>,
    creations: Vec<Bytes>,
}

impl Default for Builder {
    fn default() -> Self {
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            project: PROJECT.to_owned(),
            number: PROJECT_NUMBER,
            pubsub_listen: anywhere,
            compute_listen: anywhere,
            emulator: None,
            seed: 1,
            speed: 0.0,
            scale: 1,
        }
    }
}

impl Builder {
    /// The project's id and number; by default [`PROJECT`] and [`PROJECT_NUMBER`].
    #[must_use]
    pub fn project(mut self, id: impl Into<String>, number: u64) -> Self {
        (self.project, self.number) = (id.into(), number);
        self
    }

    /// Where Pub/Sub listens; by default on a free port of 127.0.0.1.
    #[must_use]
    pub fn pubsub_listen(mut self, address: impl Into<SocketAddr>) -> Self {
        self.pubsub_listen = address.into();
        self
    }

    /// Where Compute Engine and the sandbox's own endpoint listen; by default on a free port of 127.0.0.1.
    #[must_use]
    pub fn compute_listen(mut self, address: impl Into<SocketAddr>) -> Self {
        self.compute_listen = address.into();
        self
    }

    /// Publishes into Google's emulator at this host and port instead of a Pub/Sub of its own.
    #[must_use]
    pub fn emulator(mut self, host: impl Into<String>) -> Self {
        self.emulator = Some(host.into());
        self
    }

    /// What decides on chance.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Simulated seconds in a second. By default zero: the world lives only by [`Google::advance`].
    #[must_use]
    pub fn speed(mut self, speed: f64) -> Self {
        self.speed = speed;
        self
    }

    /// How many times as large the node pools are; with zero there is nobody in the world.
    #[must_use]
    pub fn scale(mut self, scale: usize) -> Self {
        self.scale = scale;
        self
    }

    /// Listens, and creates the topics and subscriptions.
    ///
    /// # Errors
    ///
    /// If an address cannot be listened on, or the emulator refuses.
    pub async fn start(self) -> Result<Google, StartError> {
        let backend = match &self.emulator {
            Some(host) => Backend::emulator(host)?,
            None => {
                let builder = PubSub::builder().listen(self.pubsub_listen).seed(self.seed);
                Backend::Own(Box::new(builder.start().await?))
            }
        };
        for (topic, subscription) in
            [(INTERRUPTION_TOPIC, INTERRUPTION_SUBSCRIPTION), (CREATION_TOPIC, CREATION_SUBSCRIPTION)]
        {
            let topic = format!("projects/{}/topics/{topic}", self.project);
            backend.create(topic, format!("projects/{}/subscriptions/{subscription}", self.project)).await?;
        }

        let state = Arc::new(OnceLock::<Weak<State>>::new());
        let compute = Compute::builder()
            .listen(self.compute_listen)
            .project(&self.project, self.number)
            .start_with(vec![Box::new(ControlRoutes(Arc::clone(&state)))])
            .await?;
        let world = World::with_scale(self.seed, SystemTime::now(), self.scale);
        compute.insert_all(world.instances().cloned());
        let life = Life {
            world,
            log: AuditLog::new(&self.project, self.number),
            rng: StdRng::seed_from_u64(self.seed),
            at: Instant::now(),
        };
        let google = Arc::new(State {
            project: self.project,
            backend,
            compute,
            speed: std::sync::Mutex::new(self.speed),
            life: tokio::sync::Mutex::new(life),
        });
        // It is set this once.
        let _ = state.set(Arc::downgrade(&google));
        let clock = tokio::spawn(live(Arc::downgrade(&google)));
        Ok(Google { state: google, clock })
    }
}

impl Google {
    /// Starts with the defaults: a world that stands still in [`PROJECT`], on free ports of 127.0.0.1.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The Pub/Sub server, unless an emulator is in its place.
    #[must_use]
    pub fn pubsub(&self) -> Option<&PubSub> {
        self.state.backend.own()
    }

    /// The Compute API.
    #[must_use]
    pub fn compute(&self) -> &Compute {
        &self.state.compute
    }

    /// The full name of a topic, such as [`INTERRUPTION_TOPIC`].
    #[must_use]
    pub fn topic(&self, id: &str) -> String {
        format!("projects/{}/topics/{id}", self.state.project)
    }

    /// The full name of a subscription, such as [`INTERRUPTION_SUBSCRIPTION`].
    #[must_use]
    pub fn subscription(&self, id: &str) -> String {
        format!("projects/{}/subscriptions/{id}", self.state.project)
    }

    /// Makes the world live faster or slower, or stand still at zero; in simulated seconds per second.
    pub fn set_speed(&self, speed: f64) {
        self.state.set_speed(speed);
    }

    /// Lets time pass in the world and publishes what happens.
    ///
    /// # Errors
    ///
    /// If the emulator refuses.
    pub async fn advance(&self, elapsed: Duration) -> Result<Vec<Event>, Status> {
        self.state.happen(|world| world.advance(elapsed)).await
    }

    /// Preempts each spot VM of the world with this probability and publishes that; yields the interruptions.
    ///
    /// # Errors
    ///
    /// If the emulator refuses.
    pub async fn storm(&self, share: f64) -> Result<Vec<Event>, Status> {
        self.state.happen(|world| world.storm(share)).await
    }

    /// Preempts an instance of the world and publishes that; yields whether there was one to preempt.
    ///
    /// # Errors
    ///
    /// If the emulator refuses.
    pub async fn preempt(&self, zone: &str, name: &str) -> Result<bool, Status> {
        let events = self.state.happen(|world| world.preempt(zone, name).into_iter().collect()).await?;
        Ok(!events.is_empty())
    }

    /// What an exporter should have found out by now, apart from what was published by hand.
    pub async fn truth(&self) -> Truth {
        self.state.life.lock().await.world.truth()
    }

    /// Publishes a log entry to the interruptions, as it is.
    ///
    /// # Errors
    ///
    /// If the emulator refuses.
    pub async fn publish_interruption(&self, entry: &Value) -> Result<(), Status> {
        self.state.publish(INTERRUPTION_TOPIC, vec![entry.to_string().into()]).await
    }

    /// Publishes a log entry to the creations, as it is.
    ///
    /// # Errors
    ///
    /// If the emulator refuses.
    pub async fn publish_creation(&self, entry: &Value) -> Result<(), Status> {
        self.state.publish(CREATION_TOPIC, vec![entry.to_string().into()]).await
    }

    /// Closes the listeners and every connection, and lets the world stand still.
    pub async fn stop(&self) {
        self.clock.abort();
        self.state.compute.stop().await;
        if let Some(pubsub) = self.pubsub() {
            pubsub.stop().await;
        }
    }
}

impl Drop for Google {
    fn drop(&mut self) {
        self.clock.abort();
    }
}

impl State {
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
        life.log.at(now);
        let mut entries = Entries::default();
        for event in events {
            self.show(event, now);
            life.log_event(event, &mut entries);
        }
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

impl Life {
    fn log_event(&mut self, event: &Event, entries: &mut Entries) {
        let Self { log, rng, .. } = self;
        let naming = if rng.random_bool(NUMBERED) { Naming::Number } else { Naming::Id };
        match event {
            Event::Created(instance, version) => {
                let operation = log.through(*version).named_by(naming).inserted(instance);
                entries.creations.extend([&operation.first, &operation.last].map(payload));
            }
            Event::BulkCreated(instances, version) => {
                let bulk = log.through(*version).named_by(naming).bulk_inserted(instances);
                entries.creations.push(payload(&bulk.parent.first));
                entries.creations.extend(bulk.instances.iter().map(payload));
                entries.creations.push(payload(&bulk.parent.last));
            }
            Event::Failed(instance, version) => {
                entries.creations.push(payload(&log.through(*version).insert_failed(instance)));
            }
            Event::Preempted(instance) => {
                let entry = payload(&log.named_by(Naming::Id).preempted(instance));
                if rng.random_bool(REPEATED) {
                    entries.interruptions.push(entry.clone());
                }
                entries.interruptions.push(entry);
            }
            // The sinks leave deletions out.
            Event::Deleted(_) => {}
        }
    }
}

fn payload(entry: &Value) -> Bytes {
    entry.to_string().into()
}

/// Lets the world live by the clock for as long as there is somebody who has it.
async fn live(state: Weak<State>) {
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
