//! How a subscription delivers.

use std::time::Duration;

use google_cloud_googleapis::pubsub::v1;

use super::wire;

const DEFAULT_ACK_DEADLINE: Duration = Duration::from_secs(10);
/// Google's defaults where a retry policy leaves a bound out.
const DEFAULT_BACKOFF: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(600));

/// The settings of a subscription, with Google's defaults for those that it leaves out.
pub(super) struct Settings {
    pub(super) lease: Duration,
    pub(super) is_exactly_once: bool,
    /// From the first to the longest pause before another attempt.
    pub(super) backoff: Option<(Duration, Duration)>,
    pub(super) max_attempts: Option<u32>,
}

impl Settings {
    pub(super) fn new(subscription: &v1::Subscription) -> Self {
        let backoff = subscription.retry_policy.as_ref().map(|policy| {
            let (least, most) = DEFAULT_BACKOFF;
            (
                policy.minimum_backoff.as_ref().map_or(least, wire::duration),
                policy.maximum_backoff.as_ref().map_or(most, wire::duration),
            )
        });
        let lease = match u64::try_from(subscription.ack_deadline_seconds) {
            Ok(seconds @ 1..) => Duration::from_secs(seconds),
            _ => DEFAULT_ACK_DEADLINE,
        };
        let max_attempts = subscription
            .dead_letter_policy
            .as_ref()
            .map(|policy| u32::try_from(policy.max_delivery_attempts).unwrap_or(0));
        Self { lease, is_exactly_once: subscription.enable_exactly_once_delivery, backoff, max_attempts }
    }
}
