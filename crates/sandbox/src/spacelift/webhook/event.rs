//! Deliveries that are not about runs.

use std::time::Duration;

use serde_json::{Value, json};

/// Returns an internal error with a severity: `INFO`, `WARNING` or `ERROR`.
#[must_use]
pub fn internal_error(account: &str, severity: &str) -> Value {
    json!({
        "title": "Invalid Stack Slug Triggered",
        "body": "policy tried to trigger Stack 'this-is-not-a-stack' which either doesn't exist or this policy doesn't have access to",
        "error": "policy triggered for Stack that doesn't exist",
        "severity": severity,
        "account": account,
    })
}

/// Returns an event of the audit trail. The time is counted from the Unix epoch.
#[must_use]
pub fn audit_event(account: &str, at: Duration) -> Value {
    json!({
        "account": account,
        "action": "stack.update",
        "actor": "github::developer",
        "context": { "mutation": "stackUpdate" },
        "data": { "args": { "ID": "network", "Labels": ["team:core"] } },
        "remoteIP": "192.0.2.1",
        "timestamp": u64::try_from(at.as_millis()).unwrap_or(u64::MAX),
    })
}

/// Returns a new version of a module. The time is counted from the Unix epoch.
#[must_use]
pub fn module_version(account: &str, at: Duration) -> Value {
    json!({
        "account": account,
        "state": "ACTIVE",
        "timestamp": at.as_secs(),
        "event_source": "spacelift",
        "event_type": "module_version_event",
        "module": { "id": "terraform-acme-network", "name": "network", "labels": [] },
        "version": { "id": "01K5ZZZZZZZZZZZZZZZZZZZZZZ", "number": "1.2.3", "latest": true },
    })
}
