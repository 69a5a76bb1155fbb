//! Error replies of Compute Engine.

use std::time::Duration;

use crate::{google::api_error::error_body, reply::Reply};

/// Returns an error reply in the format of Google's REST APIs.
#[must_use]
pub fn error(code: u16, reason: &str, status: &str, message: &str) -> Reply {
    Reply::Status {
        code,
        headers: vec![("content-type".to_owned(), "application/json; charset=UTF-8".to_owned())],
        body: error_body(code, reason, status, message),
    }
}

/// HTTP 403: the caller lacks the role.
#[must_use]
pub fn permission_denied() -> Reply {
    let message = "Required 'compute.instances.list' permission for 'projects/example-project'";
    error(403, "forbidden", "PERMISSION_DENIED", message)
}

/// HTTP 401: the token is missing or invalid.
#[must_use]
pub fn unauthenticated() -> Reply {
    let message = "Request had invalid authentication credentials.";
    error(401, "authError", "UNAUTHENTICATED", message)
}

/// HTTP 429 with `Retry-After`.
#[must_use]
pub fn rate_limited(retry_after: Duration) -> Reply {
    let message = "Quota exceeded for quota metric 'List requests' and limit 'List requests per minute'.";
    let reply = error(429, "rateLimitExceeded", "RESOURCE_EXHAUSTED", message);
    with_header(reply, "retry-after", retry_after.as_secs().to_string())
}

/// HTTP 500.
#[must_use]
pub fn internal_error() -> Reply {
    error(500, "backendError", "INTERNAL", "Internal error. Please try again or contact Google Support.")
}

/// HTTP 503.
#[must_use]
pub fn unavailable() -> Reply {
    error(503, "backendError", "UNAVAILABLE", "The service is currently unavailable.")
}

/// HTTP 200 with an HTML page, like the error page of a proxy.
#[must_use]
pub fn garbage() -> Reply {
    Reply::Status {
        code: 200,
        headers: vec![("content-type".to_owned(), "text/html; charset=UTF-8".to_owned())],
        body: "<!DOCTYPE html><html><title>Error 502 (Server Error)!!1</title></html>\n".to_owned(),
    }
}

fn with_header(mut reply: Reply, name: &str, value: String) -> Reply {
    if let Reply::Status { headers, .. } = &mut reply {
        headers.push((name.to_owned(), value));
    }
    reply
}
