//! The control endpoint.

mod faults;
mod instances;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use hyper::{Method, Request, Response, StatusCode, body::Incoming};
use serde_json::{Value, json};
use tonic::async_trait;

use super::{
    api::Api,
    simulation::Simulation,
    sqs::{Queue, QueueCounts},
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
A simulated AWS: SQS, EC2 and STS of all regions and accounts on one address.

GET         /_sandbox/truth                 the actual interruptions and running spot instances by cluster
GET PUT     /_sandbox/speed                 simulated seconds per second; 0 pauses
POST        /_sandbox/advance               advances the simulation by the duration in the body: 30s
POST        /_sandbox/burst                 interrupts this share of the spot instances: 0.5
GET PUT     /_sandbox/clock                 seconds by which the clock of the services is ahead
GET         /_sandbox/queues                the queues with their URLs and counts
GET         /_sandbox/instances             all instances
PUT DELETE  /_sandbox/instances/ID          launches an instance: {\"zone\": \"eu-central-1a\", \"type\": \"m6i.large\", \"lifecycle\":
                                            \"spot\", \"account\": \"123456789012\", \"tags\": {\"k\": \"v\"}}; or removes it
POST        /_sandbox/instances/ID/warn     sends a warning about an instance (also fulfill, rebalance, reserve)
POST        /_sandbox/instances/ID/terminate  terminates an instance; the body may be the code of the state reason
POST        /_sandbox/messages              sends the body to the first queue
GET DELETE  /_sandbox/faults                the active faults; DELETE removes all
PUT DELETE  /_sandbox/faults/NAME           sets a fault to the value in the body, or removes it:
                duplicate_sends 0.1     duplicate_receives 0.1     lost_deletes 0.1     reorder 100
                stale_receipts accept (or ignore, reject)          failed_entries 5 (or 5 AccessDenied)
                denied                  deleted
                sqs RequestThrottled (or another code; or garbage, reset, slow)
                ec2 RequestLimitExceeded (or another code; or garbage, reset, slow)
                sts AccessDenied (or another code; or garbage, reset, slow)
                padding 8000            shuffle                    reject_managed_resources
                repeat_token            cut 5000                   tag_loss 10m
            /v1/credentials, /v2/credentials/, /latest/  credentials of EKS Pod Identity, ECS and the instance metadata
";

/// The routes below [`PREFIX`].
pub(super) struct ControlRoutes {
    pub(super) api: Arc<Api>,
    /// The first queue.
    pub(super) queue: Queue,
    pub(super) simulation: Option<Arc<Simulation>>,
}

#[async_trait]
impl Route for ControlRoutes {
    fn prefix(&self) -> &'static str {
        PREFIX
    }

    async fn handle(&self, request: Request<Incoming>, _connection: u64) -> ServerAction {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().strip_prefix(PREFIX).unwrap_or_default();
        ServerAction::Respond(match http::read(body).await {
            Ok(body) => self.respond(&parts.method, path, &String::from_utf8_lossy(&body)),
            Err(refusal) => refusal,
        })
    }
}

impl ControlRoutes {
    fn respond(&self, method: &Method, path: &str, body: &str) -> Response<Body> {
        let trimmed = body.trim();
        match (path, method.as_str()) {
            ("", "GET") => text(StatusCode::OK, HELP),
            ("queues", "GET") => self.queues(),
            ("clock", "GET") => text(StatusCode::OK, format!("{}\n", self.api.clock.offset())),
            ("clock", "PUT") => match trimmed.parse::<f64>().ok().filter(|offset| offset.is_finite()) {
                Some(offset) => {
                    self.api.clock.set_offset(offset);
                    no_content()
                }
                None => bad_request("expected a number of seconds"),
            },
            ("messages", "POST") => text(StatusCode::OK, format!("{}\n", self.queue.send(body))),
            ("truth" | "speed" | "advance" | "burst", _) => match &self.simulation {
                Some(simulation) => of_simulation(simulation, path, method, trimmed),
                None => text(StatusCode::NOT_FOUND, "nothing is simulated\n"),
            },
            ("faults", "GET") => faults::faults(self),
            ("faults", "DELETE") => {
                faults::clear(self);
                no_content()
            }
            ("instances", "GET") => instances::list(self),
            ("" | "queues" | "instances", _) => method_not_allowed("GET"),
            ("clock", _) => method_not_allowed("GET, PUT"),
            ("messages", _) => method_not_allowed("POST"),
            ("faults", _) => method_not_allowed("GET, DELETE"),
            (path, method) => match (path.strip_prefix("faults/"), path.strip_prefix("instances/")) {
                (Some(name), _) => match method {
                    "PUT" => faults::set(self, name, Some(trimmed)),
                    "DELETE" => faults::set(self, name, None),
                    _ => method_not_allowed("PUT, DELETE"),
                },
                (_, Some(path)) => instances::respond(self, method, path, trimmed),
                _ => text(StatusCode::NOT_FOUND, "not found\n"),
            },
        }
    }

    fn queues(&self) -> Response<Body> {
        let queues: Vec<Value> = self.api.queues.all().iter().map(queue_view).collect();
        http::json(json!(queues).to_string())
    }
}

fn of_simulation(simulation: &Simulation, path: &str, method: &Method, body: &str) -> Response<Body> {
    match (path, method.as_str()) {
        ("truth", "GET") => http::json(truth_view(&simulation.truth()).to_string()),
        ("truth", _) => method_not_allowed("GET"),
        ("speed", "GET") => text(StatusCode::OK, format!("{}\n", simulation.speed())),
        ("speed", "PUT") => match number(body) {
            Some(speed) => {
                simulation.set_speed(speed);
                no_content()
            }
            None => bad_request("expected a number of at least 0"),
        },
        ("speed", _) => method_not_allowed("GET, PUT"),
        ("advance", "POST") => match humantime::parse_duration(body) {
            Ok(elapsed) if elapsed <= Duration::from_secs(24 * 60 * 60) => {
                let events = simulation.apply(|world| world.advance(elapsed));
                text(StatusCode::OK, format!("{}\n", events.len()))
            }
            _ => bad_request("expected a duration of at most a day"),
        },
        ("burst", "POST") => match number(body).filter(|share| *share <= 1.0) {
            Some(share) => {
                let events = simulation.apply(|world| world.burst(share));
                text(StatusCode::OK, format!("{}\n", events.len()))
            }
            None => bad_request("expected a number from 0 to 1"),
        },
        _ => method_not_allowed("POST"),
    }
}

fn truth_view(truth: &Truth) -> Value {
    let interruptions: Vec<Value> = truth
        .interruptions
        .iter()
        .map(|interruption| {
            json!({
                "account": interruption.account,
                "region": interruption.region,
                "cluster": interruption.cluster,
                "instance": interruption.instance,
                "zone": interruption.zone,
                "instance_type": interruption.instance_type,
                "reason": interruption.reason,
            })
        })
        .collect();
    json!({
        "interruptions": truth.interruptions_by_cluster,
        "unattributed": truth.unattributed,
        "reasons": truth.interruptions_by_reason,
        "accounts": truth.interruptions_by_account,
        "spot_instances": truth.spot_by_cluster,
        "instances": truth.instances,
        "last": interruptions,
    })
}

fn queue_view(queue: &Queue) -> Value {
    let QueueCounts {
        sent,
        visible,
        in_flight,
        deleted,
        receives,
        expired,
        visibility_changes,
        lost_deletes,
    } = queue.counts();
    let counts = BTreeMap::from([
        ("sent", sent),
        ("visible", visible),
        ("in_flight", in_flight),
        ("deleted", deleted),
        ("receives", receives),
        ("expired", expired),
        ("visibility_changes", visibility_changes),
        ("lost_deletes", lost_deletes),
    ]);
    json!({
        "url": queue.url(),
        "aws_url": queue.aws_url(),
        "account": queue.account(),
        "region": queue.region(),
        "name": queue.name(),
        "counts": counts,
    })
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0)
}

fn bad_request(reason: &str) -> Response<Body> {
    text(StatusCode::BAD_REQUEST, format!("{reason}\n"))
}
