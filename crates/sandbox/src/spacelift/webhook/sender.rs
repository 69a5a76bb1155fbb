//! Sends deliveries sequentially.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, StatusCode};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::time::{Instant, sleep_until, timeout};

use super::{
    Delivery, Outbox, SignedRequest, Webhook, WebhookFaults, Webhooks, audit_event,
    hooks::{Message, Outgoing, OutstandingGuard},
    internal_error, module_version,
};
use crate::spacelift::world::World;

/// The interval at which a simulated account is advanced.
const ADVANCE_INTERVAL: Duration = Duration::from_millis(100);
/// The timeout of a request.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The maximum delay of a reordered delivery, in seconds.
const MAX_REORDER_SECONDS: f64 = 3.0;
/// The number of consecutive failures after which Spacelift disables a webhook.
const MAX_FAILURES: u32 = 10;
/// The maximum number of retries, and the delay of the first one. The delay doubles with each retry.
const RETRIES: u32 = 3;
const RETRY_DELAY: Duration = Duration::from_millis(500);
/// The number of deliveries about other subjects per delivery about a run.
const OTHERS_PER_RUN: f64 = 0.02;

/// Sends the messages of the outbox, and advances a simulated account while it has a webhook. Runs until the
/// outbox is closed.
pub(in crate::spacelift) async fn send(world: Arc<World>, hooks: Arc<Webhooks>, outbox: Outbox, seed: u64) {
    let mut settings = hooks.settings.subscribe();
    let client = Client::builder(TokioExecutor::new()).build_http();
    let mut sender = Sender {
        hooks: Arc::clone(&hooks),
        client,
        queue: BTreeMap::new(),
        number: 0,
        rng: StdRng::seed_from_u64(seed),
    };
    let Outbox(mut outbox) = outbox;
    let mut next_advance = Instant::now();
    loop {
        let due = sender.queue.keys().next().map(|(at, _)| *at);
        let advances = hooks.is_set() && world.is_simulated();
        tokio::select! {
            biased;
            outgoing = outbox.recv() => match outgoing {
                Some(outgoing) => sender.plan(outgoing),
                None => return,
            },
            // Sending precedes advancing the account, which may take longer than its interval on a busy
            // machine.
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => sender.send_next().await,
            () = sleep_until(next_advance), if advances => {
                world.catch_up();
                next_advance = Instant::now() + ADVANCE_INTERVAL;
            }
            _ = settings.changed() => {}
        }
    }
}

struct Sender {
    hooks: Arc<Webhooks>,
    client: Client<HttpConnector, Full<Bytes>>,
    /// Requests by time, then in the order of arrival.
    queue: BTreeMap<(Instant, u64), Attempt>,
    number: u64,
    rng: StdRng,
}

struct Attempt {
    body: Bytes,
    kind: DeliveryKind,
    /// The number of earlier attempts.
    retries: u32,
    _guard: OutstandingGuard,
}

enum DeliveryKind {
    Run,
    Duplicate,
    /// Signed with a wrong secret.
    Forged,
    InternalError(String),
    Other,
}

impl Sender {
    /// Queues the requests of a message: none, one or several.
    fn plan(&mut self, Outgoing { message, guard }: Outgoing) {
        let settings = self.hooks.settings.borrow().clone();
        let Some(webhook) = settings.webhook else { return };
        let faults = settings.faults;
        let now = Instant::now() + faults.delay;
        let delivery = match message {
            Message::Run(delivery) => *delivery,
            Message::Other(severity, body) => {
                let kind = severity.map_or(DeliveryKind::Other, DeliveryKind::InternalError);
                self.queue(now, body.into(), kind, &guard);
                return;
            }
        };
        if !delivery.is_terminal() && self.chance(faults.lost) {
            self.hooks.status.send_modify(|status| status.lost += 1);
            return;
        }
        for body in self.bodies(delivery, &webhook, &faults) {
            if self.chance(faults.bad_signatures) {
                self.queue(now, body.clone(), DeliveryKind::Forged, &guard);
            }
            let at = self.reorder(now, faults.reorder);
            self.queue(at, body.clone(), DeliveryKind::Run, &guard);
            if self.chance(faults.duplicates) {
                let at = self.reorder(now, faults.reorder);
                self.queue(at, body, DeliveryKind::Duplicate, &guard);
            }
        }
        if webhook.others && self.chance(OTHERS_PER_RUN) {
            self.other(&webhook);
        }
    }

    fn bodies(&mut self, mut delivery: Delivery, webhook: &Webhook, faults: &WebhookFaults) -> Vec<Bytes> {
        delivery.run.account.clone_from(&webhook.account);
        let old = delivery.old || self.chance(faults.old_payloads);
        delivery.old(old).bodies(webhook.shape)
    }

    /// Queues a message about another subject.
    fn other(&mut self, webhook: &Webhook) {
        let at = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let account = &webhook.account;
        match self.rng.random_range(0..5) {
            severity @ 0..3 => {
                let severity = ["INFO", "WARNING", "ERROR"][severity];
                self.hooks.deliver_other(Some(severity), internal_error(account, severity).to_string());
            }
            3 => self.hooks.deliver_other(None, audit_event(account, at).to_string()),
            _ => self.hooks.deliver_other(None, module_version(account, at).to_string()),
        }
    }

    fn queue(&mut self, at: Instant, body: Bytes, kind: DeliveryKind, guard: &OutstandingGuard) {
        self.number += 1;
        let attempt = Attempt { body, kind, retries: 0, _guard: guard.clone() };
        self.queue.insert((at, self.number), attempt);
    }

    async fn send_next(&mut self) {
        let Some((_, attempt)) = self.queue.pop_first() else { return };
        let Some(webhook) = self.hooks.webhook() else { return };
        if self.hooks.status.borrow().disabled {
            self.hooks.status.send_modify(|status| status.dropped += 1);
            return;
        }
        let response = self.post(&webhook, &attempt).await;
        let is_retried = webhook.retry
            && response.is_some_and(|status| status.is_server_error())
            && attempt.retries < RETRIES
            && !matches!(attempt.kind, DeliveryKind::Forged);
        self.count(&attempt, response, is_retried);
        if is_retried {
            let at = Instant::now() + RETRY_DELAY * 2_u32.pow(attempt.retries);
            self.number += 1;
            let attempt = Attempt { retries: attempt.retries + 1, ..attempt };
            self.queue.insert((at, self.number), attempt);
        }
    }

    /// Returns the status of the response; `None` without a response.
    async fn post(&self, webhook: &Webhook, attempt: &Attempt) -> Option<StatusCode> {
        let secret = match attempt.kind {
            DeliveryKind::Forged => "not the secret",
            _ => &webhook.secret,
        };
        let SignedRequest { body, headers } = SignedRequest::new(attempt.body.clone(), secret);
        let request = headers
            .into_iter()
            .fold(Request::post(&webhook.url), |request, (name, value)| request.header(name, value))
            .body(Full::new(body));
        let request = request.inspect_err(|error| tracing::warn!(%error, "invalid webhook")).ok()?;
        let exchange = async {
            let response = self.client.request(request).await.ok()?;
            let status = response.status();
            // A fully read body allows the connection to be reused.
            response.into_body().collect().await.ok()?;
            Some(status)
        };
        timeout(TIMEOUT, exchange).await.ok().flatten()
    }

    fn count(&self, attempt: &Attempt, response: Option<StatusCode>, is_retried: bool) {
        self.hooks.status.send_modify(|status| {
            *status.responses.entry(response.map_or(0, |response| response.as_u16())).or_default() += 1;
            match &attempt.kind {
                DeliveryKind::Forged => {
                    status.bad_signatures += 1;
                    // Spacelift does not know of forged requests.
                    return;
                }
                DeliveryKind::Duplicate => status.duplicates += 1,
                _ => {}
            }
            if response.is_some_and(|response| response.is_success()) {
                status.accepted += 1;
                status.failures_in_a_row = 0;
                match &attempt.kind {
                    DeliveryKind::InternalError(severity) => {
                        *status.internal_errors.entry(severity.clone()).or_default() += 1;
                    }
                    DeliveryKind::Other => status.others += 1,
                    _ => {}
                }
            } else if is_retried {
                status.retries += 1;
            } else {
                status.failed += 1;
                status.failures_in_a_row += 1;
                if status.failures_in_a_row >= MAX_FAILURES && !status.disabled {
                    status.disabled = true;
                    tracing::warn!("webhook disabled after ten consecutive failures");
                }
            }
        });
    }

    fn chance(&mut self, share: f64) -> bool {
        share > 0.0 && self.rng.random_bool(share.min(1.0))
    }

    fn reorder(&mut self, at: Instant, share: f64) -> Instant {
        if self.chance(share) {
            at + Duration::from_secs_f64(MAX_REORDER_SECONDS * self.rng.random::<f64>())
        } else {
            at
        }
    }
}
