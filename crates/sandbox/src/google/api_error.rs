//! Error responses in the JSON format of Google's REST APIs.

use serde_json::{Value, json};

/// Returns the body of an error response.
pub(super) fn error_body(code: u16, reason: &str, status: &str, message: &str) -> String {
    error_value(code, reason, status, message).to_string()
}

pub(super) fn error_value(code: u16, reason: &str, status: &str, message: &str) -> Value {
    let errors = json!([{ "message": message, "domain": "global", "reason": reason }]);
    json!({ "error": { "code": code, "message": message, "errors": errors, "status": status } })
}
