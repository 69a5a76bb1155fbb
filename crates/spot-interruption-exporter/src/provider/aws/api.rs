//! Signed requests to AWS's APIs, with limits on time and response size.
//!
//! Signatures are created by aws-sigv4, the signer of AWS's SDK. Unlike other signers it takes the time as a parameter, so
//! requests can follow [AWS's clock](super::clock).

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials as SigningCredentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use bytes::Bytes;
use exporter_common::upstream::{self, ReadError, chain, one_line};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use reqsign_aws_core::Credential;
use reqwest::redirect::Policy;
use reqwest::{Client, Response};

use super::clock::AwsClock;
use super::credentials::AccountCredentials;
use super::xml::text_of;
use crate::provider::endpoint::Endpoint;
use crate::provider::failure::Failure;

/// Time limit of a request, up to the last byte of its response, in addition to the time of a long poll.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);

/// Maximum size of an error response in bytes.
const MAX_ERROR_BYTES: usize = 64 * 1024;

/// Maximum length of an error in characters.
const MAX_ERROR_TEXT: usize = 500;

/// Codes of errors about credentials that have expired.
const EXPIRED: [&str; 3] = ["ExpiredToken", "ExpiredTokenException", "RequestExpired"];

/// Codes of errors that a wrong clock causes.
const SKEWED: [&str; 6] = [
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "InvalidSignatureException",
    "InvalidSignature",
    "AuthFailure",
    "RequestExpired",
];

/// The client of all services.
#[derive(Debug, Clone)]
pub(super) struct Api {
    /// For AWS's services.
    remote: Client,
    /// For unencrypted endpoints on this host.
    local: Client,
    pub(super) clock: AwsClock,
}

/// A request.
#[derive(Debug, Clone)]
pub(super) struct Call<'a> {
    pub(super) endpoint: &'a Endpoint,
    /// Names of service and region in the signature.
    pub(super) service: &'static str,
    pub(super) region: &'a str,
    pub(super) content_type: &'static str,
    /// The operation, for protocols that name it in a header.
    pub(super) target: Option<&'static str>,
    pub(super) body: Bytes,
    pub(super) timeout: Duration,
    pub(super) max_bytes: usize,
}

/// An error of a service, or of the connection to it.
#[derive(Debug)]
pub(super) struct ApiError {
    /// The service's code for the error, if it responded with one.
    pub(super) code: Option<String>,
    pub(super) failure: Failure,
}

impl From<String> for ApiError {
    fn from(reason: String) -> Self {
        Self { code: None, failure: reason.into() }
    }
}

impl ApiError {
    fn is_one_of(&self, codes: &[&str]) -> bool {
        self.code.as_deref().is_some_and(|code| codes.contains(&code))
    }

    /// Whether the service limits the rate of requests.
    pub(super) fn is_throttled(&self) -> bool {
        self.failure.status == Some(StatusCode::TOO_MANY_REQUESTS)
            || self.code.as_deref().is_some_and(|code| {
                code.contains("Throttl") || ["RequestLimitExceeded", "OverLimit", "SlowDown"].contains(&code)
            })
    }
}

impl Api {
    /// Creates the client. It connects on the first request.
    ///
    /// # Errors
    /// Returns an error if the root certificates cannot be read.
    pub(super) fn new() -> Result<Self, String> {
        let client = || {
            Client::builder()
                .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
                // The APIs do not redirect, and a redirect must not receive a signature.
                .redirect(Policy::none())
        };
        let build = |client: reqwest::ClientBuilder| client.build().map_err(|error| chain(&error));
        Ok(Self {
            remote: build(client())?,
            local: build(client().no_proxy().tls_certs_only([]))?,
            clock: AwsClock::default(),
        })
    }

    /// The client for an endpoint. Unencrypted endpoints on this host use no proxy.
    pub(super) fn client(&self, is_local: bool) -> &Client {
        if is_local { &self.local } else { &self.remote }
    }

    /// Sends a signed request. It is repeated once if the credentials have expired or the clock was wrong.
    ///
    /// # Errors
    /// Returns an error if the service responds with one or cannot be reached, or if there are no credentials.
    pub(super) async fn call(
        &self,
        call: &Call<'_>,
        credentials: &AccountCredentials,
    ) -> Result<Bytes, ApiError> {
        let (error, is_clock_corrected) = match self.call_once(call, credentials).await {
            Ok(body) => return Ok(body),
            Err(error) => error,
        };
        let is_expired = error.is_one_of(&EXPIRED);
        if is_expired {
            credentials.forget().await;
        }
        if is_expired || (is_clock_corrected && error.is_one_of(&SKEWED)) {
            return self.call_once(call, credentials).await.map_err(|(error, _)| error);
        }
        Err(error)
    }

    /// Also returns whether the clock was corrected by the response.
    async fn call_once(
        &self,
        call: &Call<'_>,
        credentials: &AccountCredentials,
    ) -> Result<Bytes, (ApiError, bool)> {
        let credential = credentials.get(self).await.map_err(|reason| (reason.into(), false))?;
        let url = format!("{}/", call.endpoint.url());
        let headers = signed_headers(call, &url, &credential, self.clock.system_time())
            .map_err(|reason| (reason.into(), false))?;
        let request = self.client(call.endpoint.is_local()).post(&url).headers(headers);
        let request = request.timeout(call.timeout).body(call.body.clone());
        let response =
            request.send().await.map_err(|error| (describe_failure(error, call.timeout).into(), false))?;
        let is_clock_corrected = self.clock.note(response.headers());
        let status = response.status();
        if status == StatusCode::OK {
            let body = read(response, call.max_bytes, call.timeout).await;
            return body.map_err(|reason| (reason.into(), is_clock_corrected));
        }
        let retry_after = upstream::retry_after(response.headers(), SystemTime::now());
        // An error response is an error even if its body cannot be read.
        let body = read(response, MAX_ERROR_BYTES, call.timeout).await.unwrap_or_default();
        let (code, message) = describe_error(&body);
        let mut reason = format!("HTTP {}", status.as_u16());
        for part in [&code, &message].into_iter().flatten() {
            reason.push_str(if reason.ends_with(|last: char| last.is_ascii_digit()) { " " } else { ": " });
            reason.push_str(part);
        }
        let failure = Failure {
            reason: one_line(&reason, MAX_ERROR_TEXT),
            status: Some(status),
            retry_after,
            is_disabled: false,
        };
        Err((ApiError { code, failure }, is_clock_corrected))
    }
}

/// Encodes the parameters of a request in the Query protocol.
pub(super) fn form(parameters: &[(&str, &str)]) -> Bytes {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish().into()
}

/// The headers of a request, with its signature.
fn signed_headers(
    call: &Call<'_>,
    url: &str,
    credential: &Credential,
    now: SystemTime,
) -> Result<HeaderMap, String> {
    let mut unsigned = vec![(CONTENT_TYPE.as_str(), call.content_type)];
    unsigned.extend(call.target.map(|target| ("x-amz-target", target)));
    let Credential { access_key_id, secret_access_key, session_token, .. } = credential;
    let identity =
        SigningCredentials::new(access_key_id, secret_access_key, session_token.clone(), None, "exporter")
            .into();
    let params = SigningParams::builder()
        .identity(&identity)
        .region(call.region)
        .name(call.service)
        .time(now)
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| chain(&error))?
        .into();
    let body = SignableBody::Bytes(&call.body);
    let request =
        SignableRequest::new("POST", url, unsigned.iter().copied(), body).map_err(|error| chain(&error))?;
    let (instructions, _) = sign(request, &params).map_err(|error| chain(&error))?.into_parts();
    let mut headers = HeaderMap::new();
    for (name, value) in unsigned.into_iter().chain(instructions.headers()) {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| chain(&error))?;
        let mut value =
            HeaderValue::from_str(value).map_err(|_| "a credential contains a control character")?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

pub(super) async fn read(response: Response, max_bytes: usize, limit: Duration) -> Result<Bytes, String> {
    let body = reqwest::Body::from(response);
    upstream::read(body, max_bytes).await.map_err(|error| match error {
        ReadError::Broken(error) => describe_failure(error, limit),
        too_large @ ReadError::TooLarge(_) => too_large.to_string(),
    })
}

/// The URL is omitted, because it is long and known.
pub(super) fn describe_failure(error: reqwest::Error, limit: Duration) -> String {
    if error.is_timeout() {
        return format!("no response within {} s", limit.as_secs());
    }
    chain(&error.without_url())
}

/// The code and the message of an error, in JSON or XML.
fn describe_error(body: &[u8]) -> (Option<String>, Option<String>) {
    // Some implementations write the message twice, in both spellings.
    if let Ok(serde_json::Value::Object(error)) = serde_json::from_slice(body) {
        let text = |key: &str| error.get(key)?.as_str().map(str::to_owned);
        // The namespace before `#` is omitted.
        let code = text("__type").map(|code| code.rsplit('#').next().unwrap_or_default().to_owned());
        return (code, text("message").or_else(|| text("Message")));
    }
    let text = String::from_utf8_lossy(body);
    (text_of(&text, "Code"), text_of(&text, "Message"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(call: &Call<'_>, token: Option<&str>) -> String {
        let credential = Credential {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
            session_token: token.map(str::to_owned),
            expires_in: None,
        };
        let now: jiff::Timestamp = "2015-08-30T12:36:00Z".parse().unwrap();
        let url = format!("{}/", call.endpoint.url());
        let headers = signed_headers(call, &url, &credential, now.into()).unwrap();
        let authorization = headers["authorization"].to_str().unwrap().to_owned();
        assert_eq!(headers.get("x-amz-security-token").map(|token| token.to_str().unwrap()), token);
        authorization.rsplit_once("Signature=").unwrap().1.to_owned()
    }

    fn endpoint(url: &str) -> Endpoint {
        Endpoint::new(&url.parse().unwrap())
    }

    /// The signatures were computed with botocore 1.44.8.
    #[test]
    fn signs_like_the_sdk() {
        let ec2 = Call {
            endpoint: &endpoint("https://ec2.eu-central-1.amazonaws.com"),
            service: "ec2",
            region: "eu-central-1",
            content_type: "application/x-www-form-urlencoded; charset=utf-8",
            target: None,
            body: Bytes::from_static(
                b"Action=DescribeInstances&Version=2016-11-15&MaxResults=1000&Filter.1.Name=instance-lifecycle&Filter.1.Value.1=spot",
            ),
            timeout: TIMEOUT,
            max_bytes: 1,
        };
        assert_eq!(signature(&ec2, None), "e930d5168991bb288b2397c0f9d655254784b0cb8b3c83b2fcdd4314a609176b");
        let sqs = Call {
            endpoint: &endpoint("https://sqs.eu-central-1.amazonaws.com"),
            service: "sqs",
            content_type: "application/x-amz-json-1.0",
            target: Some("AmazonSQS.ReceiveMessage"),
            body: Bytes::from_static(
                br#"{"QueueUrl":"https://sqs.eu-central-1.amazonaws.com/123456789012/sie-interruption-queue","MaxNumberOfMessages":10,"WaitTimeSeconds":20}"#,
            ),
            ..ec2
        };
        assert_eq!(
            signature(&sqs, Some("TOKEN")),
            "803a4e4bdbef148387f2498b6a2eb050e4d042ea73277bf481419b350dd1eb69"
        );
    }

    #[test]
    fn reads_errors_of_both_protocols() {
        let text = |text: &str| Some(text.to_owned());
        for (body, code, message) in [
            (
                r#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"The specified queue does not exist."}"#,
                text("QueueDoesNotExist"),
                text("The specified queue does not exist."),
            ),
            (
                r#"{"__type":"AccessDeniedException","Message":"No"}"#,
                text("AccessDeniedException"),
                text("No"),
            ),
            (
                "<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>You &amp; I</Message></Error></Errors></Response>",
                text("UnauthorizedOperation"),
                text("You & I"),
            ),
            ("<html>", None, None),
            ("", None, None),
        ] {
            assert_eq!(describe_error(body.as_bytes()), (code, message), "{body}");
        }
    }
}
