//! Requests to Google's APIs over HTTP, with limits on time and response size.
//!
//! Google's own client has neither a size limit nor [partial responses], which omit unused fields such as the start-up
//! scripts of every node.
//!
//! [partial responses]: https://cloud.google.com/compute/docs/api/how-tos/performance#partial-response

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

use crate::provider::endpoint::Endpoint;
use crate::provider::failure::Failure;
use crate::provider::google::credentials::{headers, one_line, reason};

/// Time limit of a request, up to the last byte of its response.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Maximum size of an error response in bytes.
const MAX_ERROR_BYTES: usize = 64 * 1024;

/// A client of one API.
#[derive(Debug)]
pub(super) struct Rest {
    http: Client,
    base: Url,
    credentials: Credentials,
}

/// A successful response.
#[derive(Debug)]
pub(super) struct ApiResponse {
    pub(super) body: Bytes,
    /// Time of the response by the API's clock.
    pub(super) date: Option<Timestamp>,
}

impl Rest {
    /// Creates a client. It connects on the first request. `endpoint` replaces Google's URL.
    pub(super) fn new(
        google: &str,
        endpoint: Option<&Endpoint>,
        credentials: Credentials,
    ) -> Result<Self, String> {
        let base = endpoint.map_or(google, Endpoint::url);
        let base: Url = base.parse().map_err(|error| format!("{base}: {error}"))?;
        let mut http = Client::builder()
            .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
            // The API does not redirect, and a redirect must not receive the token.
            .redirect(Policy::none())
            .timeout(TIMEOUT);
        if endpoint.is_some_and(Endpoint::is_local) {
            // Without TLS and proxies, root certificates are not needed.
            http = http.no_proxy().tls_certs_only([]);
        }
        let http = http.build().map_err(|error| reason(&error))?;
        Ok(Self { http, base, credentials })
    }

    /// Sends `GET PATH?QUERY` once and returns the response, of at most `max_bytes` bytes.
    pub(super) async fn get(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        max_bytes: usize,
    ) -> Result<ApiResponse, Failure> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = self.http.get(url).headers(headers(&self.credentials).await?);
        let response = request.send().await.map_err(describe_failure)?;
        let status = response.status();
        if status == StatusCode::OK {
            let date = response.headers().get(DATE).and_then(|date| date.to_str().ok());
            let date = date.and_then(|date| rfc2822::parse(date).ok()).map(|date| date.timestamp());
            return Ok(ApiResponse { body: read(response, max_bytes).await?, date });
        }
        let retry_after = upstream::retry_after(response.headers(), SystemTime::now());
        // An error response is an error even if its body cannot be read.
        let text = read(response, MAX_ERROR_BYTES).await.unwrap_or_default();
        Err(Failure {
            reason: describe_error(status, &text),
            status: Some(status),
            retry_after,
            is_disabled: status == StatusCode::FORBIDDEN && is_api_disabled(&text),
        })
    }
}

async fn read(response: Response, max_bytes: usize) -> Result<Bytes, String> {
    let body = reqwest::Body::from(response);
    upstream::read(body, max_bytes).await.map_err(|error| match error {
        ReadError::Broken(error) => describe_failure(error),
        too_large @ ReadError::TooLarge(_) => too_large.to_string(),
    })
}

/// The URL is omitted, because it is long and known.
fn describe_failure(error: reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no response within {} s", TIMEOUT.as_secs());
    }
    reason(&error.without_url())
}

/// Whether an error reports that the API is not enabled in the project: by the code of `ErrorInfo`, or by that of
/// legacy errors.
fn is_api_disabled(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    text.contains("SERVICE_DISABLED") || text.contains("accessNotConfigured")
}

/// The status, with the code and message of Google's error format if the body contains them.
fn describe_error(status: StatusCode, body: &Bytes) -> String {
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
    fn error_contains_the_message_of_the_api() {
        let error_of = |body: &'static str| describe_error(StatusCode::FORBIDDEN, &Bytes::from(body));
        let whole = r#"{"error": {"code": 403, "message": "No\nway", "status": "PERMISSION_DENIED"}}"#;
        assert_eq!(error_of(whole), "HTTP 403 PERMISSION_DENIED: No way");
        assert_eq!(error_of(r#"{"error": {"code": 403, "message": "No way"}}"#), "HTTP 403: No way");
        let disabled = r#"{"error": {"code": 403, "errors": [{"reason": "accessNotConfigured"}]}}"#;
        assert!(is_api_disabled(disabled.as_bytes()) && !is_api_disabled(whole.as_bytes()));
        for other in ["", "<html>", "{}", "[]", r#"{"error": "no"}"#] {
            assert_eq!(error_of(other), "HTTP 403", "{other}");
        }
    }
}
