//! Fault injection through the control endpoint.

use std::time::Duration;

use hyper::{Response, StatusCode};
use serde_json::json;
use tonic::Code;

use super::responses::{bad_request, is_emulator, number};
use crate::{
    google::{
        assets,
        compute::{self, Operation, Override, Reply},
        pubsub::Faults,
        simulation::Simulation,
    },
    http::{self, no_content, text},
    server::Body,
};

/// The delay of Compute Engine with the fault `slow`.
const SLOWNESS: Duration = Duration::from_secs(10);

/// Returns the active faults of Pub/Sub.
pub(super) fn faults(simulation: &Simulation) -> Response<Body> {
    let Some(pubsub) = simulation.backend.own() else { return is_emulator() };
    let Faults {
        duplicates,
        reorder,
        lost_acks,
        slow_acks,
        reset_every,
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
        "max_lease": max_lease.map(duration),
        "refuse": refuse.map(code_name),
        "refuse_get": refuse_get.map(code_name),
        "freeze": freeze,
    });
    http::json(faults.to_string())
}

/// Sets a fault to a value, or removes it without one.
pub(super) fn set_fault(simulation: &Simulation, name: &str, value: Option<&str>) -> Response<Body> {
    if ["compute", "operations", "assets"].contains(&name) {
        return set_api_fault(simulation, name, value);
    }
    let Some(pubsub) = simulation.backend.own() else { return is_emulator() };
    let mut faults = pubsub.faults();
    match apply(&mut faults, name, value) {
        Some(true) => {
            pubsub.set_faults(faults);
            no_content()
        }
        Some(false) => bad_request("invalid value for this fault"),
        None => text(StatusCode::NOT_FOUND, "unknown fault\n"),
    }
}

/// Makes one of the REST APIs fail, or removes its faults.
fn set_api_fault(simulation: &Simulation, api: &str, fault: Option<&str>) -> Response<Body> {
    match (api, fault) {
        ("compute" | "operations", None) => simulation.compute.clear_overrides(),
        (_, None) => simulation.assets.clear_overrides(),
        ("compute" | "operations", Some(name)) => match compute_fault(name) {
            Some(reply) => {
                let operations = match api {
                    "compute" => [Operation::List, Operation::Get],
                    _ => [Operation::Operations, Operation::ZoneOperations],
                };
                for operation in operations {
                    simulation.compute.override_reply(operation, Override::from(reply.clone()));
                }
            }
            None => return bad_request("unknown fault of Compute Engine"),
        },
        (_, Some(name)) => {
            let reply = if name == "permission_denied" {
                Some(assets::permission_denied())
            } else {
                compute_fault(name)
            };
            match reply {
                Some(reply) => simulation.assets.override_reply(assets::Operation::Search, reply),
                None => return bad_request("unknown fault of the asset inventory"),
            }
        }
    }
    no_content()
}

/// Sets a fault. Returns whether the value is valid; `None` for an unknown fault.
fn apply(faults: &mut Faults, name: &str, value: Option<&str>) -> Option<bool> {
    let rate = || value.map_or(Some(0.0), |text| number(text).filter(|rate| *rate <= 1.0));
    let duration = || value.map(|text| humantime::parse_duration(text).ok());
    Some(match name {
        "duplicates" => assign(&mut faults.duplicates, rate()),
        "lost_acks" => assign(&mut faults.lost_acks, rate()),
        "reorder" => assign(&mut faults.reorder, value.map_or(Some(0), |text| text.parse().ok())),
        "slow_acks" => assign(&mut faults.slow_acks, duration().unwrap_or(Some(Duration::ZERO))),
        "reset_every" => assign_option(&mut faults.reset_every, duration()),
        "max_lease" => assign_option(&mut faults.max_lease, duration()),
        "refuse" => assign_option(&mut faults.refuse, value.map(code)),
        "refuse_get" => assign_option(&mut faults.refuse_get, value.map(code)),
        "freeze" => assign(&mut faults.freeze, Some(value.is_some_and(|text| text != "false"))),
        _ => return None,
    })
}

/// Assigns a value if it is valid. Returns whether it is.
fn assign<T>(fault: &mut T, value: Option<T>) -> bool {
    value.map(|value| *fault = value).is_some()
}

/// Assigns an optional value; the outer `None` removes it.
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

/// Parses the name of a gRPC code in snake case.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_faults_by_name() {
        let mut faults = Faults::default();
        for (name, value) in [
            ("duplicates", "0.1"),
            ("lost_acks", "1"),
            ("reorder", "100"),
            ("slow_acks", "2s"),
            ("reset_every", "1m 30s"),
            ("max_lease", "500ms"),
            ("refuse", "permission_denied"),
            ("refuse_get", "permission_denied"),
            ("freeze", ""),
        ] {
            assert_eq!(apply(&mut faults, name, Some(value)), Some(true), "{name}");
        }
        let expected = Faults {
            duplicates: 0.1,
            reorder: 100,
            lost_acks: 1.0,
            slow_acks: Duration::from_secs(2),
            reset_every: Some(Duration::from_secs(90)),
            max_lease: Some(Duration::from_millis(500)),
            refuse: Some(Code::PermissionDenied),
            refuse_get: Some(Code::PermissionDenied),
            freeze: true,
        };
        assert_eq!(faults, expected);
        for (name, value) in [
            ("duplicates", "1.1"),
            ("lost_acks", "-1"),
            ("reorder", "x"),
            ("max_lease", ""),
            ("refuse", "ok"),
        ] {
            assert_eq!(apply(&mut faults, name, Some(value)), Some(false), "{name}");
        }
        assert_eq!(faults, expected, "invalid values change nothing");
        assert_eq!(apply(&mut faults, "nonsense", None), None);
        for name in ["duplicates", "lost_acks", "reorder", "slow_acks", "reset_every", "max_lease"] {
            assert_eq!(apply(&mut faults, name, None), Some(true), "{name}");
        }
        for name in ["refuse", "refuse_get", "freeze"] {
            assert_eq!(apply(&mut faults, name, None), Some(true), "{name}");
        }
        assert_eq!(faults, Faults::default());
    }
}
