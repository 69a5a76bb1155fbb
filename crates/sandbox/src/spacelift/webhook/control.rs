//! The paths of the control endpoint for webhooks and runs.

use std::time::Duration;

use hyper::{Method, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Runs, Shape, Webhook, WebhookFaults};
use crate::{
    http::{self, method_not_allowed, no_content, text},
    server::Body,
    spacelift::api::Api,
};

/// The maximum number of ended runs in a response.
const SHOWN: usize = 1_000;

/// A webhook in a request body.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WebhookBody {
    url: String,
    secret: String,
    shape: Option<String>,
    account: Option<String>,
    retry: Option<bool>,
    others: Option<bool>,
}

/// Returns the response, or `None` for the path of another service.
pub(in crate::spacelift) fn respond(
    api: &Api,
    method: &Method,
    path: &str,
    body: &str,
) -> Option<Response<Body>> {
    let hooks = &api.webhooks;
    Some(match (path, method.as_str()) {
        ("runs", "GET") => http::json(view(&api.world.runs()).to_string()),
        ("runs", "DELETE") => {
            api.world.reset_runs();
            no_content()
        }
        ("webhook", "GET") => {
            let mut view = json!(hooks.status());
            view["url"] = json!(hooks.webhook().map(|webhook| webhook.url));
            view["shape"] = json!(hooks.webhook().map(|webhook| webhook.shape.name()));
            http::json(view.to_string())
        }
        ("webhook", "PUT") => match parse_webhook(body) {
            Ok(webhook) => {
                api.world.catch_up();
                hooks.set(Some(webhook));
                no_content()
            }
            Err(reason) => text(StatusCode::BAD_REQUEST, format!("{reason}\n")),
        },
        ("webhook", "DELETE") => {
            api.world.catch_up();
            hooks.set(None);
            no_content()
        }
        ("faults", "GET") => http::json(json!(hooks.faults()).to_string()),
        ("faults", "DELETE") => {
            hooks.set_faults(WebhookFaults::default());
            no_content()
        }
        ("runs", _) => method_not_allowed("GET, DELETE"),
        ("webhook", _) => method_not_allowed("GET, PUT, DELETE"),
        ("faults", _) => method_not_allowed("GET, DELETE"),
        (path, method) => {
            let name = path.strip_prefix("faults/")?;
            let mut faults = hooks.faults();
            let value = match method {
                "PUT" => body,
                "DELETE" => "0",
                _ => return Some(method_not_allowed("PUT, DELETE")),
            };
            match apply(&mut faults, name, value) {
                Some(true) => {
                    hooks.set_faults(faults);
                    no_content()
                }
                Some(false) => text(StatusCode::BAD_REQUEST, "invalid value for this fault\n"),
                None => text(StatusCode::NOT_FOUND, "unknown fault\n"),
            }
        }
    })
}

fn parse_webhook(body: &str) -> Result<Webhook, String> {
    let body: WebhookBody = serde_json::from_str(body).map_err(|error| error.to_string())?;
    let mut webhook = Webhook::new(body.url, body.secret);
    if !webhook.url.starts_with("http://") {
        return Err("expected an http URL".to_owned());
    }
    if let Some(shape) = body.shape {
        webhook.shape = shape.parse::<Shape>().map_err(|error| error.to_string())?;
    }
    webhook.account = body.account.unwrap_or(webhook.account);
    webhook.retry = body.retry.unwrap_or(webhook.retry);
    webhook.others = body.others.unwrap_or(webhook.others);
    Ok(webhook)
}

/// Sets a fault. Returns whether the value is valid; `None` for an unknown fault.
fn apply(faults: &mut WebhookFaults, name: &str, value: &str) -> Option<bool> {
    let share = match name {
        "duplicates" => &mut faults.duplicates,
        "reorder" => &mut faults.reorder,
        "lost" => &mut faults.lost,
        "bad_signatures" => &mut faults.bad_signatures,
        "old_payloads" => &mut faults.old_payloads,
        "delay" => {
            let delay = match value {
                "0" => Some(Duration::ZERO),
                _ => humantime::parse_duration(value).ok(),
            };
            return Some(delay.map(|delay| faults.delay = delay).is_some());
        }
        _ => return None,
    };
    let value = value.parse().ok().filter(|value| (0.0..=1.0).contains(value));
    Some(value.map(|value| *share = value).is_some())
}

/// Returns the runs as JSON, for comparison with metrics.
fn view(runs: &Runs) -> Value {
    let ended: Vec<Value> =
        runs.ended.iter().map(|(outcome, count)| counted(json!(outcome), *count)).collect();
    let active: Vec<Value> = runs.active.iter().map(|(key, count)| counted(json!(key), *count)).collect();
    let seconds = |duration: &Duration| duration.as_secs_f64();
    let last = runs.last.iter().rev().take(SHOWN).map(|run| {
        let mut view = json!(run.outcome);
        view["id"] = json!(run.id);
        view["created"] = json!(seconds(&run.created));
        view["ended"] = json!(seconds(&run.ended));
        let timing = run.timing.iter().map(|(state, spent)| (state.clone(), json!(seconds(spent))));
        view["timing"] = Value::Object(timing.collect());
        view["changes"] = run.changes.map_or(Value::Null, |changes| {
            json!({
                "added": changes.added, "changed": changes.changed, "deleted": changes.deleted,
                "replaced": changes.replaced,
            })
        });
        view
    });
    json!({ "ended": ended, "active": active, "last": last.collect::<Vec<_>>() })
}

fn counted(mut view: Value, count: u64) -> Value {
    view["count"] = json!(count);
    view
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_faults_by_name() {
        let mut faults = WebhookFaults::default();
        for (name, value) in [
            ("duplicates", "0.1"),
            ("reorder", "0.2"),
            ("lost", "0.3"),
            ("bad_signatures", "0.4"),
            ("old_payloads", "0.5"),
            ("delay", "2s"),
        ] {
            assert_eq!(apply(&mut faults, name, value), Some(true), "{name}");
        }
        let expected = WebhookFaults {
            duplicates: 0.1,
            reorder: 0.2,
            lost: 0.3,
            bad_signatures: 0.4,
            old_payloads: 0.5,
            delay: Duration::from_secs(2),
        };
        assert_eq!(faults, expected);
        for (name, value) in [("lost", "1.1"), ("lost", "-1"), ("reorder", "NaN"), ("delay", "soon")] {
            assert_eq!(apply(&mut faults, name, value), Some(false), "{name}");
        }
        assert_eq!(faults, expected, "invalid values change nothing");
        assert_eq!(apply(&mut faults, "nonsense", "1"), None);
        for name in ["duplicates", "reorder", "lost", "bad_signatures", "old_payloads", "delay"] {
            assert_eq!(apply(&mut faults, name, "0"), Some(true), "{name}");
        }
        assert_eq!(faults, WebhookFaults::default());
    }

    #[test]
    fn parses_a_webhook() {
        let webhook =
            parse_webhook(r#"{"url": "http://h/webhook", "secret": "s", "shape": "both", "retry": true}"#);
        assert_eq!(webhook, Ok(Webhook::new("http://h/webhook", "s").shape(Shape::Both).retry(true)));
        for invalid in [
            "",
            "{}",
            r#"{"url": "https://h/", "secret": "s"}"#,
            r#"{"url": "http://h/", "secret": "s", "shape": "odd"}"#,
            r#"{"url": "http://h/", "secret": "s", "colour": "red"}"#,
        ] {
            assert!(parse_webhook(invalid).is_err(), "{invalid}");
        }
    }
}
