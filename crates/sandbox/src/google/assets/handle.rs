//! A handle to an inventory.

use std::sync::Arc;

use hyper::{Request, body::Incoming};
use tonic::async_trait;

use super::{
    api::Api,
    project::{ProjectAsset, ProjectState},
    recorded::{Operation, Recorded},
};
use crate::{reply::Override, routes::Route, server::Answer};

/// An inventory of projects. Clones are handles to the same one.
#[derive(Clone, Default)]
pub struct AssetInventory(Arc<Api>);

impl AssetInventory {
    /// An empty inventory, which knows no folder and no organization.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Refuses those who do not name this token, for good.
    pub fn require_token(&self, token: &str) {
        self.0.bearer.require(token);
    }

    /// Adds a project in the place of the one with the same id. Its folders and its organization are known from now on.
    pub fn add(&self, project: ProjectAsset) {
        let mut state = self.0.state();
        let scopes = project.folders.iter().chain([&project.organization]).cloned();
        state.scopes.extend(scopes);
        state.projects.insert(project.id.clone(), project);
    }

    /// Removes a project; searches do not find it any more.
    pub fn remove(&self, id: &str) -> Option<ProjectAsset> {
        self.0.state().projects.remove(id)
    }

    /// Makes a folder or an organization known that is empty: `folders/7`.
    pub fn add_scope(&self, name: impl Into<String>) {
        self.0.state().scopes.insert(name.into());
    }

    /// Changes the state of a project; nothing happens if there is none of this id.
    pub fn set_state(&self, id: &str, project_state: ProjectState) {
        if let Some(project) = self.0.state().projects.get_mut(id) {
            project.state = project_state;
        }
    }

    /// The projects, by id.
    #[must_use]
    pub fn projects(&self) -> Vec<ProjectAsset> {
        self.0.state().projects.values().cloned().collect()
    }

    /// A project, if there is one of this id.
    #[must_use]
    pub fn project(&self, id: &str) -> Option<ProjectAsset> {
        self.0.state().projects.get(id).cloned()
    }

    /// Prescribes the reply to an operation, as [`Compute::override_reply`] does.
    ///
    /// [`Compute::override_reply`]: crate::google::compute::Compute::override_reply
    pub fn override_reply(&self, operation: Operation, reply: impl Into<Override>) {
        self.0.state().overrides.add(operation, reply.into());
    }

    /// Forgets every override. Requests that are held stay so.
    pub fn clear_overrides(&self) {
        self.0.state().overrides.clear();
    }

    /// The last 10,000 requests, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        self.0.journal.recent()
    }

    /// How many requests there have been of an operation; for [`Operation::Search`] that is the first pages.
    #[must_use]
    pub fn count(&self, operation: Operation) -> u64 {
        self.0.journal.count(&operation.counted().to_string())
    }

    /// Waits until `count` requests of an operation have arrived since the start; for [`Operation::Search`] that is
    /// the first pages.
    pub async fn wait_for(&self, operation: Operation, count: u64) {
        self.0.journal.wait_for(&operation.counted().to_string(), count).await;
    }
}

#[async_trait]
impl Route for AssetInventory {
    fn prefix(&self) -> &'static str {
        "/v1/"
    }

    async fn answer(&self, request: Request<Incoming>, connection: u64) -> Answer {
        self.0.answer(request, connection).await
    }
}
