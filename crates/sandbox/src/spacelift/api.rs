//! Handles HTTP requests to the API.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_graphql::parser::types::{DocumentOperations, ExecutableDocument, OperationType};
use bytes::Bytes;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{AUTHORIZATION, HeaderMap, RETRY_AFTER},
    http::request::Parts,
};
use tokio::time::Instant;

use super::{
    EXCHANGE, Override, Recorded, Scenario,
    schema::{self, Schema},
    session::Sessions,
    webhook::Webhooks,
    world::World,
};
use crate::{
    http::{json, method_not_allowed, read, response, text},
    journal::Journal,
    reply::Overrides,
    server::{Body, Handler, ServerAction},
};

/// The header that identifies the client, and its accepted value.
const CLIENT_TYPE: (&str, &str) = ("spacelift-client-type", "prometheus-exporter");

/// The delay of each response with [`Scenario::Slow`].
const SLOWNESS: Duration = Duration::from_secs(10);

const UNAUTHORIZED: &str = r#"{"data":null,"errors":[{"message":"unauthorized"}]}"#;
const GARBAGE: &str = "<!DOCTYPE html><html><body><h1>502 Bad Gateway</h1></body></html>\n";

/// The response to unknown, expired and revoked tokens.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum TokenRejection {
    /// HTTP 200 with the GraphQL error `unauthorized`, like Spacelift.
    #[default]
    GraphqlError,
    /// HTTP 401.
    Status,
}

/// The state of the simulated API.
pub(super) struct Api {
    pub(super) world: Arc<World>,
    pub(super) webhooks: Arc<Webhooks>,
    pub(super) sessions: Arc<Sessions>,
    pub(super) journal: Journal<Recorded>,
    pub(super) ca_pem: Option<String>,
    schema: Schema,
    behaviour: Mutex<Behaviour>,
}

#[derive(Default)]
struct Behaviour {
    scenario: Scenario,
    rejection: TokenRejection,
    overrides: Overrides<String>,
}

/// A parsed request.
struct Call {
    request: async_graphql::Request,
    /// [`EXCHANGE`] or the name of the operation.
    operation: Option<String>,
    is_exchange: bool,
}

impl Handler for Api {
    async fn handle(&self, request: Request<Incoming>, connection: u64) -> ServerAction {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path();
        if path == "/graphql" {
            return match parts.method {
                Method::POST => self.graphql(&parts, body, connection).await,
                _ => ServerAction::Respond(method_not_allowed("POST")),
            };
        }
        if self.scenario() == Scenario::Down {
            return ServerAction::Close;
        }
        ServerAction::Respond(match path {
            "/health" => text(StatusCode::OK, "ok\n"),
            _ => text(StatusCode::NOT_FOUND, "not found\n"),
        })
    }
}

impl Api {
    pub(super) fn new(
        world: Arc<World>,
        webhooks: Arc<Webhooks>,
        sessions: Sessions,
        scenario: Scenario,
        ca_pem: Option<String>,
    ) -> Self {
        let sessions = Arc::new(sessions);
        Self {
            world,
            webhooks,
            schema: schema::build(Arc::clone(&sessions)),
            sessions,
            journal: Journal::default(),
            ca_pem,
            behaviour: Mutex::new(Behaviour { scenario, ..Behaviour::default() }),
        }
    }

    pub(super) fn scenario(&self) -> Scenario {
        self.behaviour().scenario
    }

    pub(super) fn set_scenario(&self, scenario: Scenario) {
        self.behaviour().scenario = scenario;
    }

    pub(super) fn set_token_rejection(&self, rejection: TokenRejection) {
        self.behaviour().rejection = rejection;
    }

    pub(super) fn add_override(&self, operation: String, reply: Override) {
        self.behaviour().overrides.add(operation, reply);
    }

    pub(super) fn clear_overrides(&self) {
        self.behaviour().overrides.clear();
    }

    fn behaviour(&self) -> MutexGuard<'_, Behaviour> {
        self.behaviour.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn graphql(&self, parts: &Parts, body: Incoming, connection: u64) -> ServerAction {
        let body = match read(body).await {
            Ok(body) => body,
            Err(rejection) => return ServerAction::Respond(rejection),
        };
        let call = match Call::parse(&body, &self.world) {
            Ok(call) => call,
            Err(error) => return ServerAction::Respond(text(StatusCode::BAD_REQUEST, format!("{error}\n"))),
        };
        let token = bearer(&parts.headers);
        let operation = call.operation.clone().unwrap_or_default();
        self.journal.record(
            operation,
            Recorded {
                operation: call.operation.clone(),
                query: call.request.query.clone(),
                variables: serde_json::to_value(&call.request.variables).unwrap_or_default(),
                headers: parts.headers.clone(),
                version: parts.version,
                connection,
                token: token.map(str::to_owned),
                at: Instant::now(),
            },
        );

        // A separate statement, because the lock must not be held while the reply is awaited.
        let reply = call.operation.as_deref().and_then(|name| self.behaviour().overrides.take(name));
        if let Some(reply) = reply
            && let Some(action) = reply.apply().await
        {
            return action;
        }

        match self.scenario() {
            Scenario::Down => return ServerAction::Close,
            Scenario::Garbage => {
                return ServerAction::Respond(response(StatusCode::OK, "text/html; charset=utf-8", GARBAGE));
            }
            Scenario::RateLimited if !call.is_exchange => {
                let mut response = text(StatusCode::TOO_MANY_REQUESTS, "too many requests\n");
                response.headers_mut().insert(RETRY_AFTER, 30.into());
                return ServerAction::Respond(response);
            }
            Scenario::Slow => tokio::time::sleep(SLOWNESS).await,
            _ => {}
        }

        if !call.is_exchange
            && let Some(rejection) = self.rejection(&parts.headers)
        {
            return ServerAction::Respond(rejection);
        }
        ServerAction::Respond(json(self.execute(call).await))
    }

    /// Returns the response to requests with a wrong client type or an invalid token.
    fn rejection(&self, headers: &HeaderMap) -> Option<Response<Body>> {
        let (name, expected) = CLIENT_TYPE;
        if headers.get(name).is_none_or(|value| value != expected) {
            return Some(text(StatusCode::BAD_REQUEST, format!("the header {name} must be {expected}\n")));
        }
        let Behaviour { scenario, rejection, .. } = *self.behaviour();
        if scenario != Scenario::Unauthorized
            && bearer(headers).is_some_and(|token| self.sessions.accepts(token))
        {
            return None;
        }
        Some(match rejection {
            TokenRejection::GraphqlError => json(UNAUTHORIZED),
            TokenRejection::Status => text(StatusCode::UNAUTHORIZED, "unauthorized\n"),
        })
    }

    /// Returns the JSON of the response.
    async fn execute(&self, call: Call) -> Bytes {
        let Call { request, operation, is_exchange } = call;
        let scenario = self.scenario();
        // Only responses of the healthy scenario are cached, and never a token exchange.
        let name = operation.filter(|_| !is_exchange && scenario == Scenario::Healthy);
        if let Some(body) = name.as_deref().and_then(|name| self.world.cached(name, &request.query)) {
            return body;
        }

        let account = self.world.account();
        let query = request.query.clone();
        let response = self.schema.execute(request.data(Arc::clone(&account)).data(scenario)).await;
        // It consists of strings, numbers and lists, which always serialize.
        let body = Bytes::from(serde_json::to_vec(&response).unwrap_or_default());
        if let Some(name) = name.filter(|_| response.is_ok()) {
            self.world.cache(&account, name, query, body.clone());
        }
        body
    }
}

impl Call {
    fn parse(body: &[u8], world: &World) -> Result<Self, serde_json::Error> {
        let mut request: async_graphql::Request = serde_json::from_slice(body)?;
        let name = request.operation_name.clone();
        // Cached responses belong to queries. Skipping the parser makes them cheap.
        if name.as_deref().is_some_and(|name| world.cached(name, &request.query).is_some()) {
            return Ok(Self { request, operation: name, is_exchange: false });
        }
        let chosen = request.parsed_query().ok().and_then(|document| choose(document, name.as_deref()));
        let (operation, is_exchange) = match chosen {
            // The schema has only one mutation.
            Some((_, OperationType::Mutation)) => (Some(EXCHANGE.to_owned()), true),
            Some((name, _)) => (name, false),
            // The execution reports invalid documents.
            None => (name, false),
        };
        Ok(Self { request, operation, is_exchange })
    }
}

/// Returns the name and the type of the selected operation. `name` is the operation name of the request.
fn choose(document: &ExecutableDocument, name: Option<&str>) -> Option<(Option<String>, OperationType)> {
    match &document.operations {
        DocumentOperations::Single(operation) => Some((name.map(str::to_owned), operation.node.ty)),
        DocumentOperations::Multiple(operations) => {
            // Requests with a single operation need no name.
            let mut chosen = operations.iter().filter(|(key, _)| name.is_none_or(|name| *key == name));
            chosen.next().map(|(key, operation)| (Some(key.to_string()), operation.node.ty))
        }
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}
