//! Shared parsing and error responses of the control endpoint.

use hyper::{Response, StatusCode};

use crate::{http::text, server::Body};

pub(super) fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0)
}

pub(super) fn bad_request(reason: &str) -> Response<Body> {
    text(StatusCode::BAD_REQUEST, format!("{reason}\n"))
}

pub(super) fn emulator_error(status: &tonic::Status) -> Response<Body> {
    text(StatusCode::BAD_GATEWAY, format!("the emulator rejected the request: {}\n", status.message()))
}

pub(super) fn is_emulator() -> Response<Body> {
    text(StatusCode::NOT_FOUND, "not available with an emulator\n")
}
