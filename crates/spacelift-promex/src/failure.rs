//! The failures of API operations.

use std::time::Duration;

use exporter_common::config::format_duration;
use exporter_common::upstream::one_line;
use http::StatusCode;

/// Maximum number of characters of the API's own text in an error message.
const MAX_QUOTE: usize = 300;

/// A failed operation. `Display` is for the operator, [`Failure::outcome`] for metrics.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The API has no such data for this key or installation. Not a failure of the collector.
    #[error("not supported: {0}")]
    Unsupported(String),
    /// The token or the credentials were refused.
    #[error("unauthorized: {0}")]
    Unauthorized(String),
    /// The API returned GraphQL errors.
    #[error("the API returned an error: {0}")]
    GraphQl(String),
    /// The API limits the rate of requests.
    #[error("HTTP {status}, not asked again for {}", format_duration(*wait))]
    RateLimited {
        /// 429 or 503.
        status: StatusCode,
        /// The remaining time until the next request.
        wait: Duration,
    },
    /// The API returned a status other than 200.
    #[error("HTTP {status}{}", format_detail(detail))]
    Http {
        /// The status.
        status: StatusCode,
        /// Further information from the response; may be empty.
        detail: String,
    },
    /// The scrape's deadline passed first.
    #[error("no answer within {}", format_duration(*.0))]
    Timeout(Duration),
    /// The API could not be reached, or the connection broke.
    #[error("cannot reach the API: {0}")]
    Network(String),
    /// The response is longer than the exporter accepts, in bytes.
    #[error("the answer is larger than {} MiB", .0 / (1024 * 1024))]
    TooLarge(usize),
    /// The response does not conform to GraphQL or to the schema.
    #[error("the API's response is invalid: {0}")]
    Invalid(String),
    /// The secret's file could not be read.
    #[error("cannot read the API key secret: {0}")]
    Secret(String),
    /// There is no token.
    #[error("no session: {0}")]
    NoSession(Box<Failure>),
    /// The operation panicked.
    #[error("internal error of the exporter, see its log")]
    Defect,
}

impl From<StatusCode> for Failure {
    fn from(status: StatusCode) -> Self {
        Self::Http { status, detail: String::new() }
    }
}

fn format_detail(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!(", {detail}") }
}

impl Failure {
    /// All values of the label `outcome` for failures.
    pub const OUTCOMES: [&'static str; 10] = [
        "unsupported",
        "unauthorized",
        "graphql_error",
        "rate_limited",
        "http_error",
        "timeout",
        "network_error",
        "too_large",
        "invalid",
        "no_session",
    ];

    /// Returns the failure with the API's own text redacted, on one line and of bounded length. The text may contain
    /// anything, including secrets.
    pub(crate) fn redacted(self, redact: impl Fn(&str) -> String) -> Self {
        let shown = |text: String| one_line(&redact(&text), MAX_QUOTE);
        match self {
            Self::Unsupported(text) => Self::Unsupported(shown(text)),
            Self::Unauthorized(text) => Self::Unauthorized(shown(text)),
            Self::GraphQl(text) => Self::GraphQl(shown(text)),
            Self::Http { status, detail } => Self::Http { status, detail: shown(detail) },
            other => other,
        }
    }

    /// Returns the cause, by which repeated failures are recognized in the log. The same network failure can occur at
    /// different stages of a request, with or without a session.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::NoSession(cause) => cause.reason(),
            Self::Network(text) => text.rsplit(": ").next().unwrap_or_default().to_owned(),
            other => other.to_string(),
        }
    }

    /// Returns the value of the label `outcome`, one of [`Failure::OUTCOMES`].
    pub fn outcome(&self) -> &'static str {
        match self {
            Self::Unsupported(_) => "unsupported",
            Self::Unauthorized(_) => "unauthorized",
            Self::GraphQl(_) => "graphql_error",
            Self::RateLimited { .. } => "rate_limited",
            Self::Http { .. } => "http_error",
            Self::Timeout(_) => "timeout",
            Self::Network(_) => "network_error",
            Self::TooLarge(_) => "too_large",
            Self::Invalid(_) | Self::Defect => "invalid",
            Self::NoSession(_) | Self::Secret(_) => "no_session",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_does_not_depend_on_the_stage() {
        let reset =
            |stage: &str| Failure::Network(format!("client error ({stage}): Connection reset by peer"));
        let reason = reset("Connect").reason();
        assert_eq!(reason, reset("SendRequest").reason());
        assert_eq!(reason, Failure::NoSession(Box::new(reset("Connect"))).reason());
        assert_ne!(
            reason,
            Failure::Network("client error (Connect): Connection refused".to_owned()).reason()
        );
        assert_ne!(Failure::GraphQl("a".to_owned()).reason(), Failure::GraphQl("b".to_owned()).reason());
    }
}
