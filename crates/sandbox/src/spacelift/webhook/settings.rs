//! Where deliveries go, what goes wrong with them on purpose, and what has become of them.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use super::Shape;

/// A webhook as somebody has configured it in Spacelift.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Webhook {
    /// The endpoint: an `http` URL.
    pub url: String,
    /// What deliveries are signed with.
    pub secret: String,
    /// What their bodies look like.
    pub shape: Shape,
    /// The account that they come from.
    pub account: String,
    /// Whether a delivery that is answered with 5xx is sent again, up to three times. Off by default, as in Spacelift.
    pub retry: bool,
    /// Whether internal errors, events of the audit trail and module versions are delivered now and then.
    pub others: bool,
}

impl Webhook {
    /// A webhook of the account `acme` with Spacelift's defaults.
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

    /// Another shape.
    #[must_use]
    pub fn shape(self, shape: Shape) -> Self {
        Self { shape, ..self }
    }

    /// Whether a delivery that is answered with 5xx is sent again, up to three times.
    #[must_use]
    pub fn retry(self, retry: bool) -> Self {
        Self { retry, ..self }
    }

    /// Whether anything but runs is delivered.
    #[must_use]
    pub fn others(self, others: bool) -> Self {
        Self { others, ..self }
    }
}

/// What goes wrong on the way. Shares are from 0 to 1; by default nothing does.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(default)]
pub struct WebhookFaults {
    /// The share of deliveries that are sent twice.
    pub duplicates: f64,
    /// The share that is overtaken by others: it is sent up to three seconds late.
    pub reorder: f64,
    /// The share that is never sent, of those about states that others follow.
    pub lost: f64,
    /// The share before which a copy with a wrong signature is sent, as by somebody who does not know the secret.
    pub bad_signatures: f64,
    /// The share of default payloads without `timestamp_millis`, `event_source` and `event_type`.
    pub old_payloads: f64,
    /// How late everything is sent.
    #[serde(serialize_with = "seconds")]
    pub delay: Duration,
}

fn seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&humantime::format_duration(*duration).to_string())
}

/// What has become of the deliveries since the webhook was set.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct WebhookStatus {
    /// Whether Spacelift has given up on the webhook, after ten failures in a row.
    pub disabled: bool,
    /// Deliveries that failed since the last one that did not.
    pub failures_in_a_row: u32,
    /// Requests that were answered with 2xx.
    pub accepted: u64,
    /// Deliveries that failed for good: no answer, or one that is not 2xx.
    pub failed: u64,
    /// Requests that were sent again.
    pub retries: u64,
    /// Deliveries that were not sent because of a fault.
    pub lost: u64,
    /// Deliveries that were not sent because the webhook is disabled.
    pub dropped: u64,
    /// Requests that were sent a second time because of a fault.
    pub duplicates: u64,
    /// Requests with a wrong signature.
    pub bad_signatures: u64,
    /// Internal errors that were answered with 2xx, by severity.
    pub internal_errors: BTreeMap<String, u64>,
    /// Events of the audit trail and module versions that were answered with 2xx.
    pub others: u64,
    /// Requests by the status of their answer, with 0 for none.
    pub answers: BTreeMap<u16, u64>,
    /// Deliveries that are still to be sent.
    pub outstanding: u64,
}
