//! The public handle of the simulated Google Cloud.

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
    simulation::{Simulation, WorldSettings, run_clock},
    world::{Event, Truth},
};

/// A running simulated Google Cloud. Dropping it stops the simulation.
pub struct Google {
    simulation: Arc<Simulation>,
    clock: JoinHandle<()>,
}

/// Settings of a [`Google`]. All have defaults.
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
    /// Sets the id and the number of the first project. The defaults are [`PROJECT`] and [`PROJECT_NUMBER`].
    #[must_use]
    pub fn project(mut self, id: impl Into<String>, number: u64) -> Self {
        (self.project, self.number) = (id.into(), number);
        self
    }

    /// Adds a project with separate clusters. Its events are published to the topics of the first project,
    /// like those of an aggregated log sink.
    #[must_use]
    pub fn add_project(mut self, id: impl Into<String>, number: u64) -> Self {
        self.others.push((id.into(), number));
        self
    }

    /// Sets the listen address of Pub/Sub. The default is a free port of 127.0.0.1.
    #[must_use]
    pub fn pubsub_listen(mut self, address: impl Into<SocketAddr>) -> Self {
        self.pubsub_listen = address.into();
        self
    }

    /// Sets the listen address of Compute Engine, Cloud Asset Inventory and the control endpoint. The default
    /// is a free port of 127.0.0.1.
    #[must_use]
    pub fn compute_listen(mut self, address: impl Into<SocketAddr>) -> Self {
        self.compute_listen = address.into();
        self
    }

    /// Publishes to Google's emulator at this host and port instead of the simulated Pub/Sub.
    #[must_use]
    pub fn emulator(mut self, host: impl Into<String>) -> Self {
        self.emulator = Some(host.into());
        self
    }

    /// Sets the seed of the random numbers.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets the speed in simulated seconds per second. With the default of zero, time passes only by
    /// [`Google::advance`].
    #[must_use]
    pub fn speed(mut self, speed: f64) -> Self {
        self.speed = speed;
        self
    }

    /// Multiplies the sizes of the node pools. With zero there are no instances.
    #[must_use]
    pub fn scale(mut self, scale: usize) -> Self {
        self.scale = scale;
        self
    }

    /// Starts the servers and creates the topics and subscriptions.
    ///
    /// # Errors
    ///
    /// Returns an error if a server cannot listen on its address or the emulator rejects a request.
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

        let state = Arc::new(OnceLock::<Weak<Simulation>>::new());
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
        let google = Arc::new(Simulation::new(self.project, backend, compute, assets, settings, self.speed));
        // The cell is set only here.
        let _ = state.set(Arc::downgrade(&google));
        let clock = tokio::spawn(run_clock(Arc::downgrade(&google)));
        Ok(Google { simulation: google, clock })
    }
}

impl Google {
    /// Returns a builder with the defaults: the project [`PROJECT`], a paused simulation, free ports of
    /// 127.0.0.1.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Returns the Pub/Sub server; `None` with an emulator.
    #[must_use]
    pub fn pubsub(&self) -> Option<&PubSub> {
        self.simulation.backend.own()
    }

    /// Returns the Compute API.
    #[must_use]
    pub fn compute(&self) -> &Compute {
        &self.simulation.compute
    }

    /// Returns the asset inventory. It contains every project, in [`FOLDER`] of [`ORGANIZATION`], until the
    /// project is removed from it.
    ///
    /// [`FOLDER`]: super::FOLDER
    ///
    /// [`ORGANIZATION`]: super::ORGANIZATION
    #[must_use]
    pub fn assets(&self) -> &AssetInventory {
        &self.simulation.assets
    }

    /// Adds a project with separate clusters, or returns the existing project with this id.
    pub async fn add_project(&self, id: &str, number: u64) -> ProjectCompute {
        self.simulation.add_project(id, Some(number)).await
    }

    /// Adds a project with a generated number.
    pub async fn add_numbered_project(&self, id: &str) -> ProjectCompute {
        self.simulation.add_project(id, None).await
    }

    /// Deletes a project and its resources: Compute Engine returns HTTP 403, and the inventory reports the
    /// state `DELETE_REQUESTED`. Returns whether the project existed.
    pub async fn delete_project(&self, id: &str) -> bool {
        self.simulation.delete_project(id).await
    }

    /// Returns the full name of a topic, such as [`INTERRUPTION_TOPIC`].
    #[must_use]
    pub fn topic(&self, id: &str) -> String {
        format!("projects/{}/topics/{id}", self.simulation.project)
    }

    /// Returns the full name of a subscription, such as [`INTERRUPTION_SUBSCRIPTION`].
    #[must_use]
    pub fn subscription(&self, id: &str) -> String {
        format!("projects/{}/subscriptions/{id}", self.simulation.project)
    }

    /// Sets the speed in simulated seconds per second. Zero pauses the simulation.
    pub fn set_speed(&self, speed: f64) {
        self.simulation.set_speed(speed);
    }

    /// Turns the log sink on or off. While it is off, events change Compute Engine and create operations but
    /// are not published, not even later.
    pub fn set_sink(&self, on: bool) {
        self.simulation.set_sink(on);
    }

    /// Advances the simulation and publishes its events.
    ///
    /// # Errors
    ///
    /// Returns an error if the emulator rejects a request.
    pub async fn advance(&self, elapsed: Duration) -> Result<Vec<Event>, Status> {
        self.simulation.apply(|_, world| world.advance(elapsed)).await
    }

    /// Preempts each spot instance with this probability. Publishes and returns the interruptions.
    ///
    /// # Errors
    ///
    /// Returns an error if the emulator rejects a request.
    pub async fn burst(&self, share: f64) -> Result<Vec<Event>, Status> {
        self.simulation.apply(|_, world| world.burst(share)).await
    }

    /// Returns the expected results of an exporter over all projects. Clusters with the same name are added
    /// up.
    pub async fn truth(&self) -> Truth {
        self.simulation.truth().await
    }

    /// Returns the expected results of an exporter by project id.
    pub async fn truths(&self) -> BTreeMap<String, Truth> {
        self.simulation.truths().await
    }

    /// Closes the listeners and all connections and stops the simulation.
    pub async fn stop(&self) {
        self.clock.abort();
        self.simulation.compute.stop().await;
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
