//! One request to the API: a GraphQL document out, the body of the answer in.

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use exporter_common::upstream::{self, ReadError, chain};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, PROXY_AUTHORIZATION, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::Incoming;

use crate::failure::Failure;
use crate::transport::{Http, Proxies};

/// The most that is read of an answer, in bytes.
const LARGEST_ANSWER: usize = 64 * 1024 * 1024;

/// What is read of the body of an answer with an error status, in bytes: enough for its GraphQL errors.
const LARGEST_ERROR: usize = 64 * 1024;

/// The API's endpoint.
#[derive(Debug)]
pub(crate) struct Api {
    http: Http,
    endpoint: Uri,
    proxy_authorization: Option<HeaderValue>,
    /// Operations that the API asked not to be bothered with, and until when.
    quiet: Mutex<HashMap<&'static str, (Instant, StatusCode)>>,
}

impl Api {
    pub(crate) fn new(http: Http, endpoint: Uri) -> Self {
        let proxy_authorization = Proxies::from_env().authorization(&endpoint);
        Self { http, endpoint, proxy_authorization, quiet: Mutex::default() }
    }

    /// Asks `operation` and returns the body of an answer with status 200. Whether it may be asked now is for
    /// [`Api::still_quiet`] to say.
    pub(crate) async fn post(
        &self,
        operation: &'static str,
        body: Bytes,
        authorization: Option<&HeaderValue>,
    ) -> Result<Bytes, Failure> {
        let answer = match self.send(&body, authorization).await {
            // The server may close a kept connection just as it is used again. Every operation can be
            // repeated, so a connection that broke without an answer is worth a second try on a new one.
            Err(error) if broke_without_answer(&error) => self.send(&body, authorization).await,
            answer => answer,
        };
        let answer = answer.map_err(|error| Failure::Network(chain(&error)))?;
        let (head, body) = answer.into_parts();
        match head.status {
            StatusCode::OK => read(body, LARGEST_ANSWER).await,
            status @ (StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) => {
                Err(self.be_quiet(operation, status, &head.headers))
            }
            StatusCode::UNAUTHORIZED => Err(Failure::Unauthorized("HTTP 401 Unauthorized".to_owned())),
            // A server in trouble says nothing of the request, whatever words it uses.
            status if status.is_server_error() => Err(Failure::Http(status)),
            status => match read(body, LARGEST_ERROR).await {
                Ok(body) => Err(crate::client::errors_of(&body).unwrap_or(Failure::Http(status))),
                Err(_) => Err(Failure::Http(status)),
            },
        }
    }

    async fn send(
        &self,
        body: &Bytes,
        authorization: Option<&HeaderValue>,
    ) -> Result<http::Response<Incoming>, hyper_util::client::legacy::Error> {
        let mut request = Request::new(Full::new(body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.endpoint.clone();
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(
            USER_AGENT,
            HeaderValue::from_static(concat!("spacelift-promex/", env!("CARGO_PKG_VERSION"))),
        );
        headers.insert("spacelift-client-type", HeaderValue::from_static("prometheus-exporter"));
        if let Some(authorization) = authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        if let Some(authorization) = &self.proxy_authorization {
            headers.insert(PROXY_AUTHORIZATION, authorization.clone());
        }
        self.http.request(request).await
    }

    /// Why `operation` is not to be asked now, if the API wants to be left alone with it.
    pub(crate) fn still_quiet(&self, operation: &'static str) -> Option<Failure> {
        let mut quiet = self.quiet();
        let (until, status) = *quiet.get(operation)?;
        let wait = until.saturating_duration_since(Instant::now());
        if wait.is_zero() {
            quiet.remove(operation);
            return None;
        }
        Some(Failure::RateLimited { status, wait: round_up(wait) })
    }

    fn be_quiet(&self, operation: &'static str, status: StatusCode, headers: &HeaderMap) -> Failure {
        let Some(wait) = retry_after(headers, SystemTime::now()) else { return Failure::Http(status) };
        if let Some(until) = Instant::now().checked_add(wait) {
            self.quiet().insert(operation, (until, status));
        }
        Failure::RateLimited { status, wait }
    }

    fn quiet(&self) -> MutexGuard<'_, HashMap<&'static str, (Instant, StatusCode)>> {
        // Single map operations; a poisoned map is a whole one.
        self.quiet.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `Retry-After` as seconds or as a date. More than a day is taken as a day: it is more likely a mistake.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    const DAY: Duration = Duration::from_secs(24 * 3_600);
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match value.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(value).ok()?.duration_since(now).unwrap_or_default(),
    };
    Some(wait.min(DAY))
}

/// Whole seconds, for people.
fn round_up(wait: Duration) -> Duration {
    Duration::from_secs(wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
}

async fn read(body: Incoming, most: usize) -> Result<Bytes, Failure> {
    upstream::read(body, most).await.map_err(|error| match error {
        ReadError::TooLarge(most) => Failure::TooLarge(most),
        ReadError::Broken(error) => Failure::Network(chain(&error)),
    })
}

fn broke_without_answer(error: &hyper_util::client::legacy::Error) -> bool {
    if error.is_connect() {
        return false;
    }
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(hyper) = cause.downcast_ref::<hyper::Error>()
            && (hyper.is_incomplete_message() || hyper.is_canceled() || hyper.is_closed())
        {
            return true;
        }
        if let Some(io) = cause.downcast_ref::<std::io::Error>()
            && matches!(io.kind(), std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe)
        {
            return true;
        }
        source = cause.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    #[test]
    fn retry_after_in_seconds_and_as_a_date() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (value, wait) in [
            ("0", Some(0)),
            ("120", Some(120)),
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
}
