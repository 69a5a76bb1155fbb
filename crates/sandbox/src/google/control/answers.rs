//! Numbers in requests, and answers to those that make no sense.

use hyper::{Response, StatusCode};

use crate::{http::text, server::Body};

pub(super) fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0)
}

pub(super) fn bad_request(why: &str) -> Response<Body> {
    text(StatusCode::BAD_REQUEST, format!("{why}\n"))
}

pub(super) fn refused(status: &tonic::Status) -> Response<Body> {
    text(StatusCode::BAD_GATEWAY, format!("the emulator refuses: {}\n", status.message()))
}

pub(super) fn is_emulator() -> Response<Body> {
    text(StatusCode::NOT_FOUND, "Pub/Sub is an emulator, which knows nothing of that\n")
}
