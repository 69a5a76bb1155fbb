//! A running Compute API and how to get one.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use super::{
    api::Api,
    project::ProjectCompute,
    recorded::{Operation, Recorded},
    zone_operation::ZoneOperation,
};
use crate::{
    google::{
        assets::AssetInventory,
        error::StartError,
        instance::Instance,
        names::{PROJECT, PROJECT_NUMBER},
        project::Project,
    },
    reply::Override,
    routes::{Route, Routes},
    server::Server,
};

/// A Compute API that listens. It stops when it is dropped.
pub struct Compute {
    api: Arc<Api>,
    /// The project that is meant where none is named.
    first: ProjectCompute,
    server: Server<Routes<Api>>,
}

/// What a [`Compute`] is to be; every setting has a default.
#[derive(Clone)]
pub struct Builder {
    listen: SocketAddr,
    project: Project,
    others: Vec<Project>,
    assets: Option<AssetInventory>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            project: Project { id: PROJECT.to_owned(), number: PROJECT_NUMBER },
            others: Vec::new(),
            assets: None,
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

    /// The first project, which is the only one unless others are added; by default `example-project`, 123456789012.
    #[must_use]
    pub fn project(mut self, id: impl Into<String>, number: u64) -> Self {
        self.project = Project { id: id.into(), number };
        self
    }

    /// Adds another project.
    #[must_use]
    pub fn add_project(mut self, id: impl Into<String>, number: u64) -> Self {
        self.others.push(Project { id: id.into(), number });
        self
    }

    /// Serves an inventory of assets on the same port.
    #[must_use]
    pub fn assets(mut self, assets: &AssetInventory) -> Self {
        self.assets = Some(assets.clone());
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
        mut others: Vec<Box<dyn Route>>,
    ) -> Result<Compute, StartError> {
        let api = Arc::new(Api::new());
        let first = api.add_project(self.project);
        for project in self.others {
            api.add_project(project);
        }
        if let Some(assets) = self.assets {
            others.push(Box::new(assets));
        }
        let routes = Arc::new(Routes::new(Arc::clone(&api), others));
        let server = Server::start(self.listen, None, routes).await?;
        Ok(Compute { api, first, server })
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

    /// Adds a project, unless there is one of this id.
    pub fn add_project(&self, id: impl Into<String>, number: u64) -> ProjectCompute {
        self.api.add_project(Project { id: id.into(), number })
    }

    /// One of the projects, by its id or number.
    #[must_use]
    pub fn project(&self, id: &str) -> Option<ProjectCompute> {
        self.api.find(id)
    }

    /// Every project, the first one first.
    #[must_use]
    pub fn projects(&self) -> Vec<ProjectCompute> {
        self.api.projects()
    }

    /// Adds an instance to the first project, in the place of the one with the same zone and name.
    pub fn insert(&self, instance: Instance) {
        self.first.insert(instance);
    }

    /// Adds instances to the first project.
    pub fn insert_all(&self, instances: impl IntoIterator<Item = Instance>) {
        self.first.insert_all(instances);
    }

    /// Adds an operation to the first project, in the place of the one with the same zone and name.
    pub fn insert_operation(&self, operation: ZoneOperation) {
        self.first.insert_operation(operation);
    }

    /// The first project, which is meant where none is named.
    #[must_use]
    pub fn first(&self) -> &ProjectCompute {
        &self.first
    }

    /// Removes an instance of the first project, as if it had been deleted.
    pub fn remove(&self, zone: &str, name: &str) -> Option<Instance> {
        self.first.remove(zone, name)
    }

    /// Removes every instance of the first project. Operations stay.
    pub fn clear(&self) {
        self.first.clear();
    }

    /// The instances of the first project, by zone and name.
    #[must_use]
    pub fn instances(&self) -> Vec<Instance> {
        self.first.instances()
    }

    /// An instance of the first project, if there is one.
    #[must_use]
    pub fn instance(&self, zone: &str, name: &str) -> Option<Instance> {
        self.first.instance(zone, name)
    }

    /// Makes just these zones of the first project unreachable: lists have a warning in the place of their instances.
    pub fn set_unreachable<Z: Into<String>>(&self, zones: impl IntoIterator<Item = Z>) {
        self.first.set_unreachable(zones);
    }

    /// Prescribes the reply to an operation, whichever project it is for.
    ///
    /// Replies with a count are given first, in the order in which they were prescribed; one without a count
    /// is given for ever after and replaces the last of its kind. What is prescribed for one page goes before
    /// what is prescribed for all of them.
    pub fn override_reply(&self, operation: Operation, reply: impl Into<Override>) {
        self.api.add_override(operation, reply.into());
    }

    /// Forgets every override, also those of single projects. Requests that are held stay so.
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
        self.api.journal.count(&operation.counted().to_string())
    }

    /// Waits until `count` requests of an operation have arrived since the start; for a list that is its first
    /// pages.
    pub async fn wait_for(&self, operation: Operation, count: u64) {
        self.api.journal.wait_for(&operation.counted().to_string(), count).await;
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
