//! Handles HTTP requests to the inventory.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use hyper::{Method, Request, Response, StatusCode, body::Incoming};
use tokio::time::Instant;

use super::{
    project::ProjectAsset,
    recorded::{Operation, Recorded},
    search::{Search, SearchError},
};
use crate::{
    google::{bearer::Bearer, compute::unauthenticated},
    http::{self, text},
    journal::Journal,
    query::pairs,
    reply::{Overrides, Reply},
    server::{Body, ServerAction},
};

/// The state of the simulated API.
#[derive(Default)]
pub(super) struct Api {
    pub(super) journal: Journal<Recorded>,
    pub(super) bearer: Bearer,
    inventory: Mutex<Inventory>,
}

#[derive(Default)]
pub(super) struct Inventory {
    /// By id.
    pub(super) projects: BTreeMap<String, ProjectAsset>,
    /// Known folders and organizations, including empty ones.
    pub(super) scopes: BTreeSet<String>,
    pub(super) overrides: Overrides<Operation>,
}

impl Api {
    pub(super) fn inventory(&self) -> MutexGuard<'_, Inventory> {
        self.inventory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn handle(&self, request: Request<Incoming>, connection: u64) -> ServerAction {
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
        if !admitted && let Some(action) = unauthenticated().apply().await {
            return action;
        }
        // A separate statement, because the lock must not be held while the reply is awaited.
        let reply = operation.and_then(|operation| operation.next_override(&mut self.inventory().overrides));
        if let Some(reply) = reply
            && let Some(action) = Reply::apply(reply).await
        {
            return action;
        }
        if parts.method != Method::GET {
            return ServerAction::Respond(http::method_not_allowed("GET"));
        }
        let response = search.and_then(|search| {
            let inventory = self.inventory();
            let is_scope = inventory.is_scope(&search.scope);
            search.execute(&pairs, inventory.projects.values(), is_scope)
        });
        ServerAction::Respond(response.map_or_else(|error| error_response(&error), http::json))
    }
}

impl Inventory {
    fn is_scope(&self, scope: &str) -> bool {
        self.scopes.contains(scope) || self.projects.values().any(|project| project.is_below(scope))
    }
}

fn error_response(error: &SearchError) -> Response<Body> {
    let Some((status, body)) = error.status_and_body() else {
        return text(StatusCode::NOT_FOUND, "not found\n");
    };
    let mut response = http::json(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}
