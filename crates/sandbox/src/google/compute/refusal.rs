//! What is wrong with a request.

use hyper::{Response, StatusCode};

use super::replies::error_body;
use crate::{
    http::{self, text},
    server::Body,
};

/// Why a request is refused.
pub(super) enum Refusal {
    /// There is no such path here.
    Path,
    NotFound(String),
    Invalid {
        field: &'static str,
        value: String,
    },
}

impl Refusal {
    pub(super) fn invalid(field: &'static str, value: &str) -> Self {
        Self::Invalid { field, value: value.to_owned() }
    }

    pub(super) fn response(self) -> Response<Body> {
        let (status, body) = match self {
            Self::Path => return text(StatusCode::NOT_FOUND, "not found\n"),
            Self::NotFound(resource) => {
                let message = format!("The resource '{resource}' was not found");
                (StatusCode::NOT_FOUND, error_body(404, "notFound", "NOT_FOUND", &message))
            }
            Self::Invalid { field, value } => {
                let message = format!("Invalid value for field '{field}': '{value}'.");
                (StatusCode::BAD_REQUEST, error_body(400, "invalid", "INVALID_ARGUMENT", &message))
            }
        };
        let mut response = http::json(body);
        *response.status_mut() = status;
        response
    }
}
