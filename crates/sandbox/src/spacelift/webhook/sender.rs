//! Sends deliveries, one after the other.

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
    hooks::{Message, Outgoing, Ticket},
    internal_error, module_version,
};
use crate::spacelift::world::World;

/// How often a living account is looked at.
const PACE: Duration = Duration::from_millis(100);
/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// How late a delivery is at most that others overtake.
const LATE: f64 = 3.0;
/// After how many failures in a row Spacelift gives up on a webhook.
const MAX_FAILURES: u32 = 10;
/// How often a delivery is sent again, and how long after the first answer; twice as long each time.
const RETRIES: u32 = 3;
const RETRY_DELAY: Duration = Duration::from_millis(500);
/// How many deliveries about something else there are to one about a run.
const OTHERS: f64 = 0.02;

/// Sends what is in the outbox, and lets a living account live while there is a webhook. It does not end by itself.
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
    let mut next_look = Instant::now();
    loop {
        let due = sender.queue.keys().next().map(|(at, _)| *at);
        let looks = hooks.is_set() && world.is_living();
        tokio::select! {
            biased;
            outgoing = outbox.recv() => match outgoing {
                Some(outgoing) => sender.plan(outgoing),
                None => return,
            },
            // Before the look at the account, which on a busy machine may take longer than the pause before it.
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => sender.send_next().await,
            () = sleep_until(next_look), if looks => {
                world.catch_up();
                next_look = Instant::now() + PACE;
            }
            _ = settings.changed() => {}
        }
    }
}

struct Sender {
    hooks: Arc<Webhooks>,
    client: Client<HttpConnector, Full<Bytes>>,
    /// What is to be sent, by when, then in the order in which it came.
    queue: BTreeMap<(Instant, u64), Attempt>,
    number: u64,
    rng: StdRng,
}

struct Attempt {
    body: Bytes,
    kind: Kind,
    /// How often it was sent before.
    retries: u32,
    _ticket: Ticket,
}

enum Kind {
    Run,
    Duplicate,
    /// Signed with a wrong secret.
    Forged,
    InternalError(String),
    Other,
}

impl Sender {
    /// Decides what becomes of a message: nothing, one request or several.
    fn plan(&mut self, Outgoing { message, ticket }: Outgoing) {
        let settings = self.hooks.settings.borrow().clone();
        let Some(webhook) = settings.webhook else { return };
        let faults = settings.faults;
        let now = Instant::now() + faults.delay;
        let delivery = match message {
            Message::Run(delivery) => *delivery,
            Message::Other(severity, body) => {
                let kind = severity.map_or(Kind::Other, Kind::InternalError);
                self.queue(now, body.into(), kind, &ticket);
                return;
            }
        };
        if !delivery.is_terminal() && self.chance(faults.lost) {
            self.hooks.status.send_modify(|status| status.lost += 1);
            return;
        }
        for body in self.bodies(delivery, &webhook, &faults) {
            if self.chance(faults.bad_signatures) {
                self.queue(now, body.clone(), Kind::Forged, &ticket);
            }
            let at = self.late(now, faults.reorder);
            self.queue(at, body.clone(), Kind::Run, &ticket);
            if self.chance(faults.duplicates) {
                let at = self.late(now, faults.reorder);
                self.queue(at, body, Kind::Duplicate, &ticket);
            }
        }
        if webhook.others && self.chance(OTHERS) {
            self.other(&webhook);
        }
    }

    fn bodies(&mut self, mut delivery: Delivery, webhook: &Webhook, faults: &WebhookFaults) -> Vec<Bytes> {
        delivery.run.account.clone_from(&webhook.account);
        let old = delivery.old || self.chance(faults.old_payloads);
        delivery.old(old).bodies(webhook.shape)
    }

    /// Something that is not about a run.
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

    fn queue(&mut self, at: Instant, body: Bytes, kind: Kind, ticket: &Ticket) {
        self.number += 1;
        let attempt = Attempt { body, kind, retries: 0, _ticket: ticket.clone() };
        self.queue.insert((at, self.number), attempt);
    }

    async fn send_next(&mut self) {
        let Some((_, attempt)) = self.queue.pop_first() else { return };
        let Some(webhook) = self.hooks.webhook() else { return };
        if self.hooks.status.borrow().disabled {
            self.hooks.status.send_modify(|status| status.dropped += 1);
            return;
        }
        let answer = self.post(&webhook, &attempt).await;
        let is_retried = webhook.retry
            && answer.is_some_and(|status| status.is_server_error())
            && attempt.retries < RETRIES
            && !matches!(attempt.kind, Kind::Forged);
        self.note(&attempt, answer, is_retried);
        if is_retried {
            let at = Instant::now() + RETRY_DELAY * 2_u32.pow(attempt.retries);
            self.number += 1;
            let attempt = Attempt { retries: attempt.retries + 1, ..attempt };
            self.queue.insert((at, self.number), attempt);
        }
    }

    /// The status of the answer, if there is one.
    async fn post(&self, webhook: &Webhook, attempt: &Attempt) -> Option<StatusCode> {
        let secret = match attempt.kind {
            Kind::Forged => "not the secret",
            _ => &webhook.secret,
        };
        let SignedRequest { body, headers } = SignedRequest::new(attempt.body.clone(), secret);
        let request = headers
            .into_iter()
            .fold(Request::post(&webhook.url), |request, (name, value)| request.header(name, value))
            .body(Full::new(body));
        let request = request.inspect_err(|error| tracing::warn!(%error, "that is no webhook")).ok()?;
        let exchange = async {
            let answer = self.client.request(request).await.ok()?;
            let status = answer.status();
            // So that the connection can be used again.
            answer.into_body().collect().await.ok()?;
            Some(status)
        };
        timeout(PATIENCE, exchange).await.ok().flatten()
    }

    fn note(&self, attempt: &Attempt, answer: Option<StatusCode>, is_retried: bool) {
        self.hooks.status.send_modify(|status| {
            *status.answers.entry(answer.map_or(0, |answer| answer.as_u16())).or_default() += 1;
            match &attempt.kind {
                Kind::Forged => {
                    status.bad_signatures += 1;
                    // Spacelift does not hear of it.
                    return;
                }
                Kind::Duplicate => status.duplicates += 1,
                _ => {}
            }
            if answer.is_some_and(|answer| answer.is_success()) {
                status.accepted += 1;
                status.failures_in_a_row = 0;
                match &attempt.kind {
                    Kind::InternalError(severity) => {
                        *status.internal_errors.entry(severity.clone()).or_default() += 1;
                    }
                    Kind::Other => status.others += 1,
                    _ => {}
                }
            } else if is_retried {
                status.retries += 1;
            } else {
                status.failed += 1;
                status.failures_in_a_row += 1;
                if status.failures_in_a_row >= MAX_FAILURES && !status.disabled {
                    status.disabled = true;
                    tracing::warn!("ten deliveries in a row have failed: the webhook is disabled");
                }
            }
        });
    }

    fn chance(&mut self, share: f64) -> bool {
        share > 0.0 && self.rng.random_bool(share.min(1.0))
    }

    fn late(&mut self, at: Instant, share: f64) -> Instant {
        if self.chance(share) { at + Duration::from_secs_f64(LATE * self.rng.random::<f64>()) } else { at }
    }
}
