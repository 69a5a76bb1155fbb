//! The webhook of a sandbox with its queue.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::{Delivery, Webhook, WebhookFaults, WebhookStatus};

/// What is to be delivered.
pub(super) enum Message {
    Run(Box<Delivery>),
    /// The severity of an internal error and the body, or anything else and none.
    Other(Option<String>, String),
}

/// A message that counts as outstanding for as long as this or a clone of its ticket exists.
pub(super) struct Outgoing {
    pub(super) message: Message,
    pub(super) ticket: Ticket,
}

#[derive(Clone)]
pub(super) struct Ticket(#[expect(dead_code, reason = "it is there to be dropped")] Arc<Outstanding>);

struct Outstanding(watch::Sender<WebhookStatus>);

impl Drop for Outstanding {
    fn drop(&mut self) {
        self.0.send_modify(|status| status.outstanding -= 1);
    }
}

/// The webhook and its faults, shared by those who configure it and the task that sends.
#[derive(Clone, Default)]
pub(super) struct Settings {
    pub(super) webhook: Option<Webhook>,
    pub(super) faults: WebhookFaults,
}

/// The webhook of a sandbox with its queue.
pub(in crate::spacelift) struct Webhooks {
    pub(super) settings: watch::Sender<Settings>,
    pub(super) status: watch::Sender<WebhookStatus>,
    outbox: mpsc::UnboundedSender<Outgoing>,
}

/// The end of the queue from which deliveries are sent.
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

    /// Whether there is a webhook, disabled or not.
    pub(in crate::spacelift) fn is_set(&self) -> bool {
        self.settings.borrow().webhook.is_some()
    }

    /// Another webhook, or none. The counts begin again.
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
        let ticket = Ticket(Arc::new(Outstanding(self.status.clone())));
        // It fails only when the sandbox is about to end.
        let _ = self.outbox.send(Outgoing { message, ticket });
    }

    /// Waits until nothing is outstanding.
    pub(in crate::spacelift) async fn settled(&self) {
        // An error would mean that the sender is gone, but `self` holds it.
        let _ = self.status.subscribe().wait_for(|status| status.outstanding == 0).await;
    }
}
