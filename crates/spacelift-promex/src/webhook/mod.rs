//! The receiver of Spacelift's webhooks: a page that checks the signature of a delivery, reads it and hands it on.
//!
//! A delivery that is well signed is answered 200 whatever is in it: after ten failures in a row Spacelift disables a
//! webhook, and somebody has to enable it by hand. Only what cannot be received at all is refused.

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

/// How a receiver is configured.
#[derive(Debug, Clone)]
pub struct WebhookConfig {
    /// The secret that Spacelift signs with.
    pub secret: WebhookSecret,
    /// The path of deliveries.
    pub path: String,
    /// Where only that path is served; empty where it is served beside the other pages.
    pub listen_addresses: Vec<exporter_common::http::ListenAddress>,
    /// The largest body in bytes.
    pub max_body: usize,
    /// The account whose deliveries are taken; `None` takes every one that is well signed.
    pub account: Option<String>,
}

/// Bodies from this size on are checked and parsed beside the thread that serves requests.
const LARGE: usize = 64 * 1024;

/// Receives deliveries.
#[derive(Debug)]
struct Receiver {
    secrets: Secrets,
    account: Option<String>,
    state: SharedRuns,
    jobs: JobQueue,
    /// By result.
    lines: [LineLimit; DeliveryResult::ALL.len()],
}

/// The page that receives deliveries. `condition` holds while the secret can be read.
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
            Ok(body) => self.signed(&head.headers, body, received).await,
            Err(error) => Err(match error {
                BodyError::Refused => DeliveryResult::BadSignature,
                BodyError::TooLarge => DeliveryResult::TooLarge,
                BodyError::NoRoom => DeliveryResult::Overloaded,
                BodyError::TimedOut | BodyError::Broken => {
                    self.refused(DeliveryResult::Invalid);
                    return answer(StatusCode::BAD_REQUEST, DeliveryResult::Invalid);
                }
            }),
        };
        // The recorder counts what it is handed.
        let result = result.map_or_else(|result| self.refused(result), |()| DeliveryResult::Accepted);
        let status = match result {
            DeliveryResult::BadSignature => StatusCode::UNAUTHORIZED,
            DeliveryResult::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            DeliveryResult::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::OK,
        };
        answer(status, result)
    }

    /// Counts and logs a delivery that goes no further.
    fn refused(&self, result: DeliveryResult) -> DeliveryResult {
        self.state.count(result);
        self.log(result);
        result
    }

    async fn signed(&self, headers: &HeaderMap, body: Bytes, received: Moment) -> Result<(), DeliveryResult> {
        let body_length = body.len();
        let signature = Signature::of(headers).ok_or(DeliveryResult::BadSignature)?;
        let keys = self.secrets.keys().await;
        if keys.is_empty() {
            // The secret's file could not be read yet.
            return Err(DeliveryResult::Overloaded);
        }
        let read = move || {
            let is_signed = keys.iter().any(|key| signature.is_by(key, &body));
            is_signed.then(|| payload::parse(&body)).ok_or(DeliveryResult::BadSignature)
        };
        let payload = if body_length < LARGE {
            read()
        } else {
            // A parser that panicked would have been a defect; the delivery is unreadable to it all the same.
            spawn_blocking(read).await.unwrap_or(Ok(Err(PayloadError::Json)))
        }?;
        let account = payload.as_ref().ok().and_then(|payload| payload.account.as_ref());
        if self.account.as_ref().zip(account).is_some_and(|(expected, account)| expected != account) {
            return Err(DeliveryResult::WrongAccount);
        }
        self.state.note_received(received.timestamp);
        let Payload { event, account: _ } = payload.map_err(|error| {
            tracing::debug!(%error, "a delivery cannot be read");
            DeliveryResult::Invalid
        })?;
        let event = match event {
            Event::Run(update) => JobEvent::Run(update),
            Event::InternalError(severity) => JobEvent::InternalError(severity),
            Event::Other => return Err(DeliveryResult::Ignored),
        };
        self.jobs.submit(Job { event, received }).await.map_err(|_| DeliveryResult::Overloaded)
    }

    /// Logs what somebody has to do something about, once in a while.
    fn log(&self, result: DeliveryResult) {
        let reason = match result {
            DeliveryResult::BadSignature => "its signature is missing or wrong: compare the webhook's secret",
            DeliveryResult::WrongAccount => "it is from another account than webhook.account",
            DeliveryResult::TooLarge => "it is larger than webhook.max_body",
            DeliveryResult::Overloaded => "it could not be received or written down in time",
            DeliveryResult::Invalid => "it cannot be read",
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

/// The answer to a delivery. Its body names the result. A duplicate is answered `accepted`, because the recorder
/// recognises duplicates later.
fn answer(status: StatusCode, result: DeliveryResult) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(format!("{}\n", result.label())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}
