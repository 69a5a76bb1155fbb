//! Valid and malformed HTTP responses.

use std::io;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http_body_util::{BodyExt as _, Limited, StreamBody};
use hyper::{
    Response, StatusCode,
    body::{Frame, Incoming},
    header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue},
};

use crate::server::{Body, full};

/// The maximum size of a request body, far above what is needed.
const MAX_REQUEST: usize = 1 << 20;

pub(crate) async fn read(body: Incoming) -> Result<Bytes, Response<Body>> {
    match Limited::new(body, MAX_REQUEST).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) => Err(text(StatusCode::BAD_REQUEST, format!("cannot read the request: {error}\n"))),
    }
}

pub(crate) fn response(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Body> {
    let mut response = Response::new(full(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

pub(crate) fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    response(status, "text/plain; charset=utf-8", body)
}

pub(crate) fn json(body: impl Into<Bytes>) -> Response<Body> {
    response(StatusCode::OK, "application/json", body)
}

pub(crate) fn method_not_allowed(allowed: &'static str) -> Response<Body> {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

pub(crate) fn status(code: u16, headers: &[(String, String)], body: impl Into<Bytes>) -> Response<Body> {
    let builder = headers
        .iter()
        .fold(Response::builder().status(code), |builder, (name, value)| builder.header(name, value));
    builder.body(full(body.into())).unwrap_or_else(|error| {
        text(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("the override is not a valid HTTP response: {error}\n"),
        )
    })
}

/// Returns a response that fails after its first bytes. hyper then closes the connection (or the HTTP/2
/// stream).
pub(crate) fn truncated() -> Response<Body> {
    const START: &str = r#"{"data":{"items":[{"id":"#;
    let failure = stream::once(async {
        // Lets hyper flush the first bytes before the error.
        tokio::task::yield_now().await;
        Err(io::ErrorKind::UnexpectedEof.into())
    });
    let body = stream::iter([Ok(Frame::data(Bytes::from_static(START.as_bytes())))]).chain(failure);
    let mut response = json("");
    response.headers_mut().insert(CONTENT_LENGTH, (10 * START.len()).into());
    *response.body_mut() = StreamBody::new(body).boxed_unsync();
    response
}

/// Returns a response with a JSON string that never ends.
pub(crate) fn endless() -> Response<Body> {
    static CHUNK: [u8; 64 * 1024] = [b'a'; 64 * 1024];
    let beginning = stream::iter([Bytes::from_static(br#"{"data":""#)]);
    let body =
        beginning.chain(stream::repeat(Bytes::from_static(&CHUNK))).map(|bytes| Ok(Frame::data(bytes)));
    let mut response = json("");
    *response.body_mut() = StreamBody::new(body).boxed_unsync();
    response
}

pub(crate) fn no_content() -> Response<Body> {
    let mut response = Response::new(Body::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}
