//! How much is outstanding: messages that the queues have delivered and that are not acknowledged yet.
//!
//! A queue bounds it and delivers nothing beyond. Interruptions that are held count as well, for up to the whole grace, so
//! many of instances that nobody knows would keep everything else away. So what is held may take half of the bound
//! while others wait, and the rest goes back to its queue for a while.

use std::time::Duration;

use super::Ticket;
use crate::attribution::{Attribution, Choice};
use crate::source::{OUTSTANDING_BYTES, OUTSTANDING_MESSAGES, Queue};
use tokio::time::Instant;

/// What a queue counts of a message beside its data, or nearly so: its id, its time, attributes.
const OVERHEAD: usize = 128;

/// The wait before it is tried again to make room.
const RETRY: Duration = Duration::from_millis(100);

/// Messages and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Load {
    messages: usize,
    bytes: usize,
}

/// The bound.
const MOST: Load = Load { messages: OUTSTANDING_MESSAGES, bytes: OUTSTANDING_BYTES };

impl Load {
    fn add(&mut self, size: usize) {
        self.messages += 1;
        self.bytes += size + OVERHEAD;
    }

    fn remove(&mut self, size: usize) {
        self.messages = self.messages.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(size + OVERHEAD);
    }

    fn exceeds(&self, other: &Self) -> bool {
        self.messages > other.messages || self.bytes > other.bytes
    }
}

/// How much is outstanding, by queue.
#[derive(Debug, Default)]
pub(super) struct Flow {
    outstanding: [Load; Queue::ALL.len()],
    /// What of it has had no effect yet.
    held: [Load; Queue::ALL.len()],
    largest: [usize; Queue::ALL.len()],
    retry_at: Option<Instant>,
}

impl Flow {
    /// A message came.
    pub(super) fn took(&mut self, queue: Queue, size: usize) {
        let index = queue as usize;
        self.outstanding[index].add(size);
        self.held[index].add(size);
        self.largest[index] = self.largest[index].max(size + OVERHEAD);
    }

    /// A message had its effect.
    pub(super) fn resolved(&mut self, queue: Queue, size: usize) {
        self.held[queue as usize].remove(size);
    }

    /// A message that had its effect is acknowledged.
    pub(super) fn acknowledged(&mut self, queue: Queue, size: usize) {
        self.outstanding[queue as usize].remove(size);
    }

    /// When to try again to make room.
    pub(super) fn next_retry(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Takes out what is held beyond half of the bound, if the bound is reached. To be dropped by the caller, which
    /// brings the messages back.
    pub(super) fn make_room<T>(
        &mut self,
        attribution: &mut Attribution<Ticket<T>>,
        now: Instant,
    ) -> Vec<Ticket<T>> {
        let mut returned = Vec::new();
        if self.retry_at.is_some_and(|at| now < at) {
            return returned;
        }
        self.retry_at = None;
        for queue in [Queue::Creations, Queue::Interruptions] {
            let index = queue as usize;
            let half = Load { messages: MOST.messages / 2, bytes: MOST.bytes / 2 };
            if !self.is_exhausted(index) || !self.held[index].exceeds(&half) {
                continue;
            }
            let mut rest = self.held[index];
            let tickets = attribution.give_back(now.into_std(), |ticket, duplicates| {
                if !rest.exceeds(&half) {
                    return Choice::Stop;
                }
                if ticket.queue != queue || !ticket.may_go_back() {
                    return Choice::Keep;
                }
                for ticket in duplicates.iter().chain([ticket]) {
                    rest.remove(ticket.size);
                }
                Choice::Return
            });
            for ticket in &tickets {
                self.held[ticket.queue as usize].remove(ticket.size);
                self.outstanding[ticket.queue as usize].remove(ticket.size);
            }
            if self.held[index].exceeds(&half) {
                self.retry_at = Some(now + RETRY);
            }
            returned.extend(tickets);
        }
        returned
    }

    /// Whether others may wait in the queue. It stops a little below the bound rather than to exceed it, and counts what
    /// it has not been told of yet.
    fn is_exhausted(&self, index: usize) -> bool {
        let Load { messages, bytes } = self.outstanding[index];
        messages >= MOST.messages - MOST.messages / 100
            || bytes >= MOST.bytes - MOST.bytes / 20
            || bytes + self.largest[index] > MOST.bytes
    }
}
