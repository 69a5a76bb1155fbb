//! One request to the API: a GraphQL document out, the body of the answer in.

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

/// The most that is read of an answer, in bytes.
const LARGEST_ANSWER: usize = 64 * 1024 * 1024;

/// What is read of the body of an answer with an error status, in bytes: enough for its GraphQL errors.
const LARGEST_ERROR: usize = 64 * 1024;

/// How long the API is left alone after HTTP 429 if it does not say how long.
const UNSAID_RETRY_AFTER: Duration = Duration::from_secs(30);

/// The API's endpoint, and the limit that the API sets for all operations of the account.
#[derive(Debug)]
pub(crate) struct Api {
    http: Http,
    endpoint: Uri,
    proxy_authorization: Option<HeaderValue>,
    rate_limit: Mutex<Option<RateLimit>>,
}

/// Until when nothing may be asked, and the status that said so.
#[derive(Debug, Clone, Copy)]
struct RateLimit {
    until: Instant,
    status: StatusCode,
}

impl Api {
    /// `proxy_authorization` is what a proxy wants with each request to the endpoint.
    pub(crate) fn new(http: Http, endpoint: Uri, proxy_authorization: Option<HeaderValue>) -> Self {
        Self { http, endpoint, proxy_authorization, rate_limit: Mutex::default() }
    }

    /// Sends a GraphQL request and returns the body of an answer with status 200. Whether anything may be asked now is
    /// for [`Api::check_rate_limit`] to say.
    pub(crate) async fn post(
        &self,
        body: Bytes,
        authorization: Option<&HeaderValue>,
    ) -> Result<Bytes, Failure> {
        let answer = match self.send(&body, authorization).await {
            // The server may close a kept connection just as it is used again. Every operation can be
            // repeated, so a connection that broke without an answer is worth a second try on a new one.
            Err(error) if broke_without_answer(&error) => {
                self.check_rate_limit()?;
                self.send(&body, authorization).await
            }
            answer => answer,
        };
        let answer = answer.map_err(|error| Failure::Network(explain(&error)))?;
        let (head, body) = answer.into_parts();
        match head.status {
            StatusCode::OK => read(&head.headers, body, LARGEST_ANSWER).await,
            status @ (StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) => {
                Err(self.note_rate_limit(status, &head.headers))
            }
            StatusCode::UNAUTHORIZED => Err(Failure::Unauthorized("HTTP 401 Unauthorized".to_owned())),
            // A server in trouble says nothing of the request, whatever words it uses.
            status if status.is_server_error() => Err(status.into()),
            status if status.is_redirection() => {
                let location = head.headers.get(LOCATION).map(shown_location);
                let detail = location.map(|location| format!("a redirect to {location}")).unwrap_or_default();
                Err(Failure::Http { status, detail })
            }
            status => {
                let body = read(&head.headers, body, LARGEST_ERROR).await.unwrap_or_default();
                Err(match graphql::errors_of(&body) {
                    // Whatever the words are, the status is a refusal.
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

    /// # Errors
    /// The API asked to be left alone, and the time is not over. The limit is the account's, so it is that of every
    /// operation.
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

    /// Keeps what the API says of coming back. A 503 that does not say anything is no limit.
    fn note_rate_limit(&self, status: StatusCode, headers: &HeaderMap) -> Failure {
        let wait = match retry_after(headers, SystemTime::now()) {
            Some(wait) => wait,
            None if status == StatusCode::TOO_MANY_REQUESTS => UNSAID_RETRY_AFTER,
            None => return status.into(),
        };
        let until = Instant::now() + wait;
        let mut rate_limit = self.rate_limit();
        // Requests were under way when the limit was set; their answers do not shorten it.
        if rate_limit.is_none_or(|limit| limit.until < until) {
            *rate_limit = Some(RateLimit { until, status });
        }
        Failure::RateLimited { status, wait }
    }

    fn rate_limit(&self) -> MutexGuard<'_, Option<RateLimit>> {
        // Single assignments; a poisoned value is a whole one.
        self.rate_limit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a redirect leads, without the parts of a URL that may hold a secret.
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

/// Whole seconds, for people.
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

    #[test]
    fn a_location_is_shown_without_secrets() {
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
