//! The control endpoint, on the port of the API.

use std::sync::Arc;

use hyper::{Method, Request, Response, StatusCode, body::Incoming};
use serde_json::{Value, json};
use tonic::async_trait;

use super::{Account, Scenario, api::Api, webhook};
use crate::{
    http::{self, method_not_allowed, no_content, response, text},
    routes::Route,
    server::{Body, ServerAction},
};

/// The prefix of all paths of the endpoint.
const PREFIX: &str = "/_sandbox/";

const HELP: &str = "\
A simulated Spacelift.

GET      /_sandbox/account   the current account as JSON
GET PUT  /_sandbox/scenario  the behaviour of the API: healthy, machine_key, partial_failure, unauthorized,
                             rate_limited, slow, garbage or down
GET PUT  /_sandbox/speed     simulated seconds per second; 0 pauses
GET      /_sandbox/requests  the number of requests by operation
POST     /_sandbox/revoke    revokes every token
GET      /_sandbox/ca.pem    the CA certificate, with TLS
GET DELETE      /_sandbox/runs            the actual runs since the start or the last DELETE
GET PUT DELETE  /_sandbox/webhook         the destination of deliveries and their counts:
                                          {\"url\": \"http://localhost:9953/webhook\", \"secret\": \"...\"} and optionally
                                          \"shape\" (default, policy, both), \"account\", \"retry\", \"others\"
GET DELETE      /_sandbox/faults          the active faults of deliveries; DELETE removes all
PUT DELETE      /_sandbox/faults/NAME     sets a fault to the value in the body, or removes it:
                    duplicates 0.1    reorder 0.1         lost 0.1 (not of final states)
                    delay 2s          old_payloads 0.1    bad_signatures 0.1
GET      /health
POST     /graphql            the API
";

/// The routes below [`PREFIX`].
pub(super) struct ControlRoutes(pub(super) Arc<Api>);

#[async_trait]
impl Route for ControlRoutes {
    fn prefix(&self) -> &'static str {
        PREFIX
    }

    async fn handle(&self, request: Request<Incoming>, _connection: u64) -> ServerAction {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().strip_prefix(PREFIX).unwrap_or_default();
        ServerAction::Respond(match http::read(body).await {
            Ok(body) => respond(&self.0, &parts.method, path, &body),
            Err(refusal) => refusal,
        })
    }
}

fn respond(api: &Api, method: &Method, path: &str, body: &[u8]) -> Response<Body> {
    let body = String::from_utf8_lossy(body);
    let body = body.trim();
    match (path, method.as_str()) {
        ("", "GET") => text(StatusCode::OK, HELP),
        ("account", "GET") => http::json(view(&api.world.account()).to_string()),
        ("scenario", "GET") => text(StatusCode::OK, format!("{}\n", api.scenario())),
        ("scenario", "PUT") => match body.parse::<Scenario>() {
            Ok(scenario) => {
                api.set_scenario(scenario);
                no_content()
            }
            Err(error) => text(StatusCode::BAD_REQUEST, format!("{error}\n")),
        },
        ("speed", "GET") => text(StatusCode::OK, format!("{}\n", api.world.speed())),
        ("speed", "PUT") => match body.parse::<f64>() {
            Ok(speed) if speed.is_finite() && speed >= 0.0 => {
                api.world.set_speed(speed);
                no_content()
            }
            _ => text(StatusCode::BAD_REQUEST, "expected a number of at least 0\n"),
        },
        ("requests", "GET") => http::json(json!(api.journal.counts()).to_string()),
        ("revoke", "POST") => {
            api.sessions.revoke_all();
            no_content()
        }
        ("ca.pem", "GET") => match &api.ca_pem {
            Some(pem) => response(StatusCode::OK, "application/x-pem-file", pem.clone()),
            None => text(StatusCode::NOT_FOUND, "this sandbox serves plain HTTP\n"),
        },
        ("" | "account" | "requests" | "ca.pem", _) => method_not_allowed("GET"),
        ("scenario" | "speed", _) => method_not_allowed("GET, PUT"),
        ("revoke", _) => method_not_allowed("POST"),
        _ => webhook::control::respond(api, method, path, body)
            .unwrap_or_else(|| text(StatusCode::NOT_FOUND, "not found\n")),
    }
}

/// Returns the account with counts of workers instead of lists, for comparison with metrics.
fn view(account: &Account) -> Value {
    let pools = account.pools.iter().map(|pool| {
        json!({
            "id": pool.id,
            "name": pool.name,
            "workers": pool.workers.len(),
            "busy": pool.busy_workers,
            "drained": pool.drained_workers(),
            "pending": pool.pending_runs,
        })
    });
    let mut view = json!(account);
    view["pools"] = pools.collect();
    view
}
