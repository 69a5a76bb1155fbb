//! What a test does with the webhook of a simulated Spacelift.

use super::{Delivery, Runs, Webhook, WebhookFaults, WebhookStatus};
use crate::spacelift::Spacelift;

impl Spacelift {
    /// The webhook that deliveries go to.
    #[must_use]
    pub fn webhook(&self) -> Option<Webhook> {
        self.api.webhooks.webhook()
    }

    /// Delivers what happens from now on to this webhook. It replaces the one before, and its counts begin at zero.
    pub fn set_webhook(&self, webhook: Webhook) {
        self.api.world.catch_up();
        self.api.webhooks.set(Some(webhook));
    }

    /// What has become of the deliveries.
    #[must_use]
    pub fn webhook_status(&self) -> WebhookStatus {
        self.api.webhooks.status()
    }

    /// Makes something else go wrong with the deliveries that follow.
    pub fn set_webhook_faults(&self, faults: WebhookFaults) {
        self.api.webhooks.set_faults(faults);
    }

    /// Delivers something of a test's own making, through the webhook and with its faults. [`runs`](Self::runs)
    /// does not count it.
    pub fn deliver(&self, delivery: Delivery) {
        self.api.webhooks.deliver(delivery);
    }

    /// Waits until everything is delivered that has happened so far. Without a pause ([`set_speed`](Self::set_speed)
    /// with zero) more may happen meanwhile.
    pub async fn webhook_settled(&self) {
        self.api.world.catch_up();
        self.api.webhooks.settled().await;
    }

    /// The runs of a living account as they really were, since the start or the last
    /// [`reset_runs`](Self::reset_runs).
    #[must_use]
    pub fn runs(&self) -> Runs {
        self.api.world.runs()
    }

    /// Forgets the runs that ended, so that the counts start together with a receiver's.
    pub fn reset_runs(&self) {
        self.api.world.reset_runs();
    }
}
