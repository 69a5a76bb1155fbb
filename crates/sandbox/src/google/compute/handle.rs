//! The public handle of a running Compute API.

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

/// A running Compute API. Dropping it stops the server.
pub struct Compute {
    api: Arc<Api>,
    /// The project of methods that do not name one.
    first: ProjectCompute,
    server: Server<Routes<Api>>,
}

/// Settings of a [`Compute`]. All have defaults.
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
    /// Sets the listen address. The default is a free port of 127.0.0.1.
    #[must_use]
    pub fn listen(mut self, address: impl Into<SocketAddr>) -> Self {
        self.listen = address.into();
        self
    }

    /// Sets the first project. The default is `example-project`, 123456789012.
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

    /// Serves an asset inventory on the same port.
    #[must_use]
    pub fn assets(mut self, assets: &AssetInventory) -> Self {
        self.assets = Some(assets.clone());
        self
    }

    /// Starts the server.
    ///
    /// # Errors
    ///
    /// Returns an error if the server cannot listen on the address.
    pub async fn start(self) -> Result<Compute, StartError> {
        self.start_with(Vec::new()).await
    }

    /// Starts the server with additional routes on the same port.
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
    /// Returns a builder with the defaults: no instances, a free port of 127.0.0.1.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Returns the listen address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Returns the endpoint to configure: the URL without `/compute/v1/`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.server.reachable())
    }

    /// Rejects requests without this bearer token from now on. The token cannot be changed.
    pub fn require_token(&self, token: &str) {
        self.api.bearer.require(token);
    }

    /// Adds a project, or returns the existing project with this id.
    pub fn add_project(&self, id: impl Into<String>, number: u64) -> ProjectCompute {
        self.api.add_project(Project { id: id.into(), number })
    }

    /// Returns a project by its id or number.
    #[must_use]
    pub fn project(&self, id: &str) -> Option<ProjectCompute> {
        self.api.find(id)
    }

    /// Returns all projects, starting with the first one.
    #[must_use]
    pub fn projects(&self) -> Vec<ProjectCompute> {
        self.api.projects()
    }

    /// Adds an instance to the first project or replaces the instance with the same zone and name.
    pub fn insert(&self, instance: Instance) {
        self.first.insert(instance);
    }

    /// Adds instances to the first project.
    pub fn insert_all(&self, instances: impl IntoIterator<Item = Instance>) {
        self.first.insert_all(instances);
    }

    /// Adds an operation to the first project or replaces the operation with the same zone and name.
    pub fn insert_operation(&self, operation: ZoneOperation) {
        self.first.insert_operation(operation);
    }

    /// Returns the first project.
    #[must_use]
    pub fn first(&self) -> &ProjectCompute {
        &self.first
    }

    /// Removes an instance of the first project, like a deletion.
    pub fn remove(&self, zone: &str, name: &str) -> Option<Instance> {
        self.first.remove(zone, name)
    }

    /// Removes all instances of the first project but not its operations.
    pub fn clear(&self) {
        self.first.clear();
    }

    /// Returns the instances of the first project, sorted by zone and name.
    #[must_use]
    pub fn instances(&self) -> Vec<Instance> {
        self.first.instances()
    }

    /// Returns an instance of the first project.
    #[must_use]
    pub fn instance(&self, zone: &str, name: &str) -> Option<Instance> {
        self.first.instance(zone, name)
    }

    /// Sets the unreachable zones of the first project. Lists contain a warning instead of their instances.
    pub fn set_unreachable<Z: Into<String>>(&self, zones: impl IntoIterator<Item = Z>) {
        self.first.set_unreachable(zones);
    }

    /// Sets the reply to an operation in all projects.
    ///
    /// Replies with a count are used first, in the order in which they were added. A reply without a count is
    /// used after them, without limit, and replaces the previous reply without a count. Overrides of a single
    /// page take precedence over overrides of all pages.
    pub fn override_reply(&self, operation: Operation, reply: impl Into<Override>) {
        self.api.add_override(operation, reply.into());
    }

    /// Removes all overrides, including those of single projects. Requests that are held stay held.
    pub fn clear_overrides(&self) {
        self.api.clear_overrides();
    }

    /// Returns the last 10,000 requests, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        self.api.journal.recent()
    }

    /// Returns the number of requests of an operation. For lists only first pages are counted.
    #[must_use]
    pub fn count(&self, operation: Operation) -> u64 {
        self.api.journal.count(&operation.counted().to_string())
    }

    /// Waits until `count` requests of an operation have arrived since the start. For lists only first pages
    /// are counted.
    pub async fn wait_for(&self, operation: Operation, count: u64) {
        self.api.journal.wait_for(&operation.counted().to_string(), count).await;
    }

    /// Closes the listener and all connections. Connections are refused until a restart; the data is kept.
    pub async fn stop(&self) {
        self.server.stop().await;
    }

    /// Listens again on the same address, after [`stop`](Self::stop) or without it.
    ///
    /// # Errors
    ///
    /// Returns an error if another process uses the address.
    pub async fn restart(&self) -> Result<(), StartError> {
        Ok(self.server.restart().await?)
    }
}
