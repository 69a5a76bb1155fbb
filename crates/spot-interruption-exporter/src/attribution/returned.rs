//! What went back to its queue before its time was over, to make room for others.
//!
//! It comes again, and then it is to be held for no longer than if it had stayed.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::time::{Duration, Instant};

use super::waiting::Asked;
use crate::dedup::AlreadyHashed;
use crate::timeline::Timeline;

/// The least time between two returns of a message.
const INTERVAL: Duration = Duration::from_secs(10);

/// How often a message is given back at most.
const MOST: u8 = 5;

/// How much longer than the grace it is remembered that a message went back: it may take its time to come again.
const BEYOND_GRACE: Duration = Duration::from_secs(60);

/// Messages that were given back, by the hash of their id.
#[derive(Debug, Default)]
pub(super) struct Returned {
    messages: HashMap<u64, Return, BuildHasherDefault<AlreadyHashed>>,
    /// Appointments to look whether one is to be forgotten.
    order: Timeline<u64>,
}

/// What is remembered of such a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Return {
    /// When the message would have been settled.
    pub(super) deadline: Instant,
    /// What the provider's API said of its instance.
    pub(super) asked: Asked,
    last: Instant,
    times: u8,
    until: Instant,
}

impl Returned {
    /// What is known of a message from before.
    pub(super) fn get(&self, message: u64) -> Option<&Return> {
        self.messages.get(&message)
    }

    /// Whether a message may go back, for the first time or again.
    pub(super) fn allows(&self, message: u64, now: Instant) -> bool {
        self.messages.get(&message).is_none_or(|before| {
            before.times < MOST && now.saturating_duration_since(before.last) >= INTERVAL
        })
    }

    /// Notes that a message goes back.
    pub(super) fn note(
        &mut self,
        message: u64,
        deadline: Instant,
        asked: Asked,
        grace: Duration,
        now: Instant,
    ) {
        let until = now + grace + BEYOND_GRACE;
        let times = self.messages.get(&message).map_or(0, |before| before.times) + 1;
        self.messages.insert(message, Return { deadline, asked, last: now, times, until });
        self.order.push(until, message);
    }

    /// Forgets what did not come again.
    pub(super) fn expire(&mut self, now: Instant) {
        while let Some(message) = self.order.pop_due(now) {
            if self.messages.get(&message).is_some_and(|entry| entry.until <= now) {
                self.messages.remove(&message);
            }
        }
    }
}
