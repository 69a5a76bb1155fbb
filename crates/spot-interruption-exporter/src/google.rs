//! What the clients of Pub/Sub and Compute have in common: credentials, and errors as one line.

use std::error::Error as StdError;

use google_cloud_auth::credentials::{Builder, Credentials, anonymous};
use google_cloud_gax::error::Error;

use crate::config::Endpoint;

/// Application Default Credentials, or none for a plain endpoint.
pub(crate) fn credentials(endpoint: Option<&Endpoint>) -> Result<Credentials, String> {
    if endpoint.is_some_and(Endpoint::is_plain) {
        return Ok(anonymous::Builder::new().build());
    }
    Builder::default()
        .build()
        .map_err(|error| format!("no Application Default Credentials: {}", chain(&error)))
}

/// What went wrong, for `/ready` and the log: the service's own code and words where it answered.
pub(crate) fn explain(error: &Error) -> String {
    if let Some(status) = error.status() {
        return one_line(&format!("{}: {}", status.code, status.message));
    }
    if let Some(code) = error.http_status_code() {
        return format!("HTTP {code}");
    }
    chain(error)
}

/// An error and its causes, without repeating what a cause says again.
pub(crate) fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    one_line(&text)
}

/// A text of others as one line of bounded length.
pub(crate) fn one_line(text: &str) -> String {
    const LONGEST: usize = 400;
    let mut line: String = text.chars().take(LONGEST).collect();
    if line.len() < text.len() {
        line.push('…');
    }
    line.replace(|c: char| c.is_control(), " ")
}
