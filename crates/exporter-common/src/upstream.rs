//! What the services behind an exporter say: their answers, read up to a bound, and errors, as one line.

use std::error::Error;
use std::net::IpAddr;
use std::pin::pin;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http::header::RETRY_AFTER;
use http::{HeaderMap, Uri};
use http_body::Body;
use http_body_util::BodyExt;

/// Memory that the length of an answer, which is only a promise, is trusted with beforehand, in bytes.
const TRUSTED_LENGTH: usize = 16 * 1024 * 1024;

/// Why an answer could not be read to its end.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError<E> {
    /// It is longer than this many bytes.
    #[error("the answer is larger than {} MiB", .0 / (1024 * 1024))]
    TooLarge(usize),
    /// The connection broke.
    #[error("{0}")]
    Broken(E),
}

/// Reads a body of at most `most` bytes. Of a longer one no more is held than that.
///
/// # Errors
/// The body is longer, or broke off.
pub async fn read<B: Body<Data = Bytes>>(body: B, most: usize) -> Result<Bytes, ReadError<B::Error>> {
    let mut body = pin!(body);
    let expected = body.size_hint().exact().map_or(0, |length| usize::try_from(length).unwrap_or(usize::MAX));
    if expected > most {
        return Err(ReadError::TooLarge(most));
    }
    let mut bytes = BytesMut::with_capacity(expected.min(TRUSTED_LENGTH));
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(ReadError::Broken)?.into_data() {
            if data.len() > most - bytes.len() {
                return Err(ReadError::TooLarge(most));
            }
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes.freeze())
}

/// How long a service asks not to be asked again: the `Retry-After` header, in seconds or as a date. More than a day is
/// taken for a day, since it is more likely a mistake.
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

/// Whether a URL leads to this very host, where no proxy of the environment could take a request: such a service is a
/// sidecar, or an emulator.
#[must_use]
pub fn is_on_this_host(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// An error and its causes, in one line, without repeating what a cause says again.
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

/// The words of others as one line of at most so many characters, and `…` where there were more.
#[must_use]
pub fn one_line(text: &str, longest: usize) -> String {
    let mut line: String = text.chars().take(longest).collect();
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

    /// The same few bytes for ever.
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
    async fn an_answer_is_read_up_to_its_bound() {
        assert_eq!(read(Full::new(Bytes::from("12345")), 5).await, Ok(Bytes::from("12345")));
        assert_eq!(read(Full::new(Bytes::from("123456")), 5).await, Err(ReadError::TooLarge(5)));
        assert_eq!(read(Endless, 1024 * 1024).await, Err(ReadError::TooLarge(1024 * 1024)));
        let text = ReadError::<Infallible>::TooLarge(64 * 1024 * 1024).to_string();
        assert_eq!(text, "the answer is larger than 64 MiB");
    }

    #[test]
    fn retry_after_in_seconds_and_as_a_date() {
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
    fn loopback_addresses_are_on_this_host() {
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
    fn an_error_is_said_once_with_its_causes() {
        let inner = Layer("connection\nrefused", None);
        let middle = Layer("cannot connect: connection\nrefused", Some(Box::new(inner)));
        let outer = Layer("cannot ask", Some(Box::new(middle)));
        assert_eq!(chain(&outer), "cannot ask: cannot connect: connection refused");
    }

    #[test]
    fn the_words_of_others_are_one_short_line() {
        assert_eq!(one_line("zwei\r\nZeilen", 100), "zwei  Zeilen");
        assert_eq!(one_line("größer", 4), "größ…");
        assert_eq!(one_line("größer", 6), "größer");
    }
}
