//! One POST request to the API, with its limits on size, rate and retries.

use std::error::Error;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use exporter_common::upstream::{self, ReadError, retry_after};
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, LOCATION, PROXY_AUTHORIZATION, USER_AGENT,
};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::Incoming;

use crate::content_coding::{self, ContentCoding};
use crate::failure::Failure;
use crate::graphql;
use crate::transport::{Http, explain};

/// Maximum size of a response body, in bytes.
const MAX_RESPONSE_BYTES: usize = 64 * 1024 * 1024;

/// Maximum size of the body of an error response, in bytes. This is enough for its GraphQL errors.
const MAX_ERROR_BYTES: usize = 64 * 1024;

/// The pause after HTTP 429 without `Retry-After`.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(30);

/// The API endpoint and its current rate limit, which applies to all operations of the account.
#[derive(Debug)]
pub(crate) struct Api {
    http: Http,
    endpoint: Uri,
    proxy_authorization: Option<HeaderValue>,
    rate_limit: Mutex<Option<RateLimit>>,
}

/// The end of the pause, and the response status that caused it.
#[derive(Debug, Clone, Copy)]
struct RateLimit {
    until: Instant,
    status: StatusCode,
}

impl Api {
    /// `proxy_authorization` is sent with each request, for a proxy in front of an `http://` endpoint.
    pub(crate) fn new(http: Http, endpoint: Uri, proxy_authorization: Option<HeaderValue>) -> Self {
        Self { http, endpoint, proxy_authorization, rate_limit: Mutex::default() }
    }

    /// Sends a GraphQL request and returns the body of a response with status 200. Call [`Api::check_rate_limit`] first.
    pub(crate) async fn post(
        &self,
        body: Bytes,
        authorization: Option<&HeaderValue>,
    ) -> Result<Bytes, Failure> {
        let response = match self.send(&body, authorization).await {
            // The server can close a kept-alive connection at the moment when it is used again. All operations are
            // idempotent, so a request without a response is sent once more on a new connection.
            Err(error) if closed_without_response(&error) => {
                self.check_rate_limit()?;
                self.send(&body, authorization).await
            }
            response => response,
        };
        let response = response.map_err(|error| Failure::Network(explain(&error)))?;
        let (head, body) = response.into_parts();
        match head.status {
            StatusCode::OK => read(&head.headers, body, MAX_RESPONSE_BYTES).await,
            status @ (StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) => {
                Err(self.note_rate_limit(status, &head.headers))
            }
            StatusCode::UNAUTHORIZED => Err(Failure::Unauthorized("HTTP 401 Unauthorized".to_owned())),
            // The body of a server error says nothing about the request.
            status if status.is_server_error() => Err(status.into()),
            status if status.is_redirection() => {
                let location = head.headers.get(LOCATION).map(shown_location);
                let detail = location.map(|location| format!("a redirect to {location}")).unwrap_or_default();
                Err(Failure::Http { status, detail })
            }
            status => {
                let body = read(&head.headers, body, MAX_ERROR_BYTES).await.unwrap_or_default();
                Err(match graphql::errors_of(&body) {
                    // The status means that access was denied, whatever the message is.
                    Some(Failure::GraphQl(detail)) if status == StatusCode::FORBIDDEN => {
                        Failure::Http { status, detail }
                    }
                    Some(failure) => failure,
                    None => status.into(),
                })
            }
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
        headers.insert(ACCEPT_ENCODING, content_coding::ACCEPTED);
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

    /// Checks that no rate limit is in effect.
    ///
    /// # Errors
    /// The API has requested a pause that is not over yet.
    pub(crate) fn check_rate_limit(&self) -> Result<(), Failure> {
        let mut rate_limit = self.rate_limit();
        let Some(RateLimit { until, status }) = *rate_limit else { return Ok(()) };
        let wait = until.saturating_duration_since(Instant::now());
        if wait.is_zero() {
            *rate_limit = None;
            return Ok(());
        }
        Err(Failure::RateLimited { status, wait: round_up(wait) })
    }

    /// Stores the pause that the API requests. A 503 without `Retry-After` is not a rate limit.
    fn note_rate_limit(&self, status: StatusCode, headers: &HeaderMap) -> Failure {
        let wait = match retry_after(headers, SystemTime::now()) {
            Some(wait) => wait,
            None if status == StatusCode::TOO_MANY_REQUESTS => DEFAULT_RETRY_AFTER,
            None => return status.into(),
        };
        let until = Instant::now() + wait;
        let mut rate_limit = self.rate_limit();
        // Responses to concurrent requests do not shorten the pause.
        if rate_limit.is_none_or(|limit| limit.until < until) {
            *rate_limit = Some(RateLimit { until, status });
        }
        Failure::RateLimited { status, wait }
    }

    fn rate_limit(&self) -> MutexGuard<'_, Option<RateLimit>> {
        // Each critical section is a single assignment, so a poisoned value is still valid.
        self.rate_limit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the target of a redirect without the parts of a URL that can contain a secret.
fn shown_location(location: &HeaderValue) -> String {
    let text = String::from_utf8_lossy(location.as_bytes());
    let text = text.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = text.split_once("//").unwrap_or(("", text));
    if scheme.is_empty() && rest.len() == text.len() {
        return text.to_owned();
    }
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}//{host}{path}")
}

/// Rounds up to whole seconds, for messages.
fn round_up(wait: Duration) -> Duration {
    Duration::from_secs(wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
}

async fn read(headers: &HeaderMap, body: Incoming, most: usize) -> Result<Bytes, Failure> {
    let coding = ContentCoding::of(headers)?;
    let body = upstream::read(body, most).await.map_err(|error| match error {
        ReadError::TooLarge(most) => Failure::TooLarge(most),
        ReadError::Broken(error) => Failure::Network(explain(&error)),
    })?;
    coding.decode(body, most)
}

fn closed_without_response(error: &hyper_util::client::legacy::Error) -> bool {
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

    #[test]
    fn shows_a_redirect_without_secrets() {
        for (location, shown) in [
            ("https://login.test/start?token=hush#hush", "https://login.test/start"),
            ("https://user:hush@login.test:8443/a@b", "https://login.test:8443/a@b"),
            ("https://login.test", "https://login.test"),
            ("//user:hush@login.test/x", "//login.test/x"),
            ("/login?next=hush", "/login"),
            ("login", "login"),
            ("", ""),
        ] {
            assert_eq!(shown_location(&HeaderValue::from_static(location)), shown, "{location}");
        }
    }
}
