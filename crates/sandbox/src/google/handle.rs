//! A running simulated Google and how to get one.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use tokio::task::JoinHandle;
use tonic::Status;

use super::{
    assets::AssetInventory,
    backend::Backend,
    compute::{Compute, ProjectCompute},
    control::ControlRoutes,
    error::StartError,
    names::{
        CREATION_SUBSCRIPTION, CREATION_TOPIC, INTERRUPTION_SUBSCRIPTION, INTERRUPTION_TOPIC, PROJECT,
        PROJECT_NUMBER,
    },
    pubsub::PubSub,
    state::{State, WorldSettings, live},
    world::{Event, Truth},
};

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
    others: Vec<(String, u64)>,
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
            others: Vec::new(),
        }
    }
}

impl Builder {
    /// The first project's id and number; by default [`PROJECT`] and [`PROJECT_NUMBER`].
    #[must_use]
    pub fn project(mut self, id: impl Into<String>, number: u64) -> Self {
        (self.project, self.number) = (id.into(), number);
        self
    }

    /// Adds another project, which has a world of its own with other clusters. Its events are published to the topics of
    /// the first project, as by a sink of the folder or the organization.
    #[must_use]
    pub fn add_project(mut self, id: impl Into<String>, number: u64) -> Self {
        self.others.push((id.into(), number));
        self
    }

    /// Where Pub/Sub listens; by default on a free port of 127.0.0.1.
    #[must_use]
    pub fn pubsub_listen(mut self, address: impl Into<SocketAddr>) -> Self {
        self.pubsub_listen = address.into();
        self
    }

    /// Where Compute Engine, Cloud Asset Inventory and the sandbox's own endpoint listen; by default on a free port of 127.0.0.1.
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
        let assets = AssetInventory::new();
        let mut compute = Compute::builder()
            .listen(self.compute_listen)
            .project(&self.project, self.number)
            .assets(&assets);
        for (id, number) in self.others {
            compute = compute.add_project(id, number);
        }
        let compute = compute.start_with(vec![Box::new(ControlRoutes(Arc::clone(&state)))]).await?;
        let settings = WorldSettings { seed: self.seed, scale: self.scale };
        let google = Arc::new(State::new(self.project, backend, compute, assets, settings, self.speed));
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

    /// The inventory in which projects are found. Every project is in it, in [`FOLDER`] of [`ORGANIZATION`], until it is
    /// removed.
    ///
    /// [`FOLDER`]: super::FOLDER
    /// [`ORGANIZATION`]: super::ORGANIZATION
    #[must_use]
    pub fn assets(&self) -> &AssetInventory {
        &self.state.assets
    }

    /// Adds a project with a world of its own, unless there is one of this id.
    pub async fn add_project(&self, id: &str, number: u64) -> ProjectCompute {
        self.state.add_project(id, Some(number)).await
    }

    /// The same with a number that no other project has.
    pub async fn add_numbered_project(&self, id: &str) -> ProjectCompute {
        self.state.add_project(id, None).await
    }

    /// Deletes a project with everything in it: Compute Engine refuses to tell of it, and the inventory says that its
    /// deletion was requested. Says whether there is such a project.
    pub async fn delete_project(&self, id: &str) -> bool {
        self.state.delete_project(id).await
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

    /// Switches the log sink off or on again. While it is off, what happens shows in Compute Engine, also as operations,
    /// but is not published, and never will be. What is published by hand is published all the same.
    pub fn set_sink(&self, on: bool) {
        self.state.set_sink(on);
    }

    /// Lets time pass in every world and publishes what happens.
    ///
    /// # Errors
    ///
    /// If the emulator refuses.
    pub async fn advance(&self, elapsed: Duration) -> Result<Vec<Event>, Status> {
        self.state.happen(|_, world| world.advance(elapsed)).await
    }

    /// Preempts each spot VM of every world with this probability and publishes that; yields the interruptions.
    ///
    /// # Errors
    ///
    /// If the emulator refuses.
    pub async fn storm(&self, share: f64) -> Result<Vec<Event>, Status> {
        self.state.happen(|_, world| world.storm(share)).await
    }

    /// What an exporter should have found out by now in all projects together, apart from what was published by hand.
    /// Clusters of one name are counted together.
    pub async fn truth(&self) -> Truth {
        self.state.truth().await
    }

    /// The same for each project, by its id.
    pub async fn truths(&self) -> BTreeMap<String, Truth> {
        self.state.truths().await
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
