//! Responses: short texts, and the body that reports to the connection's monitor while it is sent.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};

use super::monitor::InFlightRequest;
use super::quota::Permit;

/// A response of one or a few lines of text.
pub(super) fn text(status: StatusCode, content: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::new(content.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// The same bytes, which hold `permits` until the last of them is written to the socket or dropped with the
/// connection. hyper takes a chunk from the body long before the socket accepts it, and drops it afterwards.
pub(super) fn hold_permits(content: Bytes, permits: [Permit; 2]) -> Bytes {
    Bytes::from_owner(HeldContent { content, _permits: permits })
}

struct HeldContent {
    content: Bytes,
    _permits: [Permit; 2],
}

impl AsRef<[u8]> for HeldContent {
    fn as_ref(&self) -> &[u8] {
        &self.content
    }
}

/// The body of a response. Reports to the monitor when HTTP takes a chunk of it and, by being dropped, when HTTP has
/// taken it completely or given it up.
pub(super) struct ResponseBody {
    content: Bytes,
    /// The largest chunk in bytes.
    chunk: usize,
    request: InFlightRequest,
}

impl ResponseBody {
    /// A body that HTTP takes in chunks of at most `chunk` bytes.
    pub(super) fn new(content: Bytes, chunk: usize, request: InFlightRequest) -> Self {
        Self { content, chunk, request }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.content.is_empty() {
            return Poll::Ready(None);
        }
        self.request.chunk_taken();
        let length = self.chunk.min(self.content.len());
        Poll::Ready(Some(Ok(Frame::data(self.content.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.content.len() as u64)
    }
}
