//! Instances through the control endpoint.

use std::collections::BTreeMap;

use hyper::{Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{ControlRoutes, bad_request};
use crate::{
    aws::{
        ec2::{Instance, InstanceState, Lifecycle, StateReason},
        event::Event,
        names::ACCOUNT,
    },
    http::{self, method_not_allowed, no_content, text},
    server::Body,
};

/// An instance to launch.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Launch {
    zone: String,
    #[serde(default = "default_type")]
    r#type: String,
    #[serde(default)]
    lifecycle: Option<String>,
    #[serde(default = "default_account")]
    account: String,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

fn default_type() -> String {
    "m6i.large".to_owned()
}

fn default_account() -> String {
    ACCOUNT.to_owned()
}

/// Lists all instances.
pub(super) fn list(routes: &ControlRoutes) -> Response<Body> {
    let view = |instance: Instance| {
        json!({
            "id": instance.id,
            "account": instance.account,
            "zone": instance.zone,
            "type": instance.instance_type,
            "lifecycle": instance.lifecycle.name(),
            "state": instance.state.name(),
            "reason": instance.reason.as_ref().map(|reason| reason.code.as_str()),
            "tags": *instance.tags,
        })
    };
    let instances: Vec<Value> = routes.api.fleet.all().into_iter().map(view).collect();
    http::json(json!(instances).to_string())
}

/// Responds to a request about one instance.
pub(super) fn respond(routes: &ControlRoutes, method: &str, path: &str, body: &str) -> Response<Body> {
    let (id, action) = path.split_once('/').unwrap_or((path, ""));
    let fleet = &routes.api.fleet;
    if action.is_empty() {
        return match method {
            "PUT" => launch(routes, id, body),
            "DELETE" if fleet.remove(id).is_some() => no_content(),
            "DELETE" => unknown(),
            _ => method_not_allowed("PUT, DELETE"),
        };
    }
    let Some(instance) = fleet.get(id) else { return unknown() };
    let event = match action {
        "warn" => Event::interruption_warning,
        "fulfill" => Event::fulfillment,
        "rebalance" => Event::rebalance_recommendation,
        "reserve" => Event::capacity_reservation_warning,
        "terminate" => {
            if method != "POST" {
                return method_not_allowed("POST");
            }
            let code = if body.is_empty() { StateReason::SpotTermination.code() } else { body };
            fleet.set_state(id, InstanceState::Terminated, Some((code.to_owned(), routes.api.clock.now())));
            return no_content();
        }
        _ => return text(StatusCode::NOT_FOUND, "not found\n"),
    };
    if method != "POST" {
        return method_not_allowed("POST");
    }
    let event = event(&instance).at(routes.api.clock.now());
    routes.api.send_body(event.region(), &event.body());
    no_content()
}

fn launch(routes: &ControlRoutes, id: &str, body: &str) -> Response<Body> {
    let launch: Launch = match serde_json::from_str(body) {
        Ok(launch) => launch,
        Err(error) => return bad_request(&error.to_string()),
    };
    let lifecycle = match launch.lifecycle.as_deref() {
        None => Lifecycle::OnDemand,
        Some("spot") => Lifecycle::Spot,
        Some(_) => return bad_request("expected the lifecycle spot or none"),
    };
    routes.api.fleet.insert(
        Instance::new(0, launch.zone)
            .id(id)
            .account(launch.account)
            .instance_type(launch.r#type)
            .lifecycle(lifecycle)
            .tags(launch.tags.into())
            .launched(routes.api.clock.now()),
    );
    no_content()
}

fn unknown() -> Response<Body> {
    text(StatusCode::NOT_FOUND, "unknown instance\n")
}
