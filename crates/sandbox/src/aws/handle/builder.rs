//! Settings and start of the simulated AWS.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, OnceLock},
};

use super::Aws;
use crate::{
    ListenError,
    aws::{
        api::Api,
        control::ControlRoutes,
        names::{ACCOUNT, DUMMY_KEY_ID, DUMMY_SECRET, OTHER_REGION, QUEUE, REGION},
        simulation::{Simulation, run_clock},
        sqs::Queues,
        time::ServiceClock,
    },
    routes::Routes,
    server::Server,
};

/// Settings of an [`Aws`]. All have defaults.
#[derive(Clone, Debug)]
pub struct Builder {
    listen: SocketAddr,
    seed: u64,
    queue: (String, String, String),
    queues: Vec<(String, String, String)>,
    users: Vec<(String, String, String)>,
    accepts_dummy_key: bool,
    /// The factor of the node pool sizes of the world; `None` without a world.
    scale: Option<usize>,
    speed: f64,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            seed: 1,
            queue: (ACCOUNT.to_owned(), REGION.to_owned(), QUEUE.to_owned()),
            queues: Vec::new(),
            users: Vec::new(),
            accepts_dummy_key: true,
            scale: None,
            speed: 0.0,
        }
    }
}

impl Builder {
    /// Sets the listen address. The default is a free port of 127.0.0.1.
    #[must_use]
    pub fn listen(mut self, address: impl Into<SocketAddr>) -> Self {
        self.listen = address.into();
        self
    }

    /// Sets the seed of the random numbers.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets the first queue by account, region and name. The default is [`ACCOUNT`], [`REGION`] and [`QUEUE`].
    #[must_use]
    pub fn queue(
        mut self,
        account: impl Into<String>,
        region: impl Into<String>,
        name: impl Into<String>,
    ) -> Self {
        self.queue = (account.into(), region.into(), name.into());
        self
    }

    /// Adds a queue by account, region and name.
    #[must_use]
    pub fn add_queue(
        mut self,
        account: impl Into<String>,
        region: impl Into<String>,
        name: impl Into<String>,
    ) -> Self {
        self.queues.push((account.into(), region.into(), name.into()));
        self
    }

    /// Adds an access key of an account.
    #[must_use]
    pub fn add_key(
        mut self,
        key_id: impl Into<String>,
        secret: impl Into<String>,
        account: impl Into<String>,
    ) -> Self {
        self.users.push((key_id.into(), secret.into(), account.into()));
        self
    }

    /// Rejects the dummy credentials [`DUMMY_KEY_ID`] and [`DUMMY_SECRET`], which otherwise belong to
    /// [`ACCOUNT`].
    #[must_use]
    pub fn without_dummy_key(mut self) -> Self {
        self.accepts_dummy_key = false;
        self
    }

    /// Simulates a [`World`](crate::aws::World) of clusters in two regions and two accounts, and adds a queue of
    /// [`OTHER_REGION`] with the account and name of the first one. The events of both accounts are sent to the
    /// queue of their region.
    #[must_use]
    pub fn simulated(mut self) -> Self {
        self.scale.get_or_insert(1);
        self
    }

    /// Simulates a world whose node pools have `scale` times the default size. With zero there are no
    /// instances. See [`simulated`](Self::simulated).
    #[must_use]
    pub fn scale(mut self, scale: usize) -> Self {
        self.scale = Some(scale);
        self
    }

    /// Sets the speed of the world in simulated seconds per second. With the default of zero, time passes only
    /// by [`Aws::advance`].
    #[must_use]
    pub fn speed(mut self, speed: f64) -> Self {
        self.speed = speed;
        self
    }

    /// Starts the server.
    ///
    /// # Errors
    ///
    /// Returns an error if the server cannot listen on the address.
    pub async fn start(self) -> Result<Aws, ListenError> {
        let (base, clock) = (Arc::new(OnceLock::new()), Arc::new(ServiceClock::default()));
        let queues = Queues::new(Arc::clone(&base), Arc::clone(&clock), self.seed);
        let (account, region, name) = &self.queue;
        let queue = queues.add(account, region, name);
        for (account, region, name) in &self.queues {
            queues.add(account, region, name);
        }
        let api = Arc::new(Api::new(clock, queues, self.seed));
        if self.accepts_dummy_key {
            api.keys.add_user(DUMMY_KEY_ID, DUMMY_SECRET, ACCOUNT);
        }
        for (key_id, secret, account) in &self.users {
            api.keys.add_user(key_id, secret, account);
        }
        let simulation = self.scale.map(|scale| {
            api.queues.add(account, OTHER_REGION, name);
            Arc::new(Simulation::new(Arc::clone(&api), self.seed, scale, self.speed))
        });
        let control =
            ControlRoutes { api: Arc::clone(&api), queue: queue.clone(), simulation: simulation.clone() };
        let routes = Arc::new(Routes::new(Arc::clone(&api), vec![Box::new(control)]));
        let server = Server::start(self.listen, None, routes).await?;
        // The cell is set only here.
        let _ = base.set(format!("http://{}", server.reachable()));
        let clock = simulation.as_ref().map(|simulation| tokio::spawn(run_clock(Arc::downgrade(simulation))));
        Ok(Aws { api, server, queue, simulation, clock })
    }
}
