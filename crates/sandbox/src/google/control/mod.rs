//! The sandbox's own endpoint, beside Compute Engine on the same port.

mod answers;
mod faults;
mod projects;

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock, Weak},
};

use hyper::{Method, Request, Response, StatusCode, body::Incoming};
use serde_json::{Value, json};
use tonic::async_trait;

use self::{
    answers::{bad_request, is_emulator, number, refused},
    faults::{faults, set_fault},
};
use super::{
    names::{CREATION_SUBSCRIPTION, INTERRUPTION_SUBSCRIPTION},
    pubsub::Counts,
    state::State,
    world::Truth,
};
use crate::{
    http::{self, method_not_allowed, no_content, text},
    routes::Route,
    server::{Answer, Body},
};

/// How the paths of this endpoint begin.
const PREFIX: &str = "/_sandbox/";

const HELP: &str = "\
A simulated Google Cloud.

GET         /_sandbox/truth                 interruptions and running spot VMs by cluster, as they really are, for all
                                            projects together and for each of them
GET PUT     /_sandbox/speed                 simulated seconds in a second; 0 pauses
GET PUT     /_sandbox/sink                  on, or off: what happens is not published, but shows in Compute Engine
POST        /_sandbox/storm                 preempts this share of the spot VMs at once: 0.5
GET         /_sandbox/projects              the projects
PUT DELETE  /_sandbox/projects/ID           adds a project (the body may be its number), or deletes it
PUT         /_sandbox/projects/ID/access    granted, forbidden, not_found, deleted or api_disabled
PUT DELETE  /_sandbox/projects/ID/discovery lets the asset inventory find it, or not; the body may change what is found:
                                            state=ACTIVE (or DELETE_REQUESTED) env=prod folders/7 organizations/1
GET         /_sandbox/counts                what has become of the messages, by subscription
GET DELETE  /_sandbox/faults                what goes wrong; DELETE ends it
PUT DELETE  /_sandbox/faults/NAME           makes this go wrong, with the body as its measure:
                duplicates 0.1     lost_acks 0.1    reorder 100
                slow_acks 2s       max_lease 1s     reset_every 30s
                refuse unavailable (or permission_denied, not_found, ...)          freeze
                compute permission_denied (or rate_limited, internal_error, unavailable, garbage, reset, slow)
                operations permission_denied (or ...)               assets permission_denied (or ...)
            /compute/v1/projects/...        the Compute API itself
            /v1/folders/10:searchAllResources  the asset inventory itself
";

/// The routes below [`PREFIX`], which answer as soon as there is a state.
pub(super) struct ControlRoutes(pub(super) Arc<OnceLock<Weak<State>>>);

#[async_trait]
impl Route for ControlRoutes {
    fn prefix(&self) -> &'static str {
        PREFIX
    }

    async fn answer(&self, request: Request<Incoming>, _connection: u64) -> Answer {
        let Some(state) = self.0.get().and_then(Weak::upgrade) else {
            return Answer::Response(text(StatusCode::SERVICE_UNAVAILABLE, "about to start or to stop\n"));
        };
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().strip_prefix(PREFIX).unwrap_or_default();
        Answer::Response(match http::read(body).await {
            Ok(body) => answer(&state, &parts.method, path, &body).await,
            Err(refusal) => refusal,
        })
    }
}

async fn answer(state: &State, method: &Method, path: &str, body: &[u8]) -> Response<Body> {
    let text_body = String::from_utf8_lossy(body);
    let text_body = text_body.trim();
    match (path, method.as_str()) {
        ("", "GET") => text(StatusCode::OK, HELP),
        ("truth", "GET") => {
            let mut view = truth_view(&state.truth().await);
            let projects: BTreeMap<String, Value> =
                state.truths().await.iter().map(|(id, truth)| (id.clone(), truth_view(truth))).collect();
            view["projects"] = json!(projects);
            http::json(view.to_string())
        }
        ("speed", "GET") => text(StatusCode::OK, format!("{}\n", state.speed())),
        ("speed", "PUT") => match number(text_body) {
            Some(speed) => {
                state.set_speed(speed);
                no_content()
            }
            None => bad_request("expected a number that is not negative"),
        },
        ("sink", "GET") => text(StatusCode::OK, if state.sink() { "on\n" } else { "off\n" }),
        ("sink", "PUT") => match text_body {
            "on" | "off" => {
                state.set_sink(text_body == "on");
                no_content()
            }
            _ => bad_request("expected on or off"),
        },
        ("storm", "POST") => match number(text_body).filter(|share| *share <= 1.0) {
            Some(share) => match state.happen(|_, world| world.storm(share)).await {
                Ok(events) => text(StatusCode::OK, format!("{}\n", events.len())),
                Err(status) => refused(&status),
            },
            None => bad_request("expected a number from 0 to 1"),
        },
        ("projects", "GET") => projects::projects(state).await,
        ("counts", "GET") => counts(state),
        ("faults", "GET") => faults(state),
        ("faults", "DELETE") => {
            state.compute.clear_overrides();
            state.assets.clear_overrides();
            if let Some(pubsub) = state.backend.own() {
                pubsub.clear_faults();
            }
            no_content()
        }
        ("" | "truth" | "counts" | "projects", _) => method_not_allowed("GET"),
        ("faults", _) => method_not_allowed("GET, DELETE"),
        ("speed" | "sink", _) => method_not_allowed("GET, PUT"),
        ("storm", _) => method_not_allowed("POST"),
        (path, method) if path.starts_with("projects/") => {
            let path = path.strip_prefix("projects/").unwrap_or_default();
            projects::answer(state, method, path, text_body).await
        }
        (path, method) => match (path.strip_prefix("faults/"), method) {
            (Some(name), "PUT") => set_fault(state, name, Some(text_body)),
            (Some(name), "DELETE") => set_fault(state, name, None),
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

fn counts(state: &State) -> Response<Body> {
    let Some(pubsub) = state.backend.own() else { return is_emulator() };
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
            } = pubsub.counts(&format!("projects/{}/subscriptions/{id}", state.project));
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
