//! The public handle of an inventory.

use std::sync::Arc;

use hyper::{Request, body::Incoming};
use tonic::async_trait;

use super::{
    api::Api,
    project::{ProjectAsset, ProjectState},
    recorded::{Operation, Recorded},
};
use crate::{reply::Override, routes::Route, server::ServerAction};

/// An inventory of projects. Clones share the same inventory.
#[derive(Clone, Default)]
pub struct AssetInventory(Arc<Api>);

impl AssetInventory {
    /// Returns an inventory without projects, folders and organizations.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Rejects requests without this bearer token from now on. The token cannot be changed.
    pub fn require_token(&self, token: &str) {
        self.0.bearer.require(token);
    }

    /// Adds a project or replaces the project with the same id. Its folders and its organization become
    /// known.
    pub fn add(&self, project: ProjectAsset) {
        let mut inventory = self.0.inventory();
        let scopes = project.folders.iter().chain([&project.organization]).cloned();
        inventory.scopes.extend(scopes);
        inventory.projects.insert(project.id.clone(), project);
    }

    /// Removes a project from search results.
    pub fn remove(&self, id: &str) -> Option<ProjectAsset> {
        self.0.inventory().projects.remove(id)
    }

    /// Adds an empty folder or organization: `folders/7`.
    pub fn add_scope(&self, name: impl Into<String>) {
        self.0.inventory().scopes.insert(name.into());
    }

    /// Changes the state of a project. Unknown ids are ignored.
    pub fn set_state(&self, id: &str, project_state: ProjectState) {
        if let Some(project) = self.0.inventory().projects.get_mut(id) {
            project.state = project_state;
        }
    }

    /// Returns the projects, sorted by id.
    #[must_use]
    pub fn projects(&self) -> Vec<ProjectAsset> {
        self.0.inventory().projects.values().cloned().collect()
    }

    /// Returns the project with this id.
    #[must_use]
    pub fn project(&self, id: &str) -> Option<ProjectAsset> {
        self.0.inventory().projects.get(id).cloned()
    }

    /// Sets the reply to an operation, as [`Compute::override_reply`] does.
    ///
    /// [`Compute::override_reply`]: crate::google::compute::Compute::override_reply
    pub fn override_reply(&self, operation: Operation, reply: impl Into<Override>) {
        self.0.inventory().overrides.add(operation, reply.into());
    }

    /// Removes all overrides. Requests that are held stay held.
    pub fn clear_overrides(&self) {
        self.0.inventory().overrides.clear();
    }

    /// Returns the last 10,000 requests, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        self.0.journal.recent()
    }

    /// Returns the number of requests of an operation. For [`Operation::Search`] only first pages are
    /// counted.
    #[must_use]
    pub fn count(&self, operation: Operation) -> u64 {
        self.0.journal.count(&operation.counted().to_string())
    }

    /// Waits until `count` requests of an operation have arrived since the start. For [`Operation::Search`]
    /// only first pages are counted.
    pub async fn wait_for(&self, operation: Operation, count: u64) {
        self.0.journal.wait_for(&operation.counted().to_string(), count).await;
    }
}

#[async_trait]
impl Route for AssetInventory {
    fn prefix(&self) -> &'static str {
        "/v1/"
    }

    async fn handle(&self, request: Request<Incoming>, connection: u64) -> ServerAction {
        self.0.handle(request, connection).await
    }
}
