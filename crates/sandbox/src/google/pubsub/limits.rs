//! Google's limits, and settings that are not simulated.

use google_cloud_googleapis::pubsub::v1::{self, PubsubMessage};
use tonic::Status;

/// The allowed leases of subscriptions and streams, in seconds.
pub(super) const ACK_DEADLINE: std::ops::RangeInclusive<i32> = 10..=600;
const MAX_MESSAGES: usize = 1000;
const MAX_MESSAGE_BYTES: usize = 10_000_000;

/// Checks the messages of a publish request.
pub(super) fn check_request(messages: &[PubsubMessage]) -> Result<(), Status> {
    if messages.is_empty() || messages.len() > MAX_MESSAGES {
        return Err(Status::invalid_argument(format!(
            "A request must have between 1 and {MAX_MESSAGES} messages, but has {}.",
            messages.len()
        )));
    }
    for message in messages {
        if message.data.is_empty() && message.attributes.is_empty() {
            return Err(Status::invalid_argument(
                "Some messages have neither data nor attributes: each must have one of them.",
            ));
        }
        if message.data.len() > MAX_MESSAGE_BYTES {
            return Err(Status::invalid_argument(format!(
                "A message has {} bytes, but {MAX_MESSAGE_BYTES} are the most.",
                message.data.len()
            )));
        }
    }
    Ok(())
}

/// Checks the lease of a request in seconds. Zero selects the default.
pub(super) fn check_ack_deadline(seconds: i32) -> Result<(), Status> {
    if seconds == 0 || ACK_DEADLINE.contains(&seconds) {
        return Ok(());
    }
    Err(Status::invalid_argument(format!(
        "Invalid ack deadline given (ack_deadline_secs={seconds}). The ack deadline must be between {} and {} \
         seconds.",
        ACK_DEADLINE.start(),
        ACK_DEADLINE.end()
    )))
}

/// Returns the first setting that would change deliveries and is not simulated.
pub(super) fn unsupported(definition: &v1::Subscription) -> Option<&'static str> {
    let is_pushed = definition.push_config.as_ref().is_some_and(|config| !config.push_endpoint.is_empty());
    let is_exported = definition.bigquery_config.is_some() || definition.cloud_storage_config.is_some();
    [
        (is_pushed || is_exported, "push and export subscriptions"),
        (definition.enable_message_ordering, "ordering"),
        (definition.retry_policy.is_some(), "retry policies"),
        (!definition.filter.is_empty(), "filters"),
        (!definition.message_transforms.is_empty(), "message transforms"),
    ]
    .into_iter()
    .find_map(|(is_set, name)| is_set.then_some(name))
}
