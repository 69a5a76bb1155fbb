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
        names::{ACCOUNT, DUMMY_KEY_ID, DUMMY_SECRET, QUEUE, REGION},
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
        let routes = Arc::new(Routes::new(Arc::clone(&api), Vec::new()));
        let server = Server::start(self.listen, None, routes).await?;
        // The cell is set only here.
        let _ = base.set(format!("http://{}", server.reachable()));
        Ok(Aws { api, server, queue })
    }
}
