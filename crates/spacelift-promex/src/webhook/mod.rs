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

use crate::runs::{DeliveryResult, Job, JobEvent, Jobs, Moment, Shared};
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

/// Bodies from this size on are checked and read beside the thread that serves requests.
const LARGE: usize = 64 * 1024;

/// Receives deliveries.
#[derive(Debug)]
struct Receiver {
    secrets: Secrets,
    account: Option<String>,
    state: Shared,
    jobs: Jobs,
    rejected_lines: LineLimit,
}

/// The page that receives deliveries. `condition` holds while the secret can be read.
pub(crate) fn route(config: &WebhookConfig, state: Shared, jobs: Jobs, condition: Condition) -> Route {
    let receiver = Arc::new(Receiver {
        secrets: Secrets::new(config.secret.clone(), condition),
        account: config.account.clone(),
        state,
        jobs,
        rejected_lines: LineLimit::default(),
    });
    let route = Route::receive(config.path.clone(), config.max_body, move |request| {
        let receiver = receiver.clone();
        Box::pin(async move {
            let result = receiver.receive(request).await;
            answer(result)
        })
    });
    if config.listen_addresses.is_empty() { route } else { route.on_public_sockets() }
}

impl Receiver {
    async fn receive(&self, request: Request<Result<Bytes, BodyError>>) -> DeliveryResult {
        let received = Moment::now();
        let (head, body) = request.into_parts();
        let result = match body {
            Ok(body) => self.signed(&head.headers, body, received).await,
            Err(BodyError::TooLarge) => Err(DeliveryResult::TooLarge),
            Err(_) => Err(DeliveryResult::Overloaded),
        };
        match result {
            // The recorder counts what it is handed.
            Ok(()) => DeliveryResult::Accepted,
            Err(result) => {
                self.state.count(result);
                self.log(result);
                result
            }
        }
    }

    async fn signed(&self, headers: &HeaderMap, body: Bytes, received: Moment) -> Result<(), DeliveryResult> {
        let signature = Signature::of(headers).ok_or(DeliveryResult::BadSignature)?;
        if !self.secrets.sign(&body, &signature).await {
            return Err(DeliveryResult::BadSignature);
        }
        self.state.received(received.timestamp);
        let payload = if body.len() < LARGE {
            payload::parse(&body)
        } else {
            // A parser that panicked would have been a defect; the delivery is unreadable to it all the same.
            spawn_blocking(move || payload::parse(&body)).await.unwrap_or(Err(PayloadError::Json))
        };
        let Payload { account, event } = payload.map_err(|error| {
            tracing::debug!(%error, "a delivery cannot be read");
            DeliveryResult::Invalid
        })?;
        if let (Some(expected), Some(account)) = (&self.account, account)
            && *expected != account
        {
            return Err(DeliveryResult::WrongAccount);
        }
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
        if let Some(left_out) = self.rejected_lines.pass() {
            tracing::warn!(
                result = result.label(),
                reason,
                left_out,
                "a delivery of a webhook was not counted"
            );
        }
    }
}

/// The answer to a delivery, which names the result for whoever tries it by hand.
fn answer(result: DeliveryResult) -> Response<Bytes> {
    let status = match result {
        DeliveryResult::BadSignature => StatusCode::UNAUTHORIZED,
        DeliveryResult::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        DeliveryResult::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    };
    let mut response = Response::new(Bytes::from(format!("{}\n", result.label())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}
