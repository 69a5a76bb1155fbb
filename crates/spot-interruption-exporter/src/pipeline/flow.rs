//! Flow control: counts the messages that the queues have delivered and that are not acknowledged yet.
//!
//! A queue limits outstanding messages and then delivers no more. Held interruptions count for up to the whole grace,
//! so many interruptions of unknown instances would block all other messages. Therefore held messages may use half of
//! the limit while other messages wait. The rest is returned to the queue for a while.

use std::time::Duration;

use super::DeliveryToken;
use crate::attribution::{Attribution, Choice};
use crate::source::{OUTSTANDING_BYTES, OUTSTANDING_MESSAGES, Queue};
use tokio::time::Instant;

/// Approximate bytes that a queue counts for a message in addition to its data: id, time, attributes.
const MESSAGE_OVERHEAD: usize = 128;

/// Delay before the next attempt to make room.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// Number of messages and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Load {
    messages: usize,
    bytes: usize,
}

/// The limit of a queue.
const MAX_OUTSTANDING: Load = Load { messages: OUTSTANDING_MESSAGES, bytes: OUTSTANDING_BYTES };

impl Load {
    fn add(&mut self, size: usize) {
        self.messages += 1;
        self.bytes += size + MESSAGE_OVERHEAD;
    }

    fn remove(&mut self, size: usize) {
        self.messages = self.messages.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(size + MESSAGE_OVERHEAD);
    }

    fn exceeds(&self, other: &Self) -> bool {
        self.messages > other.messages || self.bytes > other.bytes
    }
}

/// Outstanding messages by queue.
#[derive(Debug, Default)]
pub(super) struct FlowControl {
    outstanding: [Load; Queue::COUNT],
    /// Outstanding messages without effect so far.
    held: [Load; Queue::COUNT],
    largest: [usize; Queue::COUNT],
    retry_at: Option<Instant>,
}

impl FlowControl {
    /// Notes a received message.
    pub(super) fn received(&mut self, queue: Queue, size: usize) {
        let index = queue.number();
        self.outstanding[index].add(size);
        self.held[index].add(size);
        self.largest[index] = self.largest[index].max(size + MESSAGE_OVERHEAD);
    }

    /// Notes that a message has had its effect.
    pub(super) fn resolved(&mut self, queue: Queue, size: usize) {
        self.held[queue.number()].remove(size);
    }

    /// Notes that a message was acknowledged.
    pub(super) fn acknowledged(&mut self, queue: Queue, size: usize) {
        self.outstanding[queue.number()].remove(size);
    }

    /// When to try again to make room.
    pub(super) fn next_retry(&self) -> Option<Instant> {
        self.retry_at
    }

    /// If the limit is reached, removes held messages beyond half of the limit. The caller drops them, which returns
    /// them to their queue.
    pub(super) fn make_room<T>(
        &mut self,
        attribution: &mut Attribution<DeliveryToken<T>>,
        now: Instant,
    ) -> Vec<DeliveryToken<T>> {
        let mut returned = Vec::new();
        if self.retry_at.is_some_and(|at| now < at) {
            return returned;
        }
        self.retry_at = None;
        for queue in Queue::of_messages() {
            let index = queue.number();
            let half = Load { messages: MAX_OUTSTANDING.messages / 2, bytes: MAX_OUTSTANDING.bytes / 2 };
            if !self.is_exhausted(index) || !self.held[index].exceeds(&half) {
                continue;
            }
            let mut rest = self.held[index];
            let deliveries = attribution.give_back(now.into_std(), |delivery, duplicates| {
                if !rest.exceeds(&half) {
                    return Choice::Stop;
                }
                if delivery.queue != queue || !delivery.may_go_back() {
                    return Choice::Keep;
                }
                for delivery in duplicates.iter().chain([delivery]) {
                    rest.remove(delivery.size);
                }
                Choice::Return
            });
            for delivery in &deliveries {
                self.held[delivery.queue.number()].remove(delivery.size);
                self.outstanding[delivery.queue.number()].remove(delivery.size);
            }
            if self.held[index].exceeds(&half) {
                self.retry_at = Some(now + RETRY_INTERVAL);
            }
            returned.extend(deliveries);
        }
        returned
    }

    /// Whether further messages may be waiting in the queue. The queue stops slightly below the limit, and it counts
    /// messages that are not received here yet.
    fn is_exhausted(&self, index: usize) -> bool {
        let Load { messages, bytes } = self.outstanding[index];
        messages >= MAX_OUTSTANDING.messages - MAX_OUTSTANDING.messages / 100
            || bytes >= MAX_OUTSTANDING.bytes - MAX_OUTSTANDING.bytes / 20
            || bytes + self.largest[index] > MAX_OUTSTANDING.bytes
    }
}
