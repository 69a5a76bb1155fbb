//! Faults through the control endpoint.

use std::time::Duration;

use hyper::{Response, StatusCode};
use serde_json::json;

use super::{ControlRoutes, bad_request};
use crate::{
    aws::{
        ec2::Ec2Settings,
        handle::Aws,
        operation::{Operation, Service},
        sqs::{Queue, QueueFaults, StaleReceipts},
    },
    http::{self, no_content, text},
    reply::{Override, Reply},
    server::Body,
};

/// The delay with the fault `slow`.
const SLOWNESS: Duration = Duration::from_secs(10);

/// Returns the active faults, those of the first queue.
pub(super) fn faults(routes: &ControlRoutes) -> Response<Body> {
    let QueueFaults {
        duplicate_sends,
        duplicate_receives,
        lost_deletes,
        reorder,
        stale_receipts,
        failed_entries,
        failed_entries_code,
    } = routes.queue.faults();
    let ec2 = routes.api.fleet.settings();
    let faults = json!({
        "duplicate_sends": duplicate_sends,
        "duplicate_receives": duplicate_receives,
        "lost_deletes": lost_deletes,
        "reorder": reorder,
        "stale_receipts": format!("{stale_receipts:?}").to_lowercase(),
        "failed_entries": failed_entries,
        "failed_entries_code": failed_entries_code,
        "padding": ec2.padding,
        "shuffle": ec2.shuffle,
        "reject_managed_resources": ec2.reject_managed_resources,
        "repeat_token": ec2.repeat_token,
        "cut": ec2.cut,
        "tag_loss": ec2.tag_loss.map(|interval| humantime::format_duration(interval).to_string()),
    });
    http::json(faults.to_string())
}

/// Removes all faults.
pub(super) fn clear(routes: &ControlRoutes) {
    routes.api.overrides().clear();
    routes.api.fleet.change_settings(|settings| *settings = Ec2Settings::default());
    for queue in routes.api.queues.all() {
        queue.set_faults(QueueFaults::default());
        queue.set_denied(false);
        queue.set_deleted(false);
    }
}

/// Sets a fault to a value, or removes it without one.
pub(super) fn set(routes: &ControlRoutes, name: &str, value: Option<&str>) -> Response<Body> {
    let service = match name {
        "sqs" => Some(Service::Sqs),
        "ec2" => Some(Service::Ec2),
        "sts" => Some(Service::Sts),
        _ => None,
    };
    let is_valid = match service {
        Some(service) => set_service(routes, service, value),
        None => set_ec2(routes, name, value).or_else(|| set_queues(&routes.api.queues.all(), name, value)),
    };
    match is_valid {
        Some(true) => no_content(),
        Some(false) => bad_request("invalid value for this fault"),
        None => text(StatusCode::NOT_FOUND, "unknown fault\n"),
    }
}

/// Makes all operations of a service fail.
fn set_service(routes: &ControlRoutes, service: Service, value: Option<&str>) -> Option<bool> {
    for operation in Operation::ALL.iter().copied().filter(|operation| operation.service() == service) {
        let reply = match value {
            None => {
                routes.api.overrides().remove(&operation.into());
                continue;
            }
            Some("") => return Some(false),
            Some("garbage") => {
                Reply::Status { code: 200, headers: Vec::new(), body: "<html><body>".to_owned() }
            }
            Some("reset") => Reply::Reset,
            Some("slow") => Reply::Delay(SLOWNESS),
            Some(code) => Aws::error_reply(operation, code),
        };
        routes.api.add_override(operation.into(), Override::from(reply));
    }
    Some(true)
}

/// Sets a switch of EC2. Returns whether the value is valid; `None` for an unknown switch.
fn set_ec2(routes: &ControlRoutes, name: &str, value: Option<&str>) -> Option<bool> {
    let mut settings = routes.api.fleet.settings();
    let is_on = value.is_some_and(|text| text != "false");
    match name {
        "padding" => match value.map_or(Ok(0), str::parse) {
            Ok(padding) => settings.padding = padding,
            Err(_) => return Some(false),
        },
        "cut" => match value.map(str::parse).transpose() {
            Ok(cut) => settings.cut = cut,
            Err(_) => return Some(false),
        },
        "tag_loss" => match value.map(humantime::parse_duration).transpose() {
            Ok(interval) => settings.tag_loss = interval,
            Err(_) => return Some(false),
        },
        "shuffle" => settings.shuffle = is_on,
        "reject_managed_resources" => settings.reject_managed_resources = is_on,
        "repeat_token" => settings.repeat_token = is_on,
        _ => return None,
    }
    routes.api.fleet.change_settings(|current| *current = settings);
    Some(true)
}

/// Sets a fault of all queues. Returns whether the value is valid; `None` for an unknown fault.
fn set_queues(queues: &[Queue], name: &str, value: Option<&str>) -> Option<bool> {
    for queue in queues {
        let mut faults = queue.faults();
        match apply(&mut faults, name, value) {
            Some(true) => queue.set_faults(faults),
            Some(false) => return Some(false),
            None => match name {
                "denied" => queue.set_denied(value.is_some_and(|text| text != "false")),
                "deleted" => queue.set_deleted(value.is_some_and(|text| text != "false")),
                _ => return None,
            },
        }
    }
    Some(true)
}

/// Sets a fault of a queue. Returns whether the value is valid; `None` for an unknown fault.
fn apply(faults: &mut QueueFaults, name: &str, value: Option<&str>) -> Option<bool> {
    let rate = || value.map_or(Some(0.0), |text| super::number(text).filter(|rate| *rate <= 1.0));
    Some(match name {
        "duplicate_sends" => assign(&mut faults.duplicate_sends, rate()),
        "duplicate_receives" => assign(&mut faults.duplicate_receives, rate()),
        "lost_deletes" => assign(&mut faults.lost_deletes, rate()),
        "reorder" => assign(&mut faults.reorder, value.map_or(Some(0), |text| text.parse().ok())),
        "stale_receipts" => assign(
            &mut faults.stale_receipts,
            match value {
                None | Some("accept") => Some(StaleReceipts::Accept),
                Some("ignore") => Some(StaleReceipts::Ignore),
                Some("reject") => Some(StaleReceipts::Reject),
                Some(_) => None,
            },
        ),
        "failed_entries" => {
            let (count, code) = value.map_or(("0", ""), |text| text.split_once(' ').unwrap_or((text, "")));
            let is_valid = assign(&mut faults.failed_entries, count.parse().ok());
            if is_valid {
                code.clone_into(&mut faults.failed_entries_code);
            }
            is_valid
        }
        _ => return None,
    })
}

/// Assigns a value if it is valid. Returns whether it is.
fn assign<T>(fault: &mut T, value: Option<T>) -> bool {
    value.map(|value| *fault = value).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_faults_by_name() {
        let mut faults = QueueFaults::default();
        for (name, value) in [
            ("duplicate_sends", "0.1"),
            ("duplicate_receives", "0.2"),
            ("lost_deletes", "1"),
            ("reorder", "100"),
            ("stale_receipts", "reject"),
            ("failed_entries", "5 AccessDenied"),
        ] {
            assert_eq!(apply(&mut faults, name, Some(value)), Some(true), "{name}");
        }
        let expected = QueueFaults {
            duplicate_sends: 0.1,
            duplicate_receives: 0.2,
            lost_deletes: 1.0,
            reorder: 100,
            stale_receipts: StaleReceipts::Reject,
            failed_entries: 5,
            failed_entries_code: "AccessDenied".to_owned(),
        };
        assert_eq!(faults, expected);
        for (name, value) in [
            ("duplicate_sends", "1.1"),
            ("lost_deletes", "-1"),
            ("reorder", "x"),
            ("stale_receipts", ""),
            ("failed_entries", "x"),
        ] {
            assert_eq!(apply(&mut faults, name, Some(value)), Some(false), "{name}");
        }
        assert_eq!(faults, expected, "invalid values change nothing");
        assert_eq!(apply(&mut faults, "nonsense", None), None);
        for name in [
            "duplicate_sends",
            "duplicate_receives",
            "lost_deletes",
            "reorder",
            "stale_receipts",
            "failed_entries",
        ] {
            assert_eq!(apply(&mut faults, name, None), Some(true), "{name}");
        }
        assert_eq!(faults, QueueFaults::default());
    }
}
