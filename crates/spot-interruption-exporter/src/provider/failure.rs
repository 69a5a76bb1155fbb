//! Failures of requests to a provider's API.

use std::time::Duration;

use http::StatusCode;

/// Why a request failed.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Description for `/ready` and the log, with the API's message if it responded.
    pub(crate) reason: String,
    /// Status of the response; `None` if there was none.
    pub(crate) status: Option<StatusCode>,
    /// Delay that the API requested before the next request.
    pub(crate) retry_after: Option<Duration>,
    /// Whether the API is not enabled in the scope.
    pub(crate) is_disabled: bool,
}

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Self { reason, status: None, retry_after: None, is_disabled: false }
    }
}
