//! Recently seen ids, bounded by age and number.

use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::time::{Duration, Instant};

use exporter_common::timeline::{Timeline, TimelineChanges, shrunk_capacity};
use siphasher::sip::SipHasher13;

/// The hashes of recently seen ids. Among a million ids, a collision has a probability of 1 in 37 million.
#[derive(Debug)]
pub(super) struct DedupWindow {
    seen: HashSet<u64>,
    timeline: Timeline<u64>,
    length: Duration,
    max: usize,
    /// The expiry of the last added id.
    last_end: Option<Instant>,
}

/// Ids that are added within this time share one expiry, to save memory.
const GRANULARITY: Duration = Duration::from_secs(1);

/// Returns the hash of an id. It is stored, so it is the same in every process. It is not keyed: only senders that know
/// the webhook secret choose ids, so collisions by an attacker are not a concern.
pub(super) fn hash(id: &impl Hash) -> u64 {
    let mut hasher = SipHasher13::new();
    id.hash(&mut hasher);
    hasher.finish()
}

impl DedupWindow {
    /// Creates a window of at most `max` ids, each kept for `length`.
    pub(super) fn new(length: Duration, max: usize) -> Self {
        Self { seen: HashSet::default(), timeline: Timeline::default(), length, max, last_end: None }
    }

    /// Restores the ids from the durable state.
    pub(super) fn restore(self, timeline: Timeline<u64>) -> Self {
        Self { seen: timeline.values().collect(), timeline, ..self }
    }

    /// Returns whether an id is present.
    pub(super) fn contains(&self, id: u64) -> bool {
        self.seen.contains(&id)
    }

    /// Adds an id. Returns false if it is already present. Beyond the bound the oldest id is removed.
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
            self.remove_oldest(None);
        }
        true
    }

    /// Removes expired ids.
    pub(super) fn expire(&mut self, now: Instant) {
        while self.remove_oldest(Some(now)) {}
        if let Some(capacity) = shrunk_capacity(self.seen.capacity(), self.seen.len()) {
            self.seen.shrink_to(capacity);
        }
    }

    /// Removes the oldest id if it expired by `now`, or in any case if `now` is `None`. Returns whether it removed one.
    fn remove_oldest(&mut self, now: Option<Instant>) -> bool {
        let until = now.or_else(|| self.timeline.next_end());
        let oldest = until.and_then(|until| self.timeline.pop_due(until));
        oldest.is_some_and(|oldest| self.seen.remove(&oldest))
    }

    /// Returns the changes since the last call.
    pub(super) fn take_changes(&mut self, now: Instant) -> TimelineChanges<u64> {
        self.timeline.take_changes(now + self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_ids_by_age_and_number() {
        let now = Instant::now();
        let length = Duration::from_secs(10);
        let mut window = DedupWindow::new(length, 3);
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
    fn hashes_are_stable_across_processes() {
        assert_eq!(hash(&"01EF9PFPNFFM2MQXTJKHK1B869"), 1_592_493_929_696_139_915);
    }
}
