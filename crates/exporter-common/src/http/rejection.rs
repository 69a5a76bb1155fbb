//! Rejected requests and connections, by the limit or rule that rejected them.

use std::io;
use std::net::IpAddr;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use rustls::CertificateError;

use super::line_limit::LineLimit;

/// Why a connection was closed or a request rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Rejection {
    /// The connection was closed at the limit on connections, in favour of another one.
    Connections,
    /// A request head is too large.
    HeadBytes,
    /// A request head, or the TLS handshake before it, took too long.
    HeadTime,
    /// The connection was idle for too long.
    IdleTime,
    /// The client did not read its response.
    StallTime,
    /// Too many scrapes are running or have responses that the client has not read.
    InFlight,
    /// An HTTP/1.1 request without a `Host` header, or a request with several or an invalid one.
    Host,
    /// The rate limit of the web configuration.
    RateLimit,
    /// Missing or wrong credentials.
    Credentials,
    /// Too many passwords wait to be checked.
    PasswordChecks,
    /// The TLS handshake failed, for example because the client has no certificate.
    Handshake,
    /// Plain HTTP on a socket that requires TLS.
    PlainHttp,
}

/// Every rejection with its label.
const LABELS: [(Rejection, &str); 12] = [
    (Rejection::Connections, "connections"),
    (Rejection::HeadBytes, "head_bytes"),
    (Rejection::HeadTime, "head_time"),
    (Rejection::IdleTime, "idle_time"),
    (Rejection::StallTime, "stall_time"),
    (Rejection::InFlight, "in_flight"),
    (Rejection::Host, "host"),
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
struct RejectionLabels {
    reason: Rejection,
}

/// Counts rejections.
#[derive(Debug, Default)]
pub(super) struct Rejections {
    count: Family<RejectionLabels, Counter>,
    handshake_lines: LineLimit,
}

impl Rejections {
    /// Registers the counter. Every series starts at 0, so that `increase()` includes its first increment.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let rejections = Self::default();
        for (reason, _) in LABELS {
            drop(rejections.count.get_or_create(&RejectionLabels { reason }));
        }
        registry.register(
            "exporter_http_rejections",
            "Rejected requests and closed connections, by the limit or rule that was exceeded",
            rejections.count.clone(),
        );
        rejections
    }

    /// Counts and logs a rejection.
    pub(super) fn count(&self, reason: Rejection) {
        self.count.get_or_create(&RejectionLabels { reason }).inc();
        tracing::debug!(reason = reason.label(), "rejected");
    }

    /// Counts a failed TLS handshake. Its cause is logged for an operator whose Prometheus is rejected, but at most
    /// once in ten seconds, because any client can make a handshake fail.
    pub(super) fn count_handshake(&self, client: IpAddr, error: &io::Error) {
        self.count(Rejection::Handshake);
        if let Some(left_out) = self.handshake_lines.pass() {
            tracing::warn!(%client, cause = handshake_cause(error), left_out, "a TLS handshake failed");
        }
    }
}

/// Describes why a handshake failed, with the names of the web configuration's keys.
fn handshake_cause(error: &io::Error) -> String {
    let tls = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::NoCertificatesPresented) => "the client sent no certificate".to_owned(),
        Some(rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)) => {
            "the client's certificate has none of the names in client_allowed_sans".to_owned()
        }
        Some(rustls::Error::InvalidCertificate(error)) => {
            format!("the client's certificate is rejected: {error}")
        }
        Some(rustls::Error::AlertReceived(alert)) => format!("the client sent the alert {alert:?}"),
        _ => error.to_string(),
    }
}
