//! Questions to Google's APIs over HTTP, with a bound on the time and on the size of every answer.
//!
//! Google's own client has neither the bound on size nor the [partial answers] that keep what is of no interest,
//! such as the start-up scripts of every node, off the wire.
//!
//! [partial answers]: https://cloud.google.com/compute/docs/api/how-tos/performance#partial-response

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use exporter_common::upstream::{self, ReadError};
use google_cloud_auth::credentials::Credentials;
use google_cloud_gax::error::rpc::{Code, Status};
use http::StatusCode;
use http::header::DATE;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::redirect::Policy;
use reqwest::{Client, Response, Url};

use crate::provider::google::config::Endpoint;
use crate::provider::google::credentials::{headers, one_line, reason};

/// How long an answer may take, to its last byte.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The most that is read of an error, in bytes.
const LARGEST_ERROR: usize = 64 * 1024;

/// The API.
#[derive(Debug)]
pub(super) struct Rest {
    http: Client,
    base: Url,
    credentials: Credentials,
}

/// What the API answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) body: Bytes,
    /// When, by its own clock.
    pub(super) date: Option<Timestamp>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct Failure {
    /// For `/ready` and the log, in the API's words where it answered.
    pub(super) reason: String,
    /// What it answered with; `None` where it did not answer.
    pub(super) status: Option<StatusCode>,
    /// How long it asks not to be asked again.
    pub(super) retry_after: Option<Duration>,
    /// The API is not enabled in the project.
    pub(super) is_disabled: bool,
}

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Self { reason, status: None, retry_after: None, is_disabled: false }
    }
}

impl Rest {
    /// Nothing is connected yet. The endpoint takes the place of Google's own.
    pub(super) fn new(
        google: &str,
        endpoint: Option<&Endpoint>,
        credentials: Credentials,
    ) -> Result<Self, String> {
        let base = endpoint.map_or(google, Endpoint::url);
        let base: Url = base.parse().map_err(|error| format!("{base}: {error}"))?;
        let mut http = Client::builder()
            .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
            // The API does not redirect, and whoever does is not to be told a token.
            .redirect(Policy::none())
            .timeout(TIMEOUT);
        if endpoint.is_some_and(Endpoint::is_local) {
            // Without TLS and proxies it does not matter whether this host has root certificates.
            http = http.no_proxy().tls_certs_only([]);
        }
        let http = http.build().map_err(|error| reason(&error))?;
        Ok(Self { http, base, credentials })
    }

    /// The answer to `GET PATH?QUERY`, of at most so many bytes. It is asked for once.
    pub(super) async fn get(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        most: usize,
    ) -> Result<Answer, Failure> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = self.http.get(url).headers(headers(&self.credentials).await?);
        let answer = request.send().await.map_err(broken)?;
        let status = answer.status();
        if status == StatusCode::OK {
            let date = answer.headers().get(DATE).and_then(|date| date.to_str().ok());
            let date = date.and_then(|date| rfc2822::parse(date).ok()).map(|date| date.timestamp());
            return Ok(Answer { body: read(answer, most).await?, date });
        }
        let retry_after = upstream::retry_after(answer.headers(), SystemTime::now());
        // An error that cannot be read is still an error.
        let words = read(answer, LARGEST_ERROR).await.unwrap_or_default();
        Err(Failure {
            reason: refusal(status, &words),
            status: Some(status),
            retry_after,
            is_disabled: status == StatusCode::FORBIDDEN && says_disabled(&words),
        })
    }
}

async fn read(answer: Response, most: usize) -> Result<Bytes, String> {
    let body = reqwest::Body::from(answer);
    upstream::read(body, most).await.map_err(|error| match error {
        ReadError::Broken(error) => broken(error),
        too_large @ ReadError::TooLarge(_) => too_large.to_string(),
    })
}

/// The URL is left out: it is long, and no news.
fn broken(error: reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer within {} s", TIMEOUT.as_secs());
    }
    reason(&error.without_url())
}

/// Whether an error says that the API is not enabled in the project: the code of `ErrorInfo`, or that of older errors.
fn says_disabled(body: &[u8]) -> bool {
    let words = String::from_utf8_lossy(body);
    words.contains("SERVICE_DISABLED") || words.contains("accessNotConfigured")
}

/// A status, with the code and the words of Google's errors where the body has them.
fn refusal(status: StatusCode, body: &Bytes) -> String {
    let mut reason = format!("HTTP {}", status.as_u16());
    if let Ok(Status { code, message, .. }) = Status::try_from(body) {
        if code != Code::Unknown {
            reason.push_str(&format!(" {code}"));
        }
        if !message.is_empty() {
            reason.push_str(&format!(": {message}"));
        }
    }
    one_line(&reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_the_apis_words() {
        let said = |body: &'static str| refusal(StatusCode::FORBIDDEN, &Bytes::from(body));
        let whole = r#"{"error": {"code": 403, "message": "No\nway", "status": "PERMISSION_DENIED"}}"#;
        assert_eq!(said(whole), "HTTP 403 PERMISSION_DENIED: No way");
        assert_eq!(said(r#"{"error": {"code": 403, "message": "No way"}}"#), "HTTP 403: No way");
        let disabled = r#"{"error": {"code": 403, "errors": [{"reason": "accessNotConfigured"}]}}"#;
        assert!(says_disabled(disabled.as_bytes()) && !says_disabled(whole.as_bytes()));
        for other in ["", "<html>", "{}", "[]", r#"{"error": "no"}"#] {
            assert_eq!(said(other), "HTTP 403", "{other}");
        }
    }
}
