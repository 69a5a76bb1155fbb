//! The sandbox's own endpoint, beside Compute Engine on the same port.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use hyper::{Method, Request, Response, StatusCode, body::Incoming};
use serde_json::{Value, json};
use tonic::{Code, async_trait};

use super::{
    compute::{self, Operation, Override, Reply},
    names::{CREATION_SUBSCRIPTION, CREATION_TOPIC, INTERRUPTION_SUBSCRIPTION, INTERRUPTION_TOPIC},
    pubsub::{Counts, Faults},
    state::State,
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

GET         /_sandbox/truth                 interruptions and running spot VMs by cluster, as they really are
GET PUT     /_sandbox/speed                 simulated seconds in a second; 0 pauses
POST        /_sandbox/storm                 preempts this share of the spot VMs at once: 0.5
POST        /_sandbox/publish/interruption  publishes the body
POST        /_sandbox/publish/creation      publishes the body
GET         /_sandbox/counts                what has become of the messages, by subscription
GET DELETE  /_sandbox/faults                what goes wrong; DELETE ends it
PUT DELETE  /_sandbox/faults/NAME           makes this go wrong, with the body as its measure:
                duplicates 0.1     lost_acks 0.1    reorder 100
                slow_acks 2s       max_lease 1s     reset_every 30s    reset_after 1000
                refuse unavailable (or permission_denied, not_found, ...)          freeze
                compute permission_denied (or rate_limited, internal_error, unavailable, garbage, reset, slow)
POST        /_sandbox/reset                 ends every open stream, once
            /compute/v1/projects/...        the Compute API itself
";

/// How late Compute Engine is when it is slow.
const SLOWNESS: Duration = Duration::from_secs(10);

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
            let truth = state.truth().await;
            http::json(
                json!({
                    "interruptions": truth.interruptions_by_cluster,
                    "unattributed": truth.unattributed,
                    "spot_instances": truth.spot_by_cluster,
                    "instances": truth.instances,
                })
                .to_string(),
            )
        }
        ("speed", "GET") => text(StatusCode::OK, format!("{}\n", state.speed())),
        ("speed", "PUT") => match number(text_body) {
            Some(speed) => {
                state.set_speed(speed);
                no_content()
            }
            None => bad_request("expected a number that is not negative"),
        },
        ("storm", "POST") => match number(text_body).filter(|share| *share <= 1.0) {
            Some(share) => match state.happen(|world| world.storm(share)).await {
                Ok(events) => text(StatusCode::OK, format!("{}\n", events.len())),
                Err(status) => refused(&status),
            },
            None => bad_request("expected a number from 0 to 1"),
        },
        ("publish/interruption", "POST") => publish(state, INTERRUPTION_TOPIC, body).await,
        ("publish/creation", "POST") => publish(state, CREATION_TOPIC, body).await,
        ("counts", "GET") => counts(state),
        ("faults", "GET") => faults(state),
        ("faults", "DELETE") => {
            state.compute.clear_overrides();
            if let Some(pubsub) = state.backend.own() {
                pubsub.clear_faults();
            }
            no_content()
        }
        ("reset", "POST") => match state.backend.own() {
            Some(pubsub) => {
                pubsub.reset_all_streams();
                no_content()
            }
            None => is_emulator(),
        },
        ("" | "truth" | "counts", _) => method_not_allowed("GET"),
        ("faults", _) => method_not_allowed("GET, DELETE"),
        ("speed", _) => method_not_allowed("GET, PUT"),
        ("storm" | "reset" | "publish/interruption" | "publish/creation", _) => method_not_allowed("POST"),
        (path, method) => match (path.strip_prefix("faults/"), method) {
            (Some(name), "PUT") => set_fault(state, name, Some(text_body)),
            (Some(name), "DELETE") => set_fault(state, name, None),
            (Some(_), _) => method_not_allowed("PUT, DELETE"),
            (None, _) => text(StatusCode::NOT_FOUND, "not found\n"),
        },
    }
}

async fn publish(state: &State, topic: &str, body: &[u8]) -> Response<Body> {
    match state.publish(topic, vec![body.to_vec().into()]).await {
        Ok(()) => no_content(),
        Err(status) => refused(&status),
    }
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

fn faults(state: &State) -> Response<Body> {
    let Some(pubsub) = state.backend.own() else { return is_emulator() };
    let Faults {
        duplicates,
        reorder,
        lost_acks,
        slow_acks,
        reset_every,
        reset_after,
        max_lease,
        refuse,
        refuse_get,
        freeze,
    } = pubsub.faults();
    let duration = |duration: Duration| humantime::format_duration(duration).to_string();
    let faults = json!({
        "duplicates": duplicates,
        "reorder": reorder,
        "lost_acks": lost_acks,
        "slow_acks": duration(slow_acks),
        "reset_every": reset_every.map(duration),
        "reset_after": reset_after,
        "max_lease": max_lease.map(duration),
        "refuse": refuse.map(code_name),
        "refuse_get": refuse_get.map(code_name),
        "freeze": freeze,
    });
    http::json(faults.to_string())
}

/// Makes something go wrong, or right again if there is no measure of it.
fn set_fault(state: &State, name: &str, measure: Option<&str>) -> Response<Body> {
    if name == "compute" {
        let reply = match measure {
            None => {
                state.compute.clear_overrides();
                return no_content();
            }
            Some(name) => compute_fault(name),
        };
        return match reply {
            Some(reply) => {
                for operation in [Operation::List, Operation::Get] {
                    state.compute.override_reply(operation, Override::from(reply.clone()));
                }
                no_content()
            }
            None => bad_request("no such fault of Compute Engine"),
        };
    }
    let Some(pubsub) = state.backend.own() else { return is_emulator() };
    let mut faults = pubsub.faults();
    match apply(&mut faults, name, measure) {
        Some(true) => {
            pubsub.set_faults(faults);
            no_content()
        }
        Some(false) => bad_request("that is no measure of this fault"),
        None => text(StatusCode::NOT_FOUND, "no such fault\n"),
    }
}

/// Says whether the measure made sense, or nothing if there is no such fault.
fn apply(faults: &mut Faults, name: &str, measure: Option<&str>) -> Option<bool> {
    let rate = || measure.map_or(Some(0.0), |text| number(text).filter(|rate| *rate <= 1.0));
    let duration = || measure.map(|text| humantime::parse_duration(text).ok());
    Some(match name {
        "duplicates" => assign(&mut faults.duplicates, rate()),
        "lost_acks" => assign(&mut faults.lost_acks, rate()),
        "reorder" => assign(&mut faults.reorder, measure.map_or(Some(0), |text| text.parse().ok())),
        "slow_acks" => assign(&mut faults.slow_acks, duration().unwrap_or(Some(Duration::ZERO))),
        "reset_every" => assign_option(&mut faults.reset_every, duration()),
        "max_lease" => assign_option(&mut faults.max_lease, duration()),
        "reset_after" => assign_option(&mut faults.reset_after, measure.map(|text| text.parse().ok())),
        "refuse" => assign_option(&mut faults.refuse, measure.map(code)),
        "refuse_get" => assign_option(&mut faults.refuse_get, measure.map(code)),
        "freeze" => assign(&mut faults.freeze, Some(measure.is_some_and(|text| text != "false"))),
        _ => return None,
    })
}

/// Says whether there was something to assign.
fn assign<T>(fault: &mut T, value: Option<T>) -> bool {
    value.map(|value| *fault = value).is_some()
}

/// The same where nothing is a value too.
fn assign_option<T>(fault: &mut Option<T>, value: Option<Option<T>>) -> bool {
    match value {
        None => assign(fault, Some(None)),
        Some(value) => assign(fault, value.map(Some)),
    }
}

fn compute_fault(name: &str) -> Option<Reply> {
    Some(match name {
        "permission_denied" => compute::permission_denied(),
        "rate_limited" => compute::rate_limited(Duration::from_secs(30)),
        "internal_error" => compute::internal_error(),
        "unavailable" => compute::unavailable(),
        "garbage" => compute::garbage(),
        "reset" => Reply::Reset,
        "slow" => Reply::Delay(SLOWNESS),
        _ => return None,
    })
}

/// A gRPC code by its name in snake case.
fn code(name: &str) -> Option<Code> {
    (1..=16).map(Code::from_i32).find(|code| code_name(*code) == name)
}

fn code_name(code: Code) -> String {
    let mut name = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0)
}

fn bad_request(why: &str) -> Response<Body> {
    text(StatusCode::BAD_REQUEST, format!("{why}\n"))
}

fn refused(status: &tonic::Status) -> Response<Body> {
    text(StatusCode::BAD_GATEWAY, format!("the emulator refuses: {}\n", status.message()))
}

fn is_emulator() -> Response<Body> {
    text(StatusCode::NOT_FOUND, "Pub/Sub is an emulator, which knows nothing of that\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_have_names() {
        let mut faults = Faults::default();
        for (name, measure) in [
            ("duplicates", "0.1"),
            ("lost_acks", "1"),
            ("reorder", "100"),
            ("slow_acks", "2s"),
            ("reset_every", "1m 30s"),
            ("max_lease", "500ms"),
            ("reset_after", "7"),
            ("refuse", "permission_denied"),
            ("refuse_get", "permission_denied"),
            ("freeze", ""),
        ] {
            assert_eq!(apply(&mut faults, name, Some(measure)), Some(true), "{name}");
        }
        let expected = Faults {
            duplicates: 0.1,
            reorder: 100,
            lost_acks: 1.0,
            slow_acks: Duration::from_secs(2),
            reset_every: Some(Duration::from_secs(90)),
            reset_after: Some(7),
            max_lease: Some(Duration::from_millis(500)),
            refuse: Some(Code::PermissionDenied),
            refuse_get: Some(Code::PermissionDenied),
            freeze: true,
        };
        assert_eq!(faults, expected);
        for (name, measure) in [
            ("duplicates", "1.1"),
            ("lost_acks", "-1"),
            ("reorder", "x"),
            ("max_lease", ""),
            ("refuse", "ok"),
        ] {
            assert_eq!(apply(&mut faults, name, Some(measure)), Some(false), "{name}");
        }
        assert_eq!(faults, expected, "nonsense changes nothing");
        assert_eq!(apply(&mut faults, "nonsense", None), None);
        for name in ["duplicates", "lost_acks", "reorder", "slow_acks", "reset_every", "max_lease"] {
            assert_eq!(apply(&mut faults, name, None), Some(true), "{name}");
        }
        for name in ["reset_after", "refuse", "refuse_get", "freeze"] {
            assert_eq!(apply(&mut faults, name, None), Some(true), "{name}");
        }
        assert_eq!(faults, Faults::default());
    }
}
