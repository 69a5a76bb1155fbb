//! Request bodies, read within limits on size, time and memory.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, EXPECT};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Why a request body could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The body is larger than the page accepts.
    #[error("the body is too large")]
    TooLarge,
    /// The body did not arrive in time.
    #[error("the body did not arrive in time")]
    TimedOut,
    /// The bodies that are being received or processed use all the memory that is reserved for them.
    #[error("too many requests are being received")]
    NoRoom,
    /// The page rejected the request by its headers; the body was discarded.
    #[error("the request is rejected")]
    Rejected,
    /// The connection broke, or the body is not valid HTTP.
    #[error("the body could not be read")]
    Broken,
}

/// Bytes of a rejected body that are read and discarded.
const MAX_DISCARDED: usize = 64 * 1024 * 1024;

/// The memory for bodies that are being received or processed, shared by all connections.
#[derive(Debug)]
pub(super) struct BodyMemory(Arc<Semaphore>);

/// A complete body. Its memory is in use until it is dropped.
#[derive(Debug)]
pub(super) struct ReceivedBody {
    pub(super) bytes: Bytes,
    _memory: Option<OwnedSemaphorePermit>,
}

impl BodyMemory {
    /// Reserves `bytes` bytes.
    pub(super) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))))
    }

    /// Reads a body of at most `max` bytes within `time`. A larger body is read to its end and discarded, because many
    /// clients read no response before they have sent the whole body. It is not read if the client waits for
    /// `100 Continue`.
    ///
    /// # Errors
    /// See [`BodyError`].
    pub(super) async fn read<B>(
        &self,
        headers: &HeaderMap,
        body: B,
        max: usize,
        time: Duration,
    ) -> Result<ReceivedBody, BodyError>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let mut body = body;
        let is_too_large = content_length(headers).is_some_and(|length| length > max);
        if is_too_large && headers.contains_key(EXPECT) {
            return Err(BodyError::TooLarge);
        }
        let read = async {
            let result =
                if is_too_large { Err(BodyError::TooLarge) } else { self.read_frames(&mut body, max).await };
            if let Err(BodyError::TooLarge | BodyError::NoRoom) = result {
                discard(&mut body).await;
            }
            result
        };
        match timeout(time, read).await {
            Ok(result) => result,
            Err(_) if is_too_large => Err(BodyError::TooLarge),
            Err(_) => Err(BodyError::TimedOut),
        }
    }

    /// Reads a body to its end and discards it.
    pub(super) async fn discard<B>(&self, mut body: B, time: Duration) -> BodyError
    where
        B: Body<Data = Bytes> + Unpin,
    {
        // The response is the same if this runs into the timeout.
        let _ = timeout(time, discard(&mut body)).await;
        BodyError::Rejected
    }

    async fn read_frames<B>(&self, body: &mut B, max: usize) -> Result<ReceivedBody, BodyError>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let mut bytes = BytesMut::new();
        let mut memory: Option<OwnedSemaphorePermit> = None;
        while let Some(frame) = body.frame().await {
            // Trailers are ignored.
            let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
            if data.len() > max - bytes.len() {
                return Err(BodyError::TooLarge);
            }
            let more = u32::try_from(data.len()).map_err(|_| BodyError::TooLarge)?;
            let more = self.0.clone().try_acquire_many_owned(more).map_err(|_| BodyError::NoRoom)?;
            match &mut memory {
                Some(memory) => memory.merge(more),
                None => memory = Some(more),
            }
            bytes.extend_from_slice(&data);
        }
        Ok(ReceivedBody { bytes: bytes.freeze(), _memory: memory })
    }
}

/// Reads and discards the rest of a body, up to [`MAX_DISCARDED`] bytes.
async fn discard<B>(body: &mut B)
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut left = MAX_DISCARDED;
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        if length > left {
            return;
        }
        left -= length;
    }
}

fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;
    use http::HeaderValue;
    use http_body::Frame;
    use http_body_util::{Full, StreamBody};

    use super::*;

    const TIME: Duration = Duration::from_secs(30);

    fn body(text: &'static str) -> Full<Bytes> {
        Full::new(Bytes::from_static(text.as_bytes()))
    }

    async fn read(memory: &BodyMemory, text: &'static str, max: usize) -> Result<ReceivedBody, BodyError> {
        memory.read(&HeaderMap::new(), body(text), max, TIME).await
    }

    #[tokio::test]
    async fn limits_bodies_with_and_without_content_length() {
        let memory = BodyMemory::new(100);
        assert_eq!(read(&memory, "12345", 5).await.unwrap().bytes, "12345");
        assert_eq!(read(&memory, "123456", 5).await.unwrap_err(), BodyError::TooLarge);
        let announced = HeaderMap::from_iter([(CONTENT_LENGTH, HeaderValue::from_static("6"))]);
        let error = memory.read(&announced, body("1"), 5, TIME).await.unwrap_err();
        assert_eq!(error, BodyError::TooLarge);
    }

    #[tokio::test]
    async fn releases_memory_when_a_body_is_dropped() {
        let memory = BodyMemory::new(8);
        let first = read(&memory, "12345", 5).await.unwrap();
        assert_eq!(read(&memory, "12345", 5).await.unwrap_err(), BodyError::NoRoom);
        // The rejected body has released its part.
        assert!(read(&memory, "123", 5).await.is_ok());
        drop(first);
        assert!(read(&memory, "12345", 5).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn gives_up_a_body_that_never_ends() {
        let memory = BodyMemory::new(8);
        let never = StreamBody::new(stream::pending::<Result<Frame<Bytes>, Infallible>>());
        let error = memory.read(&HeaderMap::new(), never, 5, TIME).await.unwrap_err();
        assert_eq!(error, BodyError::TimedOut);
    }
}
