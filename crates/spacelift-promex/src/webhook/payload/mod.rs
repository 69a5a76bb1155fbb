//! What a delivery holds: bytes to a [`Payload`], without IO.
//!
//! Spacelift's default payload and the one that our notification policy projects are read by the same code: names in
//! camelCase or snake_case, fields missing or of a wrong type. What is not needed is skipped without being kept.

mod object;
mod run;
mod time;

use object::Object;

use crate::runs::RunUpdate;

/// What a delivery is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// The name of the account that sent it.
    pub account: Option<String>,
    /// What it says.
    pub event: Event,
}

/// What a delivery says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A run has entered a state.
    Run(Box<RunUpdate>),
    /// Something failed inside Spacelift, by severity in upper case.
    InternalError(String),
    /// Something else, such as an event of the audit trail.
    Other,
}

/// A delivery could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// The body is not JSON.
    #[error("the body is not JSON")]
    Json,
    /// It is about a run, and does not say which one or its state.
    #[error("the run has no id, no stack or no state")]
    Run,
}

/// Reads the body of a delivery.
///
/// # Errors
/// See [`PayloadError`]. A JSON document of an unknown shape is none.
pub fn parse(body: &[u8]) -> Result<Payload, PayloadError> {
    let body = String::from_utf8_lossy(body);
    let body = body.trim_start_matches('\u{feff}');
    let Some(object) = Object::parse(body) else {
        // An unknown shape, or nothing at all.
        serde_json::from_str::<serde::de::IgnoredAny>(body).map_err(|_| PayloadError::Json)?;
        return Ok(Payload { account: None, event: Event::Other });
    };
    // The whole input of a notification policy wraps it.
    let inner = object.object(&["run_updated", "runUpdated"]);
    let event = match run::read(inner.as_ref().unwrap_or(&object)) {
        Some(Ok(update)) => Event::Run(Box::new(update)),
        Some(Err(error)) => return Err(error),
        None => match internal_error(&object) {
            Some(severity) => Event::InternalError(severity),
            None => Event::Other,
        },
    };
    Ok(Payload { account: account(&object), event })
}

fn account(object: &Object<'_>) -> Option<String> {
    const ACCOUNT: &[&str] = &["account"];
    object.text(ACCOUNT).or_else(|| object.object(ACCOUNT)?.text(&["name"]))
}

fn internal_error(object: &Object<'_>) -> Option<String> {
    let inner = object.object(&["internal_error", "internalError"]);
    let object = inner.as_ref().unwrap_or(object);
    let severity = object.text(&["severity"])?;
    let has_text = ["title", "error", "body"].iter().any(|name| object.has(name));
    has_text.then(|| severity.to_ascii_uppercase())
}

#[cfg(test)]
mod tests;
