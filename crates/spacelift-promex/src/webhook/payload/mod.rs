//! The parser of deliveries: from bytes to a [`Payload`], without IO.
//!
//! The same code parses Spacelift's default payload and the payload of our notification policy. Names may be in camelCase
//! or snake_case. Fields that are missing or have the wrong type are ignored. Unused fields are skipped without being
//! stored.

mod object;
mod run;
mod time;

use object::Object;

use crate::runs::RunUpdate;

/// A parsed delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// The name of the account that sent it.
    pub account: Option<String>,
    /// The reported event.
    pub event: Event,
}

/// The event that a delivery reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A run entered a state.
    Run(Box<RunUpdate>),
    /// An internal error of Spacelift; its severity in upper case.
    InternalError(String),
    /// Another event, such as an entry of the audit trail.
    Other,
}

/// A delivery that cannot be parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// The body is not JSON.
    #[error("the body is not JSON")]
    Json,
    /// The delivery is about a run, but lacks its id, its stack or its state.
    #[error("the run has no id, no stack or no state")]
    Run,
}

/// Parses the body of a delivery.
///
/// # Errors
/// See [`PayloadError`]. A JSON document with an unknown structure is not an error, but [`Event::Other`].
pub fn parse(body: &[u8]) -> Result<Payload, PayloadError> {
    let body = String::from_utf8_lossy(body);
    let body = body.trim_start_matches('\u{feff}');
    let Some(object) = Object::parse(body) else {
        // Not an object: another JSON value, or not JSON.
        serde_json::from_str::<serde::de::IgnoredAny>(body).map_err(|_| PayloadError::Json)?;
        return Ok(Payload { account: None, event: Event::Other });
    };
    // The whole input of a notification policy contains it in this field.
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

/// Returns the account's name, which is a string or in an object.
fn account(object: &Object<'_>) -> Option<String> {
    const ACCOUNT: &[&str] = &["account"];
    object.text(ACCOUNT).or_else(|| object.object(ACCOUNT)?.text(&["name"]))
}

/// Returns the severity of an internal error, or `None` for another event.
fn internal_error(object: &Object<'_>) -> Option<String> {
    let inner = object.object(&["internal_error", "internalError"]);
    let object = inner.as_ref().unwrap_or(object);
    let severity = object.text(&["severity"])?;
    let has_text = ["title", "error", "body"].iter().any(|name| object.has(name));
    has_text.then(|| severity.to_ascii_uppercase())
}

#[cfg(test)]
mod tests;
