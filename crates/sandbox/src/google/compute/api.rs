//! Handles HTTP requests to the Compute API.

use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use hyper::{Method, Request, body::Incoming};
use tokio::time::Instant;

use super::{
    api_error::ApiError,
    call::Call,
    execute::execute,
    project::ProjectCompute,
    recorded::{Operation, Recorded},
    replies::unauthenticated,
};
use crate::{
    google::{bearer::Bearer, project::Project},
    http,
    journal::Journal,
    query::query,
    reply::{Override, Overrides, Reply},
    server::{Handler, ServerAction},
};

/// The state of the simulated API.
pub(super) struct Api {
    pub(super) journal: Journal<Recorded>,
    pub(super) bearer: Bearer,
    projects: RwLock<Vec<ProjectCompute>>,
    overrides: Mutex<Overrides<Operation>>,
}

impl Handler for Api {
    async fn handle(&self, request: Request<Incoming>, connection: u64) -> ServerAction {
        let (parts, _) = request.into_parts();
        let admitted = self.bearer.admits(&parts.headers);
        let query = query(&parts.uri);
        let call = Call::parse(parts.uri.path(), &query);
        let operation = call.as_ref().ok().map(Call::operation);
        let named = call.as_ref().ok().map(|call| call.project.as_str());
        let project = named.and_then(|name| self.find(name));
        let recorded = Recorded {
            operation,
            project: project.as_ref().map(ProjectCompute::id).or(named).map(str::to_owned),
            path: parts.uri.path().to_owned(),
            query: query.clone(),
            headers: parts.headers,
            connection,
            at: Instant::now(),
        };
        let key = operation.map(|operation| operation.to_string()).unwrap_or_default();
        if let Some(project) = &project {
            project.record(key.clone(), recorded.clone());
        }
        self.journal.record(key, recorded);
        if !admitted && let Some(action) = unauthenticated().apply().await {
            return action;
        }
        // A separate statement, because the lock must not be held while the reply is awaited.
        let reply = operation.and_then(|operation| self.next_override(project.as_ref(), operation));
        if let Some(reply) = reply
            && let Some(action) = reply.apply().await
        {
            return action;
        }
        ServerAction::Respond(match call {
            _ if parts.method != Method::GET => http::method_not_allowed("GET"),
            Ok(call) => execute(project.as_ref(), &call, &query).map_or_else(ApiError::response, http::json),
            Err(error) => error.response(),
        })
    }
}

impl Api {
    pub(super) fn new() -> Self {
        Self {
            journal: Journal::default(),
            bearer: Bearer::default(),
            projects: RwLock::default(),
            overrides: Mutex::default(),
        }
    }

    /// Adds a project, or returns the existing project with this id.
    pub(super) fn add_project(&self, project: Project) -> ProjectCompute {
        let mut projects = self.projects.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = projects.iter().find(|known| *known.id() == project.id) {
            return known.clone();
        }
        let project = ProjectCompute::new(project);
        projects.push(project.clone());
        project
    }

    pub(super) fn projects(&self) -> Vec<ProjectCompute> {
        self.projects.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns a project by its id or number.
    pub(super) fn find(&self, name: &str) -> Option<ProjectCompute> {
        let projects = self.projects.read().unwrap_or_else(PoisonError::into_inner);
        projects.iter().find(|known| known.project().is_named(name)).cloned()
    }

    pub(super) fn add_override(&self, operation: Operation, reply: Override) {
        self.overrides().add(operation, reply);
    }

    /// Removes all overrides, including those of single projects.
    pub(super) fn clear_overrides(&self) {
        self.overrides().clear();
        for project in self.projects() {
            project.clear_overrides();
        }
    }

    fn next_override(&self, project: Option<&ProjectCompute>, operation: Operation) -> Option<Reply> {
        let own = project.and_then(|project| project.next_override(operation));
        own.or_else(|| operation.next_override(&mut self.overrides()))
    }

    fn overrides(&self) -> MutexGuard<'_, Overrides<Operation>> {
        self.overrides.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
