//! Streams of a subscription: when to send messages to them and when to close them.

use std::{mem, time::Duration};

use google_cloud_googleapis::pubsub::v1;
use tokio::time::Instant;
use tonic::Status;

use super::{BATCH, BATCH_BYTES, Holder, Queue};
use crate::google::pubsub::{
    faults::Faults,
    rejection::rejection,
    stream::{Stream, StreamStep},
    wire,
};

impl Queue {
    pub(in crate::google::pubsub) fn open_stream(
        &mut self,
        now: Instant,
        number: u64,
        lease: Duration,
        max_messages: Option<u64>,
        max_bytes: Option<u64>,
    ) {
        self.counts.streams_opened += 1;
        self.streams.insert(number, Stream::new(now, lease, max_messages, max_bytes, self.resets));
    }

    pub(in crate::google::pubsub) fn stream(&mut self, number: u64) -> Option<&mut Stream> {
        self.streams.get_mut(&number)
    }

    /// Removes a stream. Its messages stay leased until their leases expire, as with Google.
    pub(in crate::google::pubsub) fn close_stream(&mut self, number: u64) {
        self.streams.remove(&number);
    }

    pub(in crate::google::pubsub) fn step(
        &mut self,
        now: Instant,
        number: u64,
        faults: &Faults,
    ) -> StreamStep {
        self.tick(now);
        if faults.freeze {
            return StreamStep::Wait(None);
        }
        // The stream was closed by the client.
        let Some(stream) = self.streams.get_mut(&number) else { return StreamStep::End(Ok(())) };
        if self.is_deleted {
            return StreamStep::End(Err(Status::not_found("Subscription does not exist")));
        }
        if let Some(end) = stream.ended.take() {
            return StreamStep::End(end);
        }
        if let Some(code) = faults.refuse {
            return StreamStep::End(Err(rejection(code)));
        }
        let end = faults.reset_every.map(|age| stream.opened + age);
        if stream.resets != self.resets || end.is_some_and(|end| end <= now) {
            return StreamStep::End(Err(Status::unavailable(
                "The service was unable to fulfill your request. Please try again. [code=8a75]",
            )));
        }
        let pending = mem::take(&mut stream.pending);
        let received_messages = self.fill(now, number, faults);
        let is_idle = received_messages.is_empty()
            && !pending.keepalive
            && pending.acks.is_none()
            && pending.modacks.is_none();
        if let Some(stream) = self.streams.get_mut(&number) {
            stream.is_waiting = is_idle;
        }
        if is_idle {
            return StreamStep::Wait(self.next_deadline().into_iter().chain(end).min());
        }
        StreamStep::Send(wire::StreamingPullResponse {
            received_messages,
            acknowledge_confirmation: pending.acks,
            modify_ack_deadline_confirmation: pending.modacks,
            subscription_properties: Some(v1::streaming_pull_response::SubscriptionProperties {
                exactly_once_delivery_enabled: self.settings.is_exactly_once,
                message_ordering_enabled: false,
            }),
        })
    }

    /// Leases ready messages to a stream.
    fn fill(&mut self, now: Instant, number: u64, faults: &Faults) -> Vec<wire::ReceivedMessage> {
        // Streams take turns: each takes a share and leaves the rest to the others. Published messages wake
        // all waiting streams, and so does each response.
        let is_served = self.last_served == Some(number);
        let is_next =
            |(other, stream): (&u64, &Stream)| *other != number && stream.is_waiting && !stream.is_full();
        if is_served && self.streams.iter().any(is_next) {
            return Vec::new();
        }
        let share = self.ready.len().div_ceil(self.streams.len().max(1)).clamp(1, BATCH);
        let mut taken = Vec::new();
        let mut bytes = 0;
        while taken.len() < share && bytes < BATCH_BYTES {
            let Some(stream) = self.streams.get(&number).filter(|stream| !stream.is_full()) else {
                break;
            };
            let Some(received) = self.lease(now, Holder::Stream(number), stream.lease, faults) else { break };
            if let Some(stream) = self.streams.get_mut(&number) {
                stream.messages += 1;
                stream.bytes += received.message.len() as u64;
            }
            self.last_served = Some(number);
            bytes += received.message.len();
            taken.push(received);
        }
        taken
    }
}
