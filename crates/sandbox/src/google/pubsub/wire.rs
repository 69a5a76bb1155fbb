//! Message types that replace or extend the generated ones.
//!
//! Messages are encoded once, on publishing, and copied into each response: bytes fields and embedded
//! messages have the same encoding.

use std::{
    collections::HashMap,
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use google_cloud_googleapis::{
    pubsub::v1::streaming_pull_response::{
        AcknowledgeConfirmation, ModifyAckDeadlineConfirmation, SubscriptionProperties,
    },
    rpc,
};
use prost::Message;
use tonic::{Code, Status};

/// `google.protobuf.Empty`.
pub(super) type Empty = ();

/// `ReceivedMessage` with an encoded message.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ReceivedMessage {
    #[prost(string, tag = "1")]
    pub(super) ack_id: String,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) message: Bytes,
    #[prost(int32, tag = "3")]
    pub(super) delivery_attempt: i32,
}

/// `PullResponse` with encoded messages.
#[derive(Clone, PartialEq, Message)]
pub(super) struct PullResponse {
    #[prost(message, repeated, tag = "1")]
    pub(super) received_messages: Vec<ReceivedMessage>,
}

/// `StreamingPullRequest` with its newest field.
#[derive(Clone, PartialEq, Message)]
pub(super) struct StreamingPullRequest {
    #[prost(string, tag = "1")]
    pub(super) subscription: String,
    #[prost(string, repeated, tag = "2")]
    pub(super) ack_ids: Vec<String>,
    #[prost(int32, repeated, tag = "3")]
    pub(super) modify_deadline_seconds: Vec<i32>,
    #[prost(string, repeated, tag = "4")]
    pub(super) modify_deadline_ack_ids: Vec<String>,
    #[prost(int32, tag = "5")]
    pub(super) stream_ack_deadline_seconds: i32,
    #[prost(string, tag = "6")]
    pub(super) client_id: String,
    #[prost(int64, tag = "7")]
    pub(super) max_outstanding_messages: i64,
    #[prost(int64, tag = "8")]
    pub(super) max_outstanding_bytes: i64,
    /// Clients of version 1 expect a response to keepalives.
    #[prost(int64, tag = "10")]
    pub(super) protocol_version: i64,
}

/// `StreamingPullResponse` with encoded messages.
#[derive(Clone, PartialEq, Message)]
pub(super) struct StreamingPullResponse {
    #[prost(message, repeated, tag = "1")]
    pub(super) received_messages: Vec<ReceivedMessage>,
    #[prost(message, optional, tag = "3")]
    pub(super) modify_ack_deadline_confirmation: Option<ModifyAckDeadlineConfirmation>,
    #[prost(message, optional, tag = "4")]
    pub(super) subscription_properties: Option<SubscriptionProperties>,
    #[prost(message, optional, tag = "5")]
    pub(super) acknowledge_confirmation: Option<AcknowledgeConfirmation>,
}

/// `google.rpc.ErrorInfo`.
#[derive(Clone, PartialEq, Message)]
struct ErrorInfo {
    #[prost(string, tag = "1")]
    reason: String,
    #[prost(string, tag = "2")]
    domain: String,
    #[prost(map = "string, string", tag = "3")]
    metadata: HashMap<String, String>,
}

/// Returns the error of exactly-once delivery for invalid acknowledgement ids.
pub(super) fn invalid_ack_ids(ids: &[String]) -> Status {
    const MESSAGE: &str = "Some acknowledgement ids in the request were invalid. This could be because the \
                           acknowledgement ids have expired or the acknowledgement ids were malformed.";
    let info = ErrorInfo {
        reason: "EXACTLY_ONCE_ACKID_FAILURE".to_owned(),
        domain: "pubsub.googleapis.com".to_owned(),
        metadata: ids.iter().map(|id| (id.clone(), "PERMANENT_FAILURE_INVALID_ACK_ID".to_owned())).collect(),
    };
    let details = rpc::Status {
        code: Code::FailedPrecondition as i32,
        message: MESSAGE.to_owned(),
        details: vec![prost_types::Any {
            type_url: "type.googleapis.com/google.rpc.ErrorInfo".to_owned(),
            value: info.encode_to_vec(),
        }],
    };
    Status::with_details(Code::FailedPrecondition, MESSAGE, details.encode_to_vec().into())
}

pub(super) fn timestamp(time: SystemTime) -> prost_types::Timestamp {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    prost_types::Timestamp {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        // Always less than 10^9.
        nanos: since.subsec_nanos().cast_signed(),
    }
}
