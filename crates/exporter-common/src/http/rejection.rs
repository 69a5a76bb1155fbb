//! What was turned away, and by which limit or rule.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Why a connection was ended or a request refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Rejection {
    /// The connection made room for another one.
    Connections,
    /// A request's head is too large.
    HeadBytes,
    /// A request's head, or the TLS handshake before it, took too long.
    HeadTime,
    /// The connection was idle for too long.
    IdleTime,
    /// The client did not read its answer.
    StallTime,
    /// Too many scrapes run at the same time.
    InFlight,
    /// The web configuration's rate limit.
    RateLimit,
    /// No credentials, or wrong ones.
    Credentials,
    /// Too many passwords wait to be checked.
    PasswordChecks,
    /// The TLS handshake failed, such as for want of a certificate.
    Handshake,
    /// Plain HTTP where TLS is spoken.
    PlainHttp,
}

/// Every rejection with its label.
const LABELS: [(Rejection, &str); 11] = [
    (Rejection::Connections, "connections"),
    (Rejection::HeadBytes, "head_bytes"),
    (Rejection::HeadTime, "head_time"),
    (Rejection::IdleTime, "idle_time"),
    (Rejection::StallTime, "stall_time"),
    (Rejection::InFlight, "in_flight"),
    (Rejection::RateLimit, "rate_limit"),
    (Rejection::Credentials, "credentials"),
    (Rejection::PasswordChecks, "password_checks"),
    (Rejection::Handshake, "tls_handshake"),
    (Rejection::PlainHttp, "plain_http"),
];

impl Rejection {
    fn label(self) -> &'static str {
        LABELS.iter().find(|(rejection, _)| *rejection == self).map_or("", |(_, label)| label)
    }
}

impl EncodeLabelValue for Rejection {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.label().encode(encoder)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: Rejection,
}

/// Counts rejections.
#[derive(Debug, Clone, Default)]
pub(super) struct Rejections(Family<Reason, Counter>);

impl Rejections {
    /// Every series starts at 0, so that a rate sees its first increment.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let rejections = Self::default();
        for (reason, _) in LABELS {
            drop(rejections.0.get_or_create(&Reason { reason }));
        }
        registry.register(
            "exporter_http_rejections",
            "Requests and connections that were refused or ended, by the limit or rule that did it",
            rejections.0.clone(),
        );
        rejections
    }

    /// Counts and logs one.
    pub(super) fn count(&self, reason: Rejection) {
        self.0.get_or_create(&Reason { reason }).inc();
        tracing::debug!(reason = reason.label(), "rejected");
    }
}
