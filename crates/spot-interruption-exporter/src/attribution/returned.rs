//! Messages that were returned to their queue before the end of their grace, to make room for others.
//!
//! After redelivery, such a message is held only until its original deadline.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::time::{Duration, Instant};

use super::held::LookupState;
use crate::dedup::AlreadyHashed;
use crate::timeline::Timeline;

/// Minimum time between two returns of a message.
const MIN_INTERVAL: Duration = Duration::from_secs(10);

/// Maximum number of returns of a message.
const MAX_RETURNS: u8 = 5;

/// How long a returned message is remembered beyond the grace, because redelivery can be slow.
const EXTRA_RETENTION: Duration = Duration::from_secs(60);

/// Returned messages, by the hash of their id.
#[derive(Debug, Default)]
pub(super) struct ReturnedMessages {
    messages: HashMap<u64, ReturnedMessage, BuildHasherDefault<AlreadyHashed>>,
    /// When to check whether a message is to be removed.
    order: Timeline<u64>,
}

/// A returned message.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReturnedMessage {
    /// When the message would have been resolved.
    pub(super) deadline: Instant,
    /// State of the lookup of its instance.
    pub(super) lookup_state: LookupState,
    last: Instant,
    times: u8,
    until: Instant,
}

impl ReturnedMessages {
    /// Returns what is remembered of a message.
    pub(super) fn get(&self, message: u64) -> Option<&ReturnedMessage> {
        self.messages.get(&message)
    }

    /// Whether a message may be returned now.
    pub(super) fn allows(&self, message: u64, now: Instant) -> bool {
        self.messages.get(&message).is_none_or(|before| {
            before.times < MAX_RETURNS && now.saturating_duration_since(before.last) >= MIN_INTERVAL
        })
    }

    /// Notes that a message is returned.
    pub(super) fn note(
        &mut self,
        message: u64,
        deadline: Instant,
        lookup_state: LookupState,
        grace: Duration,
        now: Instant,
    ) {
        let until = now + grace + EXTRA_RETENTION;
        let times = self.messages.get(&message).map_or(0, |before| before.times) + 1;
        self.messages.insert(message, ReturnedMessage { deadline, lookup_state, last: now, times, until });
        self.order.push(until, message);
    }

    /// Removes messages that were not delivered again in time.
    pub(super) fn expire(&mut self, now: Instant) {
        while let Some(message) = self.order.pop_due(now) {
            if self.messages.get(&message).is_some_and(|entry| entry.until <= now) {
                self.messages.remove(&message);
            }
        }
    }
}
