//! A running Compute API and how to get one.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use super::{
    api::Api,
    recorded::{Operation, Recorded},
};
use crate::{
    google::{
        error::StartError,
        instance::{Instance, Status},
        project::Project,
    },
    reply::Override,
    routes::{Route, Routes},
    server::Server,
};

/// A Compute API that listens. It stops when it is dropped.
pub struct Compute {
    api: Arc<Api>,
    server: Server<Routes<Api>>,
}

/// What a [`Compute`] is to be; every setting has a default.
#[derive(Clone, Debug)]
pub struct Builder {
    listen: SocketAddr,
    project: Project,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            project: Project { id: "example-project".to_owned(), number: 123_456_789_012 },
        }
    }
}

impl Builder {
    /// Where to listen; by default on a free port of 127.0.0.1.
    #[must_use]
    pub fn listen(mut self, address: impl Into<SocketAddr>) -> Self {
        self.listen = address.into();
        self
    }

    /// The one project that there is; by default `example-project`, 123456789012.
    #[must_use]
    pub fn project(mut self, id: impl Into<String>, number: u64) -> Self {
        self.project = Project { id: id.into(), number };
        self
    }

    /// Listens.
    ///
    /// # Errors
    ///
    /// If the address cannot be listened on.
    pub async fn start(self) -> Result<Compute, StartError> {
        self.start_with(Vec::new()).await
    }

    /// Listens, and serves others on the same port.
    pub(in crate::google) async fn start_with(
        self,
        others: Vec<Box<dyn Route>>,
    ) -> Result<Compute, StartError> {
        let api = Arc::new(Api::new(self.project));
        let routes = Arc::new(Routes::new(Arc::clone(&api), others));
        let server = Server::start(self.listen, None, routes).await?;
        Ok(Compute { api, server })
    }
}

impl Compute {
    /// Starts with the defaults: no instances, on a free port of 127.0.0.1.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The endpoint to configure: what comes before `/compute/v1/`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.server.reachable())
    }

    /// Refuses those who do not name this token, for good.
    pub fn require_token(&self, token: &str) {
        self.api.bearer.require(token);
    }

    /// Adds an instance in the place of the one with the same zone and name.
    pub fn insert(&self, instance: Instance) {
        self.api.fleet().insert(instance);
    }

    /// Adds instances.
    pub fn insert_all(&self, instances: impl IntoIterator<Item = Instance>) {
        let mut fleet = self.api.fleet();
        for instance in instances {
            fleet.insert(instance);
        }
    }

    /// Removes an instance, as if it had been deleted.
    pub fn remove(&self, zone: &str, name: &str) -> Option<Instance> {
        self.api.fleet().remove(zone, name)
    }

    /// Changes what an instance is doing; nothing happens if there is none.
    pub fn set_status(&self, zone: &str, name: &str, status: Status) {
        self.api.fleet().set_status(zone, name, status);
    }

    /// Removes every instance.
    pub fn clear(&self) {
        self.api.fleet().clear();
    }

    /// The instances, by zone and name.
    #[must_use]
    pub fn instances(&self) -> Vec<Instance> {
        self.api.fleet().all().cloned().collect()
    }

    /// An instance, if there is one.
    #[must_use]
    pub fn instance(&self, zone: &str, name: &str) -> Option<Instance> {
        self.api.fleet().get(zone, name).cloned()
    }

    /// Makes just these zones unreachable: lists have a warning in the place of their instances.
    pub fn set_unreachable<Z: Into<String>>(&self, zones: impl IntoIterator<Item = Z>) {
        self.api.fleet().unreachable = zones.into_iter().map(Into::into).collect();
    }

    /// Prescribes the reply to an operation.
    ///
    /// Replies with a count are given first, in the order in which they were prescribed; one without a count
    /// is given for ever after and replaces the last of its kind. What is prescribed for one page goes before
    /// what is prescribed for all of them.
    pub fn override_reply(&self, operation: Operation, reply: impl Into<Override>) {
        self.api.add_override(operation, reply.into());
    }

    /// Forgets every override. Requests that are held stay so.
    pub fn clear_overrides(&self) {
        self.api.clear_overrides();
    }

    /// The last 10,000 requests, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        self.api.journal.recent()
    }

    /// How many requests there have been of an operation; for a list that is its first pages.
    #[must_use]
    pub fn count(&self, operation: Operation) -> u64 {
        self.api.journal.count(&counted(operation).to_string())
    }

    /// Waits until `count` requests of an operation have arrived since the start; for a list that is its first
    /// pages.
    pub async fn wait_for(&self, operation: Operation, count: u64) {
        self.api.journal.wait_for(&counted(operation).to_string(), count).await;
    }

    /// Closes the listener and every connection, so that clients are refused. What is known stays known.
    pub async fn stop(&self) {
        self.server.stop().await;
    }

    /// Listens again on the same address, after a [`stop`](Self::stop) or instead of one.
    ///
    /// # Errors
    ///
    /// If the address has been taken by somebody else.
    pub async fn restart(&self) -> Result<(), StartError> {
        Ok(self.server.restart().await?)
    }
}

/// Lists are counted by the page that each of them has.
fn counted(operation: Operation) -> Operation {
    match operation {
        Operation::List => Operation::Page(1),
        Operation::Page(_) | Operation::Get => operation,
    }
}
