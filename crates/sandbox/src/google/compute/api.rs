//! Answers one HTTP request.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use hyper::{Method, Request, body::Incoming};
use tokio::time::Instant;

use super::{
    call::Call,
    fields::Fields,
    filter::Filter,
    fleet::Fleet,
    page_token::token,
    recorded::{Operation, Recorded},
    refusal::Refusal,
    render,
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

/// How many instances a page has at most, and by default.
const MAX_RESULTS: usize = 500;

/// The simulated API with everything that it knows.
pub(super) struct Api {
    pub(super) journal: Journal<Recorded>,
    pub(super) bearer: Bearer,
    project: Project,
    fleet: Mutex<Fleet>,
    overrides: Mutex<Overrides<Operation>>,
}

impl Handler for Api {
    async fn answer(&self, request: Request<Incoming>, connection: u64) -> Answer {
        let (parts, _) = request.into_parts();
        let admitted = self.bearer.admits(&parts.headers);
        let query = query(&parts.uri);
        let call = Call::parse(parts.uri.path(), &query);
        let operation = call.as_ref().ok().map(Call::operation);
        self.journal.record(
            operation.map(|operation| operation.to_string()).unwrap_or_default(),
            Recorded {
                operation,
                path: parts.uri.path().to_owned(),
                query: query.clone(),
                headers: parts.headers,
                connection,
                at: Instant::now(),
            },
        );
        if !admitted && let Some(answer) = unauthenticated().give().await {
            return answer;
        }
        // Taken in a statement of its own: the lock must not be held while the reply is awaited.
        let reply = operation.and_then(|operation| self.prescribed(operation));
        if let Some(reply) = reply
            && let Some(answer) = reply.give().await
        {
            return answer;
        }
        Answer::Response(match call {
            _ if parts.method != Method::GET => http::method_not_allowed("GET"),
            Ok(call) => match self.execute(&call, &query) {
                Ok(body) => http::json(body),
                Err(refusal) => refusal.response(),
            },
            Err(refusal) => refusal.response(),
        })
    }
}

impl Api {
    pub(super) fn new(project: Project) -> Self {
        Self {
            journal: Journal::default(),
            bearer: Bearer::default(),
            project,
            fleet: Mutex::default(),
            overrides: Mutex::default(),
        }
    }

    pub(super) fn fleet(&self) -> MutexGuard<'_, Fleet> {
        self.fleet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add_override(&self, operation: Operation, prescribed: Override) {
        self.overrides().add(operation, prescribed);
    }

    pub(super) fn clear_overrides(&self) {
        self.overrides().clear();
    }

    /// What was prescribed for an operation; for a page, what was prescribed for just that goes first.
    fn prescribed(&self, operation: Operation) -> Option<Reply> {
        let mut overrides = self.overrides();
        overrides.take(&operation).or_else(|| match operation {
            Operation::Page(_) => overrides.take(&Operation::List),
            Operation::List | Operation::Get => None,
        })
    }

    fn overrides(&self) -> MutexGuard<'_, Overrides<Operation>> {
        self.overrides.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer's JSON.
    fn execute(&self, call: &Call, query: &HashMap<String, String>) -> Result<String, Refusal> {
        let (Call::List { project, .. } | Call::Get { project, .. }) = call;
        if !self.project.is_named(project) {
            return Err(Refusal::NotFound(format!("projects/{project}")));
        }
        let fields = match query.get("fields").map(|fields| fields.trim()) {
            None | Some("") => Fields::everything(),
            Some(fields) => Fields::parse(fields).ok_or_else(|| Refusal::invalid("fields", fields))?,
        };
        match call {
            Call::List { page, after, .. } => {
                let filter = match query.get("filter").map(|filter| filter.trim()) {
                    None | Some("") => Filter::All(Vec::new()),
                    Some(filter) => {
                        Filter::parse(filter).ok_or_else(|| Refusal::invalid("filter", filter))?
                    }
                };
                let count = match query.get("maxResults") {
                    None => MAX_RESULTS,
                    Some(text) => match text.parse() {
                        Ok(0) => MAX_RESULTS,
                        Ok(count @ ..=MAX_RESULTS) => count,
                        _ => return Err(Refusal::invalid("maxResults", text)),
                    },
                };
                let fleet = self.fleet();
                let listed = fleet.page(after.clone(), count, &filter);
                let next = listed.instances.last().filter(|_| !listed.is_last);
                let next = next.map(|instance| token(page + 1, &instance.zone, &instance.name));
                Ok(render::list(&self.project, &listed, &fleet.unreachable, next.as_deref(), &fields))
            }
            Call::Get { zone, name, .. } => match self.fleet().get(zone, name) {
                Some(instance) => Ok(render::instance(&self.project, instance, &fields)),
                None => Err(Refusal::NotFound(format!("projects/{project}/zones/{zone}/instances/{name}"))),
            },
        }
    }
}
