//! Requests and responses of the JSON protocol.

use serde::{Deserialize, Serialize};

use super::messages::Received;
use crate::aws::time::epoch_millis;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Receive {
    pub(super) max_number_of_messages: Option<i64>,
    pub(super) wait_time_seconds: Option<i64>,
    pub(super) visibility_timeout: Option<i64>,
    #[serde(default)]
    pub(super) message_system_attribute_names: Vec<String>,
    /// The older name of the same parameter.
    #[serde(default)]
    pub(super) attribute_names: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct QueueName {
    pub(super) queue_name: String,
    #[serde(rename = "QueueOwnerAWSAccountId")]
    pub(super) account: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct QueueUrl {
    pub(super) queue_url: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct AttributeNames {
    #[serde(default)]
    pub(super) attribute_names: Vec<String>,
}

/// One message of a request, alone or in a batch.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Entry {
    #[serde(default)]
    pub(super) id: String,
    pub(super) receipt_handle: Option<String>,
    pub(super) visibility_timeout: Option<i64>,
    pub(super) message_body: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Batch {
    #[serde(default)]
    pub(super) entries: Vec<Entry>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Messages<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    messages: Vec<Message<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Message<'a> {
    message_id: &'a str,
    receipt_handle: &'a str,
    #[serde(rename = "MD5OfBody")]
    md5: &'a str,
    body: &'a str,
    #[serde(skip_serializing_if = "Attributes::is_empty")]
    attributes: Attributes,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Attributes {
    #[serde(skip_serializing_if = "Option::is_none")]
    sender_id: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    approximate_first_receive_timestamp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    approximate_receive_count: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent_timestamp: Option<String>,
}

impl Attributes {
    fn is_empty(&self) -> bool {
        self.sender_id.is_none()
            && self.approximate_first_receive_timestamp.is_none()
            && self.approximate_receive_count.is_none()
            && self.sent_timestamp.is_none()
    }
}

impl<'a> Messages<'a> {
    /// Returns the response to a receive. `wanted` selects the attributes by their names.
    pub(super) fn new(received: &'a [Received], wanted: impl Fn(&str) -> bool) -> Self {
        let message = |Received { message, handle }: &'a Received| Message {
            message_id: &message.id,
            receipt_handle: handle,
            md5: &message.md5,
            body: &message.body,
            attributes: Attributes {
                sender_id: wanted("SenderId").then_some("AIDAIENQZJOLO23YVJ4VO"),
                approximate_first_receive_timestamp: message
                    .first_received
                    .filter(|_| wanted("ApproximateFirstReceiveTimestamp"))
                    .map(|time| epoch_millis(time).to_string()),
                approximate_receive_count: wanted("ApproximateReceiveCount")
                    .then(|| message.receives.to_string()),
                sent_timestamp: wanted("SentTimestamp").then(|| epoch_millis(message.sent).to_string()),
            },
        };
        Self { messages: received.iter().map(message).collect() }
    }
}
