//! Methods of [`Spacelift`] for webhooks and runs.

use super::{Delivery, Runs, Webhook, WebhookFaults, WebhookStatus};
use crate::spacelift::Spacelift;

impl Spacelift {
    /// Returns the webhook.
    #[must_use]
    pub fn webhook(&self) -> Option<Webhook> {
        self.api.webhooks.webhook()
    }

    /// Replaces the webhook for future deliveries and resets its counts.
    pub fn set_webhook(&self, webhook: Webhook) {
        self.api.world.catch_up();
        self.api.webhooks.set(Some(webhook));
    }

    /// Returns the counts of deliveries.
    #[must_use]
    pub fn webhook_status(&self) -> WebhookStatus {
        self.api.webhooks.status()
    }

    /// Sets the faults of future deliveries.
    pub fn set_webhook_faults(&self, faults: WebhookFaults) {
        self.api.webhooks.set_faults(faults);
    }

    /// Sends a delivery through the webhook with its faults. [`runs`](Self::runs) does not include it.
    pub fn deliver(&self, delivery: Delivery) {
        self.api.webhooks.deliver(delivery);
    }

    /// Waits until all deliveries so far are sent. Pause the account first ([`set_speed`](Self::set_speed)
    /// with zero), otherwise new deliveries follow.
    pub async fn webhook_settled(&self) {
        self.api.world.catch_up();
        self.api.webhooks.settled().await;
    }

    /// Returns the runs of a simulated account since the start or the last [`reset_runs`](Self::reset_runs):
    /// the expected results of a receiver.
    #[must_use]
    pub fn runs(&self) -> Runs {
        self.api.world.runs()
    }

    /// Removes the ended runs, so that their counts start at the same time as those of a receiver.
    pub fn reset_runs(&self) {
        self.api.world.reset_runs();
    }
}
