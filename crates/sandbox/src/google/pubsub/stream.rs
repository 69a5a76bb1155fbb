//! An open stream, as far as it matters what it may be given.

use std::time::Duration;

use google_cloud_googleapis::pubsub::v1::streaming_pull_response::{
    AcknowledgeConfirmation, ModifyAckDeadlineConfirmation,
};
use tokio::time::Instant;
use tonic::Status;

use super::wire;

/// An open stream, as far as it matters what it may be given.
pub(super) struct Stream {
    pub(super) opened: Instant,
    pub(super) lease: Duration,
    /// None for as many as there are.
    pub(super) max_messages: Option<u64>,
    pub(super) max_bytes: Option<u64>,
    pub(super) messages: u64,
    pub(super) bytes: u64,
    /// It had nothing to do when it was last asked, and will be woken.
    pub(super) is_waiting: bool,
    pub(super) resets: u64,
    /// What is to be said on it besides messages.
    pub(super) news: News,
    /// It was ended from the other side, in order or with a mistake.
    pub(super) ended: Option<Result<(), Status>>,
}

#[derive(Default)]
pub(super) struct News {
    pub(super) pong: bool,
    pub(super) acks: Option<AcknowledgeConfirmation>,
    pub(super) modacks: Option<ModifyAckDeadlineConfirmation>,
}

/// What a stream does next.
pub(super) enum Step {
    Send(wire::StreamingPullResponse),
    End(Result<(), Status>),
    /// Nothing, until something changes or this time comes.
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
            news: News::default(),
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
        self.news.pong = true;
    }

    pub(super) fn confirm_acks(&mut self, ack_ids: Vec<String>, invalid: Vec<String>) {
        let acks = self.news.acks.get_or_insert_default();
        acks.ack_ids.extend(ack_ids.into_iter().filter(|id| !invalid.contains(id)));
        acks.invalid_ack_ids.extend(invalid);
    }

    pub(super) fn confirm_modacks(&mut self, ack_ids: Vec<String>, invalid: Vec<String>) {
        let modacks = self.news.modacks.get_or_insert_default();
        modacks.ack_ids.extend(ack_ids.into_iter().filter(|id| !invalid.contains(id)));
        modacks.invalid_ack_ids.extend(invalid);
    }
}
