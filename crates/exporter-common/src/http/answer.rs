//! Answers: their status and content, and the body that says when it is sent.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};

use super::connection::Exchange;
use super::quota::Place;

/// What is sent, and the places that it holds until then.
#[derive(Debug, Default)]
pub(super) struct Content {
    bytes: Bytes,
    places: Arc<Vec<Place>>,
}

impl Content {
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Keeps `places` until the last byte is written to the socket, or given up with the connection.
    pub(super) fn holding(self, places: Vec<Place>) -> Self {
        Self { places: Arc::new(places), ..self }
    }

    /// The content as the body of a response whose end concludes `exchange`, handed over in pieces of at most
    /// `frame` bytes.
    pub(super) fn into_body(self, frame: usize, exchange: Exchange) -> ContentBody {
        ContentBody { content: self, frame, exchange }
    }
}

impl<B: Into<Bytes>> From<B> for Content {
    fn from(bytes: B) -> Self {
        Self { bytes: bytes.into(), ..Self::default() }
    }
}

/// A text of a line or a few.
pub(super) fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Content> {
    let mut response = Response::new(body.into().into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// The body of a response. It tells the watch when a part of it is taken and, by its end, when it is handed over whole
/// or given up.
pub(super) struct ContentBody {
    content: Content,
    frame: usize,
    exchange: Exchange,
}

impl Body for ContentBody {
    type Data = Piece;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, Infallible>>> {
        if self.content.bytes.is_empty() {
            return Poll::Ready(None);
        }
        self.exchange.progressed();
        let length = self.frame.min(self.content.len());
        let bytes = self.content.bytes.split_to(length);
        Poll::Ready(Some(Ok(Frame::data(Piece { bytes, _places: self.content.places.clone() }))))
    }

    fn is_end_stream(&self) -> bool {
        self.content.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.content.len() as u64)
    }
}

/// A part of a body. hyper takes it from the body long before the socket does, and drops it once the socket did; so it
/// holds the places of its content as well.
pub(super) struct Piece {
    bytes: Bytes,
    _places: Arc<Vec<Place>>,
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }

    fn copy_to_bytes(&mut self, length: usize) -> Bytes {
        // Without a copy, unlike the default.
        self.bytes.copy_to_bytes(length)
    }
}
