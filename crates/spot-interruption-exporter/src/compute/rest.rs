//! Questions to the Compute API over HTTP, with a bound on the time and on the size of every answer.
//!
//! Google's own client has neither the bound on size nor the [partial answers] that keep what is of no interest,
//! such as the start-up scripts of every node, off the wire.
//!
//! [partial answers]: https://cloud.google.com/compute/docs/api/how-tos/performance#partial-response

use std::time::Duration;

use bytes::Bytes;
use exporter_common::upstream::{self, ReadError, chain};
use google_cloud_gax::error::rpc::{Code, Status};
use http::StatusCode;
use reqwest::{Client, Response, Url};

use crate::config::Endpoint;
use crate::google::{Access, one_line};

/// How long an answer may take, to its last byte.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The most that is read of an answer, in bytes. A full page of what is asked for is about half a megabyte, and
/// one of whole instances, from a server that knows no partial answers, some tens of megabytes.
const LARGEST_ANSWER: usize = 64 * 1024 * 1024;

/// The most that is read of an error, in bytes.
const LARGEST_ERROR: usize = 64 * 1024;

/// The API.
#[derive(Debug)]
pub(super) struct Rest {
    http: Client,
    projects: Url,
    access: Access,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// HTTP 404, in the API's words.
    NotFound(String),
    /// Anything else.
    Other(String),
}

impl Failure {
    /// For `/ready` and the log.
    pub(super) fn reason(self) -> String {
        let (Self::NotFound(reason) | Self::Other(reason)) = self;
        reason
    }
}

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Self::Other(reason)
    }
}

impl Rest {
    /// Finds the credentials. Nothing is connected yet.
    pub(super) async fn new(endpoint: Option<&Endpoint>) -> Result<Self, String> {
        let access = Access::new(endpoint)?;
        let base = match endpoint {
            Some(endpoint) => endpoint.url().to_owned(),
            None => format!("https://compute.{}", access.universe_domain().await?),
        };
        let projects =
            format!("{base}/compute/v1/projects").parse().map_err(|error| format!("{base}: {error}"))?;
        let mut http = Client::builder()
            .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
            .timeout(TIMEOUT);
        if endpoint.is_some_and(Endpoint::is_plain) {
            // Without TLS it does not matter whether this host has root certificates.
            http = http.tls_certs_only([]);
        }
        if endpoint.is_some_and(Endpoint::is_local) {
            http = http.no_proxy();
        }
        let http = http.build().map_err(|error| chain(&error))?;
        Ok(Self { http, projects, access })
    }

    /// The answer to `GET .../projects/PATH?QUERY`, which is asked for once.
    pub(super) async fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Bytes, Failure> {
        let mut url = self.projects.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = self.http.get(url).headers(self.access.headers().await?);
        let answer = request.send().await.map_err(broken)?;
        let status = answer.status();
        if status == StatusCode::OK {
            return read(answer, LARGEST_ANSWER).await.map_err(Failure::Other);
        }
        // An error that cannot be read is still an error.
        let words = read(answer, LARGEST_ERROR).await.unwrap_or_default();
        let reason = refusal(status, &words);
        Err(if status == StatusCode::NOT_FOUND { Failure::NotFound(reason) } else { Failure::Other(reason) })
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
    one_line(&chain(&error.without_url()))
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
        for other in ["", "<html>", "{}", "[]", r#"{"error": "no"}"#] {
            assert_eq!(said(other), "HTTP 403", "{other}");
        }
    }
}
