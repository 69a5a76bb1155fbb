//! Delivery settings of a subscription.

use std::time::Duration;

use google_cloud_googleapis::pubsub::v1;

const DEFAULT_ACK_DEADLINE: Duration = Duration::from_secs(10);

/// The delivery settings of a subscription, with Google's defaults.
pub(super) struct Settings {
    pub(super) lease: Duration,
    pub(super) is_exactly_once: bool,
    pub(super) max_attempts: Option<u32>,
}

impl Settings {
    pub(super) fn new(subscription: &v1::Subscription) -> Self {
        let lease = match u64::try_from(subscription.ack_deadline_seconds) {
            Ok(seconds @ 1..) => Duration::from_secs(seconds),
            _ => DEFAULT_ACK_DEADLINE,
        };
        let max_attempts = subscription
            .dead_letter_policy
            .as_ref()
            .map(|policy| u32::try_from(policy.max_delivery_attempts).unwrap_or(0));
        Self { lease, is_exactly_once: subscription.enable_exactly_once_delivery, max_attempts }
    }
}
