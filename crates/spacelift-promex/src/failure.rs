//! Why an operation of the API brought no data.

use std::time::Duration;

use exporter_common::config::format_duration;
use exporter_common::upstream::one_line;
use http::StatusCode;

/// Characters of the API's own words that a message repeats.
const LONGEST_QUOTE: usize = 300;

/// A failed operation. Its text is for the operator; [`Failure::outcome`] is for metrics.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The API has no such data for this key or on this installation. Not an error of the collector.
    #[error("not supported: {0}")]
    Unsupported(String),
    /// The token or the credentials were refused.
    #[error("unauthorized: {0}")]
    Unauthorized(String),
    /// The API answered with GraphQL errors.
    #[error("the API answered with an error: {0}")]
    GraphQl(String),
    /// The API asked to be left alone for a while.
    #[error("HTTP {status}, not asked again for {}", format_duration(*wait))]
    RateLimited {
        /// 429 or 503.
        status: StatusCode,
        /// What is left of the time that the API asked for.
        wait: Duration,
    },
    /// The API answered with a status other than 200.
    #[error("HTTP {status}{}", said(detail))]
    Http {
        /// The status.
        status: StatusCode,
        /// What else the answer says; may be empty.
        detail: String,
    },
    /// The scrape's deadline passed first.
    #[error("no answer within {}", format_duration(*.0))]
    Timeout(Duration),
    /// The API could not be reached, or the connection broke.
    #[error("cannot reach the API: {0}")]
    Network(String),
    /// The answer was longer than the exporter reads.
    #[error("the answer is larger than {} MiB", .0 / (1024 * 1024))]
    TooLarge(usize),
    /// The answer was not what GraphQL and the schema promise.
    #[error("the API's answer makes no sense: {0}")]
    Invalid(String),
    /// The secret's file could not be read.
    #[error("cannot read the API key secret: {0}")]
    Secret(String),
    /// There is no token to ask with.
    #[error("no session: {0}")]
    NoSession(Box<Failure>),
    /// A defect of the exporter itself, contained in this operation.
    #[error("a defect of the exporter, see its log")]
    Defect,
}

impl From<StatusCode> for Failure {
    fn from(status: StatusCode) -> Self {
        Self::Http { status, detail: String::new() }
    }
}

fn said(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!(", {detail}") }
}

impl Failure {
    /// The closed set of label values that failures have.
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

    /// The same failure with the API's own words, which may hold anything, made fit to be shown: without secrets
    /// first, then as one line of bounded length.
    pub(crate) fn reworded(self, redact: impl Fn(&str) -> String) -> Self {
        let fit = |words: String| one_line(&redact(&words), LONGEST_QUOTE);
        match self {
            Self::Unsupported(words) => Self::Unsupported(fit(words)),
            Self::Unauthorized(words) => Self::Unauthorized(fit(words)),
            Self::GraphQl(words) => Self::GraphQl(fit(words)),
            Self::Http { status, detail } => Self::Http { status, detail: fit(detail) },
            other => other,
        }
    }

    /// What tells two failures apart that are to be logged. The same trouble of the network shows at different stages of
    /// a request, and with a session or without.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::NoSession(cause) => cause.reason(),
            Self::Network(text) => text.rsplit(": ").next().unwrap_or_default().to_owned(),
            other => other.to_string(),
        }
    }

    /// The label value under which the failure is counted, one of [`Failure::OUTCOMES`].
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
    fn the_same_trouble_at_another_stage_is_no_other_reason() {
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
