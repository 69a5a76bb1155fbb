//! Answers one HTTP request.

use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use hyper::{Method, Request, body::Incoming};
use tokio::time::Instant;

use super::{
    call::Call,
    execute::execute,
    project::ProjectCompute,
    recorded::{Operation, Recorded},
    refusal::Refusal,
    replies::unauthenticated,
};
use crate::{
    google::{bearer::Bearer, project::Project},
    http,
    journal::Journal,
    query::query,
    reply::{Override, Overrides, Reply},
    server::{Answer, Handler},
};

/// The simulated API with everything that it knows.
pub(super) struct Api {
    pub(super) journal: Journal<Recorded>,
    pub(super) bearer: Bearer,
    projects: RwLock<Vec<ProjectCompute>>,
    overrides: Mutex<Overrides<Operation>>,
}

impl Handler for Api {
    async fn answer(&self, request: Request<Incoming>, connection: u64) -> Answer {
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
        if !admitted && let Some(answer) = unauthenticated().give().await {
            return answer;
        }
        // Taken in a statement of its own: the lock must not be held while the reply is awaited.
        let reply = operation.and_then(|operation| self.prescribed(project.as_ref(), operation));
        if let Some(reply) = reply
            && let Some(answer) = reply.give().await
        {
            return answer;
        }
        Answer::Response(match call {
            _ if parts.method != Method::GET => http::method_not_allowed("GET"),
            Ok(call) => execute(project.as_ref(), &call, &query).map_or_else(Refusal::response, http::json),
            Err(refusal) => refusal.response(),
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

    /// Adds a project, unless there is one of this id.
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

    /// A project by its id or number.
    pub(super) fn find(&self, name: &str) -> Option<ProjectCompute> {
        let projects = self.projects.read().unwrap_or_else(PoisonError::into_inner);
        projects.iter().find(|known| known.project().is_named(name)).cloned()
    }

    pub(super) fn add_override(&self, operation: Operation, prescribed: Override) {
        self.overrides().add(operation, prescribed);
    }

    /// Forgets every override, also those of single projects.
    pub(super) fn clear_overrides(&self) {
        self.overrides().clear();
        for project in self.projects() {
            project.clear_overrides();
        }
    }

    fn prescribed(&self, project: Option<&ProjectCompute>, operation: Operation) -> Option<Reply> {
        let own = project.and_then(|project| project.prescribed(operation));
        own.or_else(|| operation.prescribed(&mut self.overrides()))
    }

    fn overrides(&self) -> MutexGuard<'_, Overrides<Operation>> {
        self.overrides.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
