//! Errors as Google's APIs over HTTP answer with.

use serde_json::{Value, json};

/// The body of an error.
pub(super) fn error_body(code: u16, reason: &str, status: &str, message: &str) -> String {
    error_value(code, reason, status, message).to_string()
}

pub(super) fn error_value(code: u16, reason: &str, status: &str, message: &str) -> Value {
    let errors = json!([{ "message": message, "domain": "global", "reason": reason }]);
    json!({ "error": { "code": code, "message": message, "errors": errors, "status": status } })
}
