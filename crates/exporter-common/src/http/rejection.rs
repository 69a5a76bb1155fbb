//! What was turned away, and by which limit or rule.

use std::io;
use std::net::IpAddr;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use rustls::CertificateError;

use super::line_limit::LineLimit;

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
    /// Too many scrapes run, or are answered and not read, at the same time.
    InFlight,
    /// HTTP/1.1 without a `Host` header, or a request with several or an impossible one.
    Host,
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
struct Reason {
    reason: Rejection,
}

/// Counts rejections.
#[derive(Debug, Default)]
pub(super) struct Rejections {
    count: Family<Reason, Counter>,
    handshake_lines: LineLimit,
}

impl Rejections {
    /// Every series starts at 0, so that a rate sees its first increment.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let rejections = Self::default();
        for (reason, _) in LABELS {
            drop(rejections.count.get_or_create(&Reason { reason }));
        }
        registry.register(
            "exporter_http_rejections",
            "Requests and connections that were refused or ended, by the limit or rule that did it",
            rejections.count.clone(),
        );
        rejections
    }

    /// Counts and logs one.
    pub(super) fn count(&self, reason: Rejection) {
        self.count.get_or_create(&Reason { reason }).inc();
        tracing::debug!(reason = reason.label(), "rejected");
    }
    /// Counts a TLS handshake that failed. Anybody can make one fail, and an operator whose Prometheus is refused
    /// looks for the reason here: one line in ten seconds has it.
    pub(super) fn count_handshake(&self, client: IpAddr, error: &io::Error) {
        self.count(Rejection::Handshake);
        if let Some(left_out) = self.handshake_lines.pass() {
            tracing::warn!(%client, cause = handshake_cause(error), left_out, "a TLS handshake failed");
        }
    }
}

/// Why a handshake failed, in the words of the web configuration where it has any.
fn handshake_cause(error: &io::Error) -> String {
    let tls = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::NoCertificatesPresented) => "the client sent no certificate".to_owned(),
        Some(rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)) => {
            "the client's certificate has none of the names in client_allowed_sans".to_owned()
        }
        Some(rustls::Error::InvalidCertificate(error)) => {
            format!("the client's certificate is refused: {error}")
        }
        Some(rustls::Error::AlertReceived(alert)) => format!("the client ended it: {alert:?}"),
        _ => error.to_string(),
    }
}
