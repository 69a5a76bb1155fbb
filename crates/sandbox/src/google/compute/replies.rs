//! Answers of Compute Engine when it does not do what it is asked for.

use std::time::Duration;

use crate::{google::api_error::error_body, reply::Reply};

/// An answer in the form of Google's errors.
#[must_use]
pub fn error(code: u16, reason: &str, status: &str, message: &str) -> Reply {
    Reply::Status {
        code,
        headers: vec![("content-type".to_owned(), "application/json; charset=UTF-8".to_owned())],
        body: error_body(code, reason, status, message),
    }
}

/// 403, as for somebody without the role.
#[must_use]
pub fn permission_denied() -> Reply {
    let message = "Required 'compute.instances.list' permission for 'projects/example-project'";
    error(403, "forbidden", "PERMISSION_DENIED", message)
}

/// 401, as for somebody without a token that is good.
#[must_use]
pub fn unauthenticated() -> Reply {
    let message = "Request had invalid authentication credentials.";
    error(401, "authError", "UNAUTHENTICATED", message)
}

/// 429 with `Retry-After`.
#[must_use]
pub fn rate_limited(retry_after: Duration) -> Reply {
    let message = "Quota exceeded for quota metric 'List requests' and limit 'List requests per minute'.";
    let reply = error(429, "rateLimitExceeded", "RESOURCE_EXHAUSTED", message);
    with_header(reply, "retry-after", retry_after.as_secs().to_string())
}

/// 500.
#[must_use]
pub fn internal_error() -> Reply {
    error(500, "backendError", "INTERNAL", "Internal error. Please try again or contact Google Support.")
}

/// 503.
#[must_use]
pub fn unavailable() -> Reply {
    error(503, "backendError", "UNAVAILABLE", "The service is currently unavailable.")
}

/// 200 with an HTML page, as a proxy in between would say it.
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
