//! Helpers for clients of other services: response bodies with a size limit, `Retry-After`, and errors as one line.

use std::error::Error;
use std::net::IpAddr;
use std::pin::pin;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http::header::RETRY_AFTER;
use http::{HeaderMap, Uri};
use http_body::Body;
use http_body_util::BodyExt;

/// Upper bound for preallocating from `Content-Length`, in bytes.
const MAX_PREALLOCATION: usize = 16 * 1024 * 1024;

/// Why a response body could not be read to its end.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError<E> {
    /// The body is larger than this number of bytes.
    #[error("the response is larger than {} MiB", .0 / (1024 * 1024))]
    TooLarge(usize),
    /// The connection broke.
    #[error("{0}")]
    Broken(E),
}

/// Reads a body of at most `max_size` bytes. Never keeps more than that in memory.
///
/// # Errors
/// The body is larger, or the connection broke.
pub async fn read<B: Body<Data = Bytes>>(body: B, max_size: usize) -> Result<Bytes, ReadError<B::Error>> {
    let mut body = pin!(body);
    let expected = body.size_hint().exact().map_or(0, |length| usize::try_from(length).unwrap_or(usize::MAX));
    if expected > max_size {
        return Err(ReadError::TooLarge(max_size));
    }
    let mut bytes = BytesMut::with_capacity(expected.min(MAX_PREALLOCATION));
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(ReadError::Broken)?.into_data() {
            if data.len() > max_size - bytes.len() {
                return Err(ReadError::TooLarge(max_size));
            }
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes.freeze())
}

/// Returns how long a client has to wait before the next request: the `Retry-After` header, in seconds or as a date.
/// More than a day counts as a day, because it is more likely a mistake.
#[must_use]
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    const DAY: Duration = Duration::from_secs(24 * 3_600);
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match value.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(value).ok()?.duration_since(now).unwrap_or_default(),
    };
    Some(wait.min(DAY))
}

/// Whether a URL is on a loopback address, as for a sidecar or an emulator. Such requests must not use the proxy of the
/// environment, which could not reach this host.
#[must_use]
pub fn is_on_this_host(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Formats an error and its causes as one line. A cause whose text is already in the line is left out.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    one_line(&text, usize::MAX)
}

/// Formats a text of another service as one line of at most `max_length` characters, with `…` at the end of a longer
/// text.
#[must_use]
pub fn one_line(text: &str, max_length: usize) -> String {
    let mut line: String = text.chars().take(max_length).collect();
    if line.len() < text.len() {
        line.push('…');
    }
    line.replace(|c: char| c.is_control(), " ")
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};
    use std::time::UNIX_EPOCH;

    use http::HeaderValue;
    use http_body::Frame;
    use http_body_util::Full;

    use super::*;

    /// A body without end.
    struct Endless;

    impl Body for Endless {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"0123456789")))))
        }
    }

    #[tokio::test]
    async fn reads_a_body_up_to_the_limit() {
        assert_eq!(read(Full::new(Bytes::from("12345")), 5).await, Ok(Bytes::from("12345")));
        assert_eq!(read(Full::new(Bytes::from("123456")), 5).await, Err(ReadError::TooLarge(5)));
        assert_eq!(read(Endless, 1024 * 1024).await, Err(ReadError::TooLarge(1024 * 1024)));
        let text = ReadError::<Infallible>::TooLarge(64 * 1024 * 1024).to_string();
        assert_eq!(text, "the response is larger than 64 MiB");
    }

    #[test]
    fn parses_retry_after_in_seconds_and_as_a_date() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (value, wait) in [
            ("0", Some(0)),
            ("120", Some(120)),
            (" 120 ", Some(120)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:49:27 GMT", Some(0)),
            ("99999999999", Some(86_400)),
            ("soon", None),
            ("-1", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_static(value));
            assert_eq!(retry_after(&headers, now), wait.map(Duration::from_secs), "{value}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn recognizes_loopback_addresses() {
        for (url, expected) in [
            ("http://localhost:8086", true),
            ("http://LOCALHOST", true),
            ("http://127.0.0.1:1/path", true),
            ("http://[::1]:8086", true),
            ("http://10.0.0.1", false),
            ("http://localhost.example", false),
        ] {
            assert_eq!(is_on_this_host(&url.parse().unwrap()), expected, "{url}");
        }
    }

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Layer(&'static str, #[source] Option<Box<Layer>>);

    #[test]
    fn formats_each_cause_of_an_error_once() {
        let inner = Layer("connection\nrefused", None);
        let middle = Layer("cannot connect: connection\nrefused", Some(Box::new(inner)));
        let outer = Layer("cannot send", Some(Box::new(middle)));
        assert_eq!(chain(&outer), "cannot send: cannot connect: connection refused");
    }

    #[test]
    fn shortens_a_text_to_one_line() {
        assert_eq!(one_line("zwei\r\nZeilen", 100), "zwei  Zeilen");
        assert_eq!(one_line("größer", 4), "größ…");
        assert_eq!(one_line("größer", 6), "größer");
    }
}
