//! Ids that were here before, within a window of time and a bound on their number.

use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::time::{Duration, Instant};

use exporter_common::timeline::{Timeline, TimelineChanges, shrunk_capacity};
use siphasher::sip::SipHasher13;

/// Hashes of ids. Of a million, two are taken for one with a probability of one to thirty million.
#[derive(Debug)]
pub(super) struct Window {
    seen: HashSet<u64>,
    timeline: Timeline<u64>,
    length: Duration,
    max: usize,
    /// When the last ids that were added end.
    last_end: Option<Instant>,
}

/// Ids that are added within this time end at one moment, which the timeline keeps once.
const GRANULARITY: Duration = Duration::from_secs(1);

/// The hash of an id. It is the same in every process, because it is stored. It does not resist chosen collisions: only
/// a sender that knows the secret chooses ids.
pub(super) fn hash(id: &impl Hash) -> u64 {
    let mut hasher = SipHasher13::new();
    id.hash(&mut hasher);
    hasher.finish()
}

impl Window {
    /// Remembers at most `max` ids for `length`.
    pub(super) fn new(length: Duration, max: usize) -> Self {
        Self { seen: HashSet::default(), timeline: Timeline::default(), length, max, last_end: None }
    }

    /// Goes on from what was written down.
    pub(super) fn restore(self, timeline: Timeline<u64>) -> Self {
        Self { seen: timeline.values().collect(), timeline, ..self }
    }

    pub(super) fn contains(&self, id: u64) -> bool {
        self.seen.contains(&id)
    }

    /// Adds an id; false if it was here before. At the bound the oldest one is forgotten.
    pub(super) fn insert(&mut self, id: u64, now: Instant) -> bool {
        if !self.seen.insert(id) {
            return false;
        }
        let end = now + self.length;
        let end =
            self.last_end.filter(|last| end.saturating_duration_since(*last) < GRANULARITY).unwrap_or(end);
        self.last_end = Some(end);
        self.timeline.push(end, id);
        while self.seen.len() > self.max {
            self.forget_until(None);
        }
        true
    }

    /// Forgets the ids whose time is over.
    pub(super) fn expire(&mut self, now: Instant) {
        while self.forget_until(Some(now)) {}
        if let Some(capacity) = shrunk_capacity(self.seen.capacity(), self.seen.len()) {
            self.seen.shrink_to(capacity);
        }
    }

    /// Forgets the oldest id, if it ends by then.
    fn forget_until(&mut self, now: Option<Instant>) -> bool {
        let until = now.or_else(|| self.timeline.next_end());
        let oldest = until.and_then(|until| self.timeline.pop_due(until));
        oldest.is_some_and(|oldest| self.seen.remove(&oldest))
    }

    /// What has changed since the last time that this was asked.
    pub(super) fn take_changes(&mut self, now: Instant) -> TimelineChanges<u64> {
        self.timeline.take_changes(now + self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_known_for_a_time_and_up_to_a_number() {
        let now = Instant::now();
        let length = Duration::from_secs(10);
        let mut window = Window::new(length, 3);
        assert!(window.insert(1, now) && !window.insert(1, now));
        assert!(window.insert(2, now + Duration::from_secs(5)));
        window.expire(now + length);
        assert!(!window.contains(1) && window.contains(2));
        for id in 3..6 {
            assert!(window.insert(id, now + length));
        }
        assert!(!window.contains(2) && (3..6).all(|id| window.contains(id)));
    }

    #[test]
    fn a_hash_is_the_same_in_every_process() {
        assert_eq!(hash(&"01EF9PFPNFFM2MQXTJKHK1B869"), 1_592_493_929_696_139_915);
    }
}
