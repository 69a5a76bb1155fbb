//! Answers one HTTP request.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError, RwLock},
};

use hyper::{Method, Request, body::Incoming};
use tokio::time::Instant;

use super::{
    call::Call,
    page_token::token,
    project::ProjectCompute,
    recorded::{Operation, Recorded},
    refusal::Refusal,
    render,
    replies::unauthenticated,
};
use crate::{
    google::{bearer::Bearer, fields::Fields, filter::Filter, instance::Instance, project::Project},
    http,
    journal::Journal,
    query::query,
    reply::{Override, Overrides, Reply},
    server::{Answer, Handler},
};

/// How many instances a page has at most, and by default.
const MAX_RESULTS: usize = 500;

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
        let named = call.as_ref().ok().map(Call::project);
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

/// The answer's JSON.
fn execute(
    project: Option<&ProjectCompute>,
    call: &Call,
    query: &HashMap<String, String>,
) -> Result<String, Refusal> {
    let project = project.ok_or_else(|| Refusal::NotFound(format!("projects/{}", call.project())))?;
    let (permission, resource) = call.permission(project.id());
    project.check_access(permission, &resource)?;
    let fields = match query.get("fields").map(|fields| fields.trim()) {
        None | Some("") => Fields::everything(),
        Some(fields) => Fields::parse(fields).ok_or_else(|| Refusal::invalid("fields", fields))?,
    };
    match call {
        Call::List { page, after, .. } => {
            let filter = match query.get("filter").map(|filter| filter.trim()) {
                None | Some("") => Filter::everything(),
                Some(filter) => {
                    Filter::parse::<Instance>(filter).ok_or_else(|| Refusal::invalid("filter", filter))?
                }
            };
            let count = max_results(query)?;
            let fleet = project.fleet();
            let listed = fleet.page(after.clone(), count, &filter);
            let next = listed.instances.last().filter(|_| !listed.is_last);
            let next = next.map(|instance| token(page + 1, &instance.zone, &instance.name));
            Ok(render::list(project.project(), &listed, &fleet.unreachable, next.as_deref(), &fields))
        }
        Call::Get { zone, name, .. } => match project.fleet().get(zone, name) {
            Some(instance) => Ok(render::instance(project.project(), instance, &fields)),
            None => Err(Refusal::NotFound(resource)),
        },
    }
}

fn max_results(query: &HashMap<String, String>) -> Result<usize, Refusal> {
    let Some(text) = query.get("maxResults") else { return Ok(MAX_RESULTS) };
    match text.parse() {
        Ok(0) => Ok(MAX_RESULTS),
        Ok(count @ ..=MAX_RESULTS) => Ok(count),
        _ => Err(Refusal::invalid("maxResults", text)),
    }
}
