//! The control endpoint, on the port of Compute Engine.

mod faults;
mod projects;
mod responses;

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock, Weak},
};

use hyper::{Method, Request, Response, StatusCode, body::Incoming};
use serde_json::{Value, json};
use tonic::async_trait;

use self::{
    faults::{faults, set_fault},
    responses::{bad_request, emulator_error, is_emulator, number},
};
use super::{
    names::{CREATION_SUBSCRIPTION, INTERRUPTION_SUBSCRIPTION},
    pubsub::Counts,
    simulation::Simulation,
    world::Truth,
};
use crate::{
    http::{self, method_not_allowed, no_content, text},
    routes::Route,
    server::{Body, ServerAction},
};

/// The prefix of all paths of the endpoint.
const PREFIX: &str = "/_sandbox/";

const HELP: &str = "\
A simulated Google Cloud.

GET         /_sandbox/truth                 the actual interruptions and running spot instances by cluster, in all projects
                                            and in each project
GET PUT     /_sandbox/speed                 simulated seconds per second; 0 pauses
GET PUT     /_sandbox/sink                  on or off; while off, events change Compute Engine but are not published
POST        /_sandbox/burst                 preempts this share of the spot instances: 0.5
GET         /_sandbox/projects              the projects
PUT DELETE  /_sandbox/projects/ID           adds a project (the body may be its number) or deletes it
PUT         /_sandbox/projects/ID/access    granted, forbidden, not_found, deleted or api_disabled
PUT DELETE  /_sandbox/projects/ID/discovery adds the project to the asset inventory or removes it; the body may set
                                            state=ACTIVE (or DELETE_REQUESTED) env=prod folders/7 organizations/1
GET         /_sandbox/counts                counts of messages by subscription
GET DELETE  /_sandbox/faults                the active faults; DELETE removes all
PUT DELETE  /_sandbox/faults/NAME           sets a fault to the value in the body, or removes it:
                duplicates 0.1     lost_acks 0.1    reorder 100
                slow_acks 2s       max_lease 1s     reset_every 30s
                refuse unavailable (or permission_denied, not_found, ...)          freeze
                compute permission_denied (or rate_limited, internal_error, unavailable, garbage, reset, slow)
                operations permission_denied (or ...)               assets permission_denied (or ...)
            /compute/v1/projects/...        the Compute API
            /v1/folders/10:searchAllResources  the asset inventory
";

/// The routes below [`PREFIX`]. They return 503 until the simulation has started.
pub(super) struct ControlRoutes(pub(super) Arc<OnceLock<Weak<Simulation>>>);

#[async_trait]
impl Route for ControlRoutes {
    fn prefix(&self) -> &'static str {
        PREFIX
    }

    async fn handle(&self, request: Request<Incoming>, _connection: u64) -> ServerAction {
        let Some(simulation) = self.0.get().and_then(Weak::upgrade) else {
            return ServerAction::Respond(text(StatusCode::SERVICE_UNAVAILABLE, "starting or stopping\n"));
        };
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().strip_prefix(PREFIX).unwrap_or_default();
        ServerAction::Respond(match http::read(body).await {
            Ok(body) => respond(&simulation, &parts.method, path, &body).await,
            Err(refusal) => refusal,
        })
    }
}

async fn respond(simulation: &Simulation, method: &Method, path: &str, body: &[u8]) -> Response<Body> {
    let text_body = String::from_utf8_lossy(body);
    let text_body = text_body.trim();
    match (path, method.as_str()) {
        ("", "GET") => text(StatusCode::OK, HELP),
        ("truth", "GET") => {
            let mut view = truth_view(&simulation.truth().await);
            let projects: BTreeMap<String, Value> =
                simulation.truths().await.iter().map(|(id, truth)| (id.clone(), truth_view(truth))).collect();
            view["projects"] = json!(projects);
            http::json(view.to_string())
        }
        ("speed", "GET") => text(StatusCode::OK, format!("{}\n", simulation.speed())),
        ("speed", "PUT") => match number(text_body) {
            Some(speed) => {
                simulation.set_speed(speed);
                no_content()
            }
            None => bad_request("expected a number of at least 0"),
        },
        ("sink", "GET") => text(StatusCode::OK, if simulation.sink() { "on\n" } else { "off\n" }),
        ("sink", "PUT") => match text_body {
            "on" | "off" => {
                simulation.set_sink(text_body == "on");
                no_content()
            }
            _ => bad_request("expected on or off"),
        },
        ("burst", "POST") => match number(text_body).filter(|share| *share <= 1.0) {
            Some(share) => match simulation.apply(|_, world| world.burst(share)).await {
                Ok(events) => text(StatusCode::OK, format!("{}\n", events.len())),
                Err(status) => emulator_error(&status),
            },
            None => bad_request("expected a number from 0 to 1"),
        },
        ("projects", "GET") => projects::projects(simulation).await,
        ("counts", "GET") => counts(simulation),
        ("faults", "GET") => faults(simulation),
        ("faults", "DELETE") => {
            simulation.compute.clear_overrides();
            simulation.assets.clear_overrides();
            if let Some(pubsub) = simulation.backend.own() {
                pubsub.clear_faults();
            }
            no_content()
        }
        ("" | "truth" | "counts" | "projects", _) => method_not_allowed("GET"),
        ("faults", _) => method_not_allowed("GET, DELETE"),
        ("speed" | "sink", _) => method_not_allowed("GET, PUT"),
        ("burst", _) => method_not_allowed("POST"),
        (path, method) if path.starts_with("projects/") => {
            let path = path.strip_prefix("projects/").unwrap_or_default();
            projects::respond(simulation, method, path, text_body).await
        }
        (path, method) => match (path.strip_prefix("faults/"), method) {
            (Some(name), "PUT") => set_fault(simulation, name, Some(text_body)),
            (Some(name), "DELETE") => set_fault(simulation, name, None),
            (Some(_), _) => method_not_allowed("PUT, DELETE"),
            (None, _) => text(StatusCode::NOT_FOUND, "not found\n"),
        },
    }
}

fn truth_view(truth: &Truth) -> Value {
    json!({
        "interruptions": truth.interruptions_by_cluster,
        "unattributed": truth.unattributed,
        "spot_instances": truth.spot_by_cluster,
        "instances": truth.instances,
    })
}

fn counts(simulation: &Simulation) -> Response<Body> {
    let Some(pubsub) = simulation.backend.own() else { return is_emulator() };
    let counts: BTreeMap<&str, Value> = [INTERRUPTION_SUBSCRIPTION, CREATION_SUBSCRIPTION]
        .into_iter()
        .map(|id| {
            let Counts {
                published,
                acked,
                unacked,
                outstanding,
                deliveries,
                redeliveries,
                expired,
                nacked,
                lost_acks,
                dead_lettered,
                streams_opened,
                streams,
            } = pubsub.counts(&format!("projects/{}/subscriptions/{id}", simulation.project));
            let counts = json!({
                "published": published,
                "acked": acked,
                "unacked": unacked,
                "outstanding": outstanding,
                "deliveries": deliveries,
                "redeliveries": redeliveries,
                "expired": expired,
                "nacked": nacked,
                "lost_acks": lost_acks,
                "dead_lettered": dead_lettered,
                "streams_opened": streams_opened,
                "streams": streams,
            });
            (id, counts)
        })
        .collect();
    http::json(json!(counts).to_string())
}
