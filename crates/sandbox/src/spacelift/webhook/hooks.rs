//! The webhook and its queue of deliveries.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::{Delivery, Webhook, WebhookFaults, WebhookStatus};

/// A message to deliver.
pub(super) enum Message {
    Run(Box<Delivery>),
    /// An internal error with its severity, or another message without one; and the body.
    Other(Option<String>, String),
}

/// A message that counts as outstanding until its guard and all clones of the guard are dropped.
pub(super) struct Outgoing {
    pub(super) message: Message,
    pub(super) guard: OutstandingGuard,
}

#[derive(Clone)]
pub(super) struct OutstandingGuard(
    #[expect(dead_code, reason = "it is there to be dropped")] Arc<Outstanding>,
);

struct Outstanding(watch::Sender<WebhookStatus>);

impl Drop for Outstanding {
    fn drop(&mut self) {
        self.0.send_modify(|status| status.outstanding -= 1);
    }
}

/// The webhook and its faults.
#[derive(Clone, Default)]
pub(super) struct Settings {
    pub(super) webhook: Option<Webhook>,
    pub(super) faults: WebhookFaults,
}

/// The webhook and its queue of deliveries.
pub(in crate::spacelift) struct Webhooks {
    pub(super) settings: watch::Sender<Settings>,
    pub(super) status: watch::Sender<WebhookStatus>,
    outbox: mpsc::UnboundedSender<Outgoing>,
}

/// The receiving end of the queue.
pub(in crate::spacelift) struct Outbox(pub(super) mpsc::UnboundedReceiver<Outgoing>);

impl Webhooks {
    pub(in crate::spacelift) fn new(webhook: Option<Webhook>) -> (Self, Outbox) {
        let (outbox, queue) = mpsc::unbounded_channel();
        let settings = watch::Sender::new(Settings { webhook, ..Settings::default() });
        (Self { settings, status: watch::Sender::default(), outbox }, Outbox(queue))
    }

    pub(in crate::spacelift) fn webhook(&self) -> Option<Webhook> {
        self.settings.borrow().webhook.clone()
    }

    /// Returns whether a webhook is set, disabled or not.
    pub(in crate::spacelift) fn is_set(&self) -> bool {
        self.settings.borrow().webhook.is_some()
    }

    /// Replaces or removes the webhook and resets the counts.
    pub(in crate::spacelift) fn set(&self, webhook: Option<Webhook>) {
        self.status.send_modify(|status| {
            *status = WebhookStatus { outstanding: status.outstanding, ..Default::default() }
        });
        self.settings.send_modify(|settings| settings.webhook = webhook);
    }

    pub(in crate::spacelift) fn faults(&self) -> WebhookFaults {
        self.settings.borrow().faults.clone()
    }

    pub(in crate::spacelift) fn set_faults(&self, faults: WebhookFaults) {
        self.settings.send_modify(|settings| settings.faults = faults);
    }

    pub(in crate::spacelift) fn status(&self) -> WebhookStatus {
        self.status.borrow().clone()
    }

    pub(in crate::spacelift) fn deliver(&self, delivery: Delivery) {
        self.push(Message::Run(Box::new(delivery)));
    }

    pub(in crate::spacelift) fn deliver_other(&self, severity: Option<&str>, body: String) {
        self.push(Message::Other(severity.map(str::to_owned), body));
    }

    fn push(&self, message: Message) {
        self.status.send_modify(|status| status.outstanding += 1);
        let guard = OutstandingGuard(Arc::new(Outstanding(self.status.clone())));
        // It fails only during shutdown.
        let _ = self.outbox.send(Outgoing { message, guard });
    }

    /// Waits until no delivery is outstanding.
    pub(in crate::spacelift) async fn settled(&self) {
        // It fails only if the sender is dropped, but `self` owns it.
        let _ = self.status.subscribe().wait_for(|status| status.outstanding == 0).await;
    }
}
