//! The receiver of Spacelift's webhooks: a page that verifies the signature of a delivery, parses it and passes it to the
//! recorder.
//!
//! A delivery with a valid signature is answered 200 whatever it contains: after ten failures in a row Spacelift disables
//! the webhook until somebody enables it manually. Other statuses are returned only if the delivery cannot be received.

pub mod payload;
mod secrets;
mod signature;

use std::sync::Arc;

use bytes::Bytes;
use exporter_common::http::{BodyError, LineLimit, Route};
use exporter_common::readiness::Condition;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use tokio::task::spawn_blocking;

use crate::runs::{DeliveryResult, Job, JobEvent, JobQueue, Moment, SharedRuns};
use payload::{Event, Payload, PayloadError};
use secrets::Secrets;
use signature::Signature;

pub use secrets::WebhookSecret;
pub(crate) use secrets::check;

/// The configuration of the receiver.
#[derive(Debug, Clone)]
pub struct WebhookConfig {
    /// The source of the secrets that deliveries are signed with.
    pub secret: WebhookSecret,
    /// The path of the page.
    pub path: String,
    /// Addresses that serve only this page. If empty, it is served on the addresses of the other pages.
    pub listen_addresses: Vec<exporter_common::http::ListenAddress>,
    /// The largest body in bytes.
    pub max_body: usize,
    /// The account whose deliveries are counted; `None` accepts deliveries of every account.
    pub account: Option<String>,
}

/// Bodies from this size on are verified and parsed on a thread for blocking work, in bytes.
const LARGE_BODY: usize = 64 * 1024;

/// Receives deliveries.
#[derive(Debug)]
struct Receiver {
    secrets: Secrets,
    account: Option<String>,
    state: SharedRuns,
    jobs: JobQueue,
    /// Rate limits of the log lines, by result.
    lines: [LineLimit; DeliveryResult::ALL.len()],
}

/// Returns the page that receives deliveries. `condition` is ready while the secret can be read.
pub(crate) fn route(
    config: &WebhookConfig,
    state: SharedRuns,
    jobs: JobQueue,
    condition: Condition,
) -> Route {
    let receiver = Arc::new(Receiver {
        secrets: Secrets::new(config.secret.clone(), condition),
        account: config.account.clone(),
        state,
        jobs,
        lines: Default::default(),
    });
    let is_signed = |headers: &HeaderMap| Signature::of(headers).is_some();
    let route = Route::receive(config.path.clone(), config.max_body, is_signed, move |request| {
        let receiver = receiver.clone();
        Box::pin(async move { receiver.receive(request).await })
    });
    if config.listen_addresses.is_empty() { route } else { route.on_public_sockets() }
}

impl Receiver {
    async fn receive(&self, request: Request<Result<Bytes, BodyError>>) -> Response<Bytes> {
        let received = Moment::now();
        let (head, body) = request.into_parts();
        let result = match body {
            Ok(body) => self.process(&head.headers, body, received).await,
            Err(error) => Err(match error {
                BodyError::Rejected => DeliveryResult::BadSignature,
                BodyError::TooLarge => DeliveryResult::TooLarge,
                BodyError::NoRoom => DeliveryResult::Overloaded,
                BodyError::TimedOut | BodyError::Broken => {
                    self.reject(DeliveryResult::Invalid);
                    return response(StatusCode::BAD_REQUEST, DeliveryResult::Invalid);
                }
            }),
        };
        // Accepted deliveries are counted by the recorder.
        let result = result.map_or_else(|result| self.reject(result), |()| DeliveryResult::Accepted);
        let status = match result {
            DeliveryResult::BadSignature => StatusCode::UNAUTHORIZED,
            DeliveryResult::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            DeliveryResult::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::OK,
        };
        response(status, result)
    }

    /// Counts and logs a delivery that is not passed to the recorder.
    fn reject(&self, result: DeliveryResult) -> DeliveryResult {
        self.state.count(result);
        self.log(result);
        result
    }

    /// Verifies, parses and queues a delivery.
    async fn process(
        &self,
        headers: &HeaderMap,
        body: Bytes,
        received: Moment,
    ) -> Result<(), DeliveryResult> {
        let body_length = body.len();
        let signature = Signature::of(headers).ok_or(DeliveryResult::BadSignature)?;
        let keys = self.secrets.keys().await;
        if keys.is_empty() {
            // The file of the secrets could not be read yet.
            return Err(DeliveryResult::Overloaded);
        }
        let read = move || {
            let is_signed = keys.iter().any(|key| signature.is_by(key, &body));
            is_signed.then(|| payload::parse(&body)).ok_or(DeliveryResult::BadSignature)
        };
        let payload = if body_length < LARGE_BODY {
            read()
        } else {
            // A panic of the parser would be a defect. The delivery is then counted as invalid.
            spawn_blocking(read).await.unwrap_or(Ok(Err(PayloadError::Json)))
        }?;
        let account = payload.as_ref().ok().and_then(|payload| payload.account.as_ref());
        if self.account.as_ref().zip(account).is_some_and(|(expected, account)| expected != account) {
            return Err(DeliveryResult::WrongAccount);
        }
        self.state.note_received(received.timestamp);
        let Payload { event, account: _ } = payload.map_err(|error| {
            tracing::debug!(%error, "a delivery cannot be parsed");
            DeliveryResult::Invalid
        })?;
        let event = match event {
            Event::Run(update) => JobEvent::Run(update),
            Event::InternalError(severity) => JobEvent::InternalError(severity),
            Event::Other => return Err(DeliveryResult::Ignored),
        };
        self.jobs.submit(Job { event, received }).await.map_err(|_| DeliveryResult::Overloaded)
    }

    /// Logs a result that needs the operator's attention, with a rate limit.
    fn log(&self, result: DeliveryResult) {
        let reason = match result {
            DeliveryResult::BadSignature => "its signature is missing or wrong: compare the webhook's secret",
            DeliveryResult::WrongAccount => "it is from another account than webhook.account",
            DeliveryResult::TooLarge => "it is larger than webhook.max_body",
            DeliveryResult::Overloaded => "it could not be received or committed in time",
            DeliveryResult::Invalid => "it cannot be parsed",
            _ => return,
        };
        if let Some(left_out) = self.lines[result as usize].pass() {
            tracing::warn!(
                result = result.label(),
                reason,
                left_out,
                "a delivery of a webhook was not accepted"
            );
        }
    }
}

/// Returns the response to a delivery. Its body is the result. A duplicate is answered `accepted`, because the recorder
/// recognizes duplicates later.
fn response(status: StatusCode, result: DeliveryResult) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(format!("{}\n", result.label())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}
