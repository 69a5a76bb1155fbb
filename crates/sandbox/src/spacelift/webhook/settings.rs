//! Settings, faults and counts of a webhook.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use super::Shape;

/// The configuration of a webhook.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Webhook {
    /// The destination: an `http` URL.
    pub url: String,
    /// The secret for signatures.
    pub secret: String,
    /// The payload.
    pub shape: Shape,
    /// The account in the payload.
    pub account: String,
    /// Whether deliveries are retried after HTTP 5xx, up to three times. The default is false, as in
    /// Spacelift.
    pub retry: bool,
    /// Whether internal errors, audit trail events and module versions are delivered occasionally.
    pub others: bool,
}

impl Webhook {
    /// Returns a webhook of the account `acme` with Spacelift's defaults.
    #[must_use]
    pub fn new(url: impl Into<String>, secret: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            secret: secret.into(),
            shape: Shape::Default,
            account: "acme".to_owned(),
            retry: false,
            others: true,
        }
    }

    /// Sets the payload.
    #[must_use]
    pub fn shape(self, shape: Shape) -> Self {
        Self { shape, ..self }
    }

    /// Sets whether deliveries are retried after HTTP 5xx, up to three times.
    #[must_use]
    pub fn retry(self, retry: bool) -> Self {
        Self { retry, ..self }
    }

    /// Sets whether messages about other subjects than runs are delivered.
    #[must_use]
    pub fn others(self, others: bool) -> Self {
        Self { others, ..self }
    }
}

/// Injected faults. Shares are from 0 to 1. By default there are no faults.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(default)]
pub struct WebhookFaults {
    /// The share of deliveries sent twice.
    pub duplicates: f64,
    /// The share of deliveries sent up to three seconds late, after later ones.
    pub reorder: f64,
    /// The share of deliveries about non-final states that are never sent.
    pub lost: f64,
    /// The share of deliveries preceded by a copy with a wrong signature.
    pub bad_signatures: f64,
    /// The share of default payloads without `timestamp_millis`, `event_source` and `event_type`.
    pub old_payloads: f64,
    /// The delay of all deliveries.
    #[serde(serialize_with = "seconds")]
    pub delay: Duration,
}

fn seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&humantime::format_duration(*duration).to_string())
}

/// Counts of deliveries since the webhook was set.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct WebhookStatus {
    /// Whether Spacelift has disabled the webhook, after ten consecutive failures.
    pub disabled: bool,
    /// Consecutive failures.
    pub failures_in_a_row: u32,
    /// Requests with a 2xx response.
    pub accepted: u64,
    /// Deliveries that failed finally: no response, or not 2xx.
    pub failed: u64,
    /// Repeated requests.
    pub retries: u64,
    /// Deliveries dropped by fault injection.
    pub lost: u64,
    /// Deliveries dropped because the webhook is disabled.
    pub dropped: u64,
    /// Requests duplicated by fault injection.
    pub duplicates: u64,
    /// Requests with a wrong signature.
    pub bad_signatures: u64,
    /// Internal errors with a 2xx response, by severity.
    pub internal_errors: BTreeMap<String, u64>,
    /// Audit trail events and module versions with a 2xx response.
    pub others: u64,
    /// Requests by response status; 0 means no response.
    pub responses: BTreeMap<u16, u64>,
    /// Deliveries that are not sent yet.
    pub outstanding: u64,
}
