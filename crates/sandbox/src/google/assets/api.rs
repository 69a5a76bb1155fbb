//! Answers one HTTP request.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use hyper::{Method, Request, Response, StatusCode, body::Incoming};
use tokio::time::Instant;

use super::{
    project::ProjectAsset,
    recorded::{Operation, Recorded},
    search::{Refusal, Search},
};
use crate::{
    google::{bearer::Bearer, compute::unauthenticated},
    http::{self, text},
    journal::Journal,
    query::pairs,
    reply::{Overrides, Reply},
    server::{Answer, Body},
};

/// The simulated API with everything that it knows.
#[derive(Default)]
pub(super) struct Api {
    pub(super) journal: Journal<Recorded>,
    pub(super) bearer: Bearer,
    state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    /// By id.
    pub(super) projects: BTreeMap<String, ProjectAsset>,
    /// Folders and organizations that may be empty.
    pub(super) scopes: BTreeSet<String>,
    pub(super) overrides: Overrides<Operation>,
}

impl Api {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn answer(&self, request: Request<Incoming>, connection: u64) -> Answer {
        let (parts, _) = request.into_parts();
        let admitted = self.bearer.admits(&parts.headers);
        let pairs = pairs(&parts.uri);
        let query = pairs.iter().cloned().collect();
        let search = Search::parse(parts.uri.path(), &query);
        let operation = search.as_ref().ok().map(Search::operation);
        self.journal.record(
            operation.map(|operation| operation.to_string()).unwrap_or_default(),
            Recorded {
                operation,
                scope: search.as_ref().ok().map(|search| search.scope.clone()),
                path: parts.uri.path().to_owned(),
                query,
                headers: parts.headers,
                connection,
                at: Instant::now(),
            },
        );
        if !admitted && let Some(answer) = unauthenticated().give().await {
            return answer;
        }
        // Taken in a statement of its own: the lock must not be held while the reply is awaited.
        let reply = operation.and_then(|operation| operation.prescribed(&mut self.state().overrides));
        if let Some(reply) = reply
            && let Some(answer) = Reply::give(reply).await
        {
            return answer;
        }
        if parts.method != Method::GET {
            return Answer::Response(http::method_not_allowed("GET"));
        }
        let answer = search.and_then(|search| {
            let state = self.state();
            let is_scope = state.is_scope(&search.scope);
            search.execute(&pairs, state.projects.values(), is_scope)
        });
        Answer::Response(answer.map_or_else(|refusal| refused(&refusal), http::json))
    }
}

impl State {
    fn is_scope(&self, scope: &str) -> bool {
        self.scopes.contains(scope) || self.projects.values().any(|project| project.is_below(scope))
    }
}

fn refused(refusal: &Refusal) -> Response<Body> {
    let Some((status, body)) = refusal.answer() else { return text(StatusCode::NOT_FOUND, "not found\n") };
    let mut response = http::json(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}
