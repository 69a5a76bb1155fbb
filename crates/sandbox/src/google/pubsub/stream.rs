//! The flow control of an open stream.

use std::time::Duration;

use google_cloud_googleapis::pubsub::v1::streaming_pull_response::{
    AcknowledgeConfirmation, ModifyAckDeadlineConfirmation,
};
use tokio::time::Instant;
use tonic::Status;

use super::wire;

/// The flow control and pending responses of an open stream.
pub(super) struct Stream {
    pub(super) opened: Instant,
    pub(super) lease: Duration,
    /// The maximum number of outstanding messages; `None` for no limit.
    pub(super) max_messages: Option<u64>,
    pub(super) max_bytes: Option<u64>,
    pub(super) messages: u64,
    pub(super) bytes: u64,
    /// Whether the stream had nothing to send and waits for a notification.
    pub(super) is_waiting: bool,
    pub(super) resets: u64,
    /// Responses to send besides messages.
    pub(super) pending: PendingResponses,
    /// Whether the client closed the stream, and with which error.
    pub(super) ended: Option<Result<(), Status>>,
}

#[derive(Default)]
pub(super) struct PendingResponses {
    pub(super) keepalive: bool,
    pub(super) acks: Option<AcknowledgeConfirmation>,
    pub(super) modacks: Option<ModifyAckDeadlineConfirmation>,
}

/// The next action of a stream.
pub(super) enum StreamStep {
    Send(wire::StreamingPullResponse),
    End(Result<(), Status>),
    /// Waits for a change or until a time.
    Wait(Option<Instant>),
}

impl Stream {
    pub(super) fn new(
        opened: Instant,
        lease: Duration,
        max_messages: Option<u64>,
        max_bytes: Option<u64>,
        resets: u64,
    ) -> Self {
        Self {
            opened,
            lease,
            max_messages,
            max_bytes,
            messages: 0,
            bytes: 0,
            is_waiting: false,
            resets,
            pending: PendingResponses::default(),
            ended: None,
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.max_messages.is_some_and(|most| self.messages >= most)
            || self.max_bytes.is_some_and(|most| self.bytes >= most)
    }

    pub(super) fn end(&mut self, end: Result<(), Status>) {
        self.ended.get_or_insert(end);
    }

    pub(super) fn answer_keepalive(&mut self) {
        self.pending.keepalive = true;
    }

    pub(super) fn confirm_acks(&mut self, ack_ids: Vec<String>, invalid: Vec<String>) {
        let acks = self.pending.acks.get_or_insert_default();
        acks.ack_ids.extend(ack_ids.into_iter().filter(|id| !invalid.contains(id)));
        acks.invalid_ack_ids.extend(invalid);
    }

    pub(super) fn confirm_modacks(&mut self, ack_ids: Vec<String>, invalid: Vec<String>) {
        let modacks = self.pending.modacks.get_or_insert_default();
        modacks.ack_ids.extend(ack_ids.into_iter().filter(|id| !invalid.contains(id)));
        modacks.invalid_ack_ids.extend(invalid);
    }
}
