//! Things in the order in which they are to be forgotten.
//!
//! Each has a number, given from zero upwards and never again, so that what has come and gone since the timeline was
//! last written down can be told without keeping a list of it.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Instant;

/// A queue of things that end, the next one first.
#[derive(Debug)]
pub struct Timeline<V> {
    entries: VecDeque<Entry<V>>,
    /// The number of the first entry.
    first: u64,
    /// The numbers that are written down.
    written: Range<u64>,
}

/// Something, and when it is to be forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<V> {
    /// When.
    pub end: Instant,
    /// What.
    pub value: V,
}

/// What has to be done to a timeline that is written down, to bring it up to date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimelineChanges<V> {
    /// The numbers of entries to strike out.
    pub forgotten: Range<u64>,
    /// The number of the first entry to add.
    pub next: u64,
    /// The entries to add, numbered from there.
    pub added: Vec<Entry<V>>,
}

/// The capacity to shrink a table to, once a storm has passed and it is nearly empty. It is far enough from growing
/// again, so that neither happens often.
pub(crate) fn shrunk(capacity: usize, len: usize) -> Option<usize> {
    const SMALL: usize = 1_024;
    (capacity > SMALL && len < capacity / 8).then_some(capacity / 4)
}

impl<V> TimelineChanges<V> {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.forgotten.is_empty() && self.added.is_empty()
    }
}

impl<V> Default for Timeline<V> {
    fn default() -> Self {
        Self { entries: VecDeque::new(), first: 0, written: 0..0 }
    }
}

impl<V: Copy> Timeline<V> {
    /// The timeline that was written down: entries in their order, the first of which has this number.
    #[must_use]
    pub fn restore(first: u64, entries: Vec<Entry<V>>) -> Self {
        let written = first..first + entries.len() as u64;
        Self { entries: entries.into(), first, written }
    }

    /// Adds what ends last of all.
    pub fn push(&mut self, end: Instant, value: V) {
        self.entries.push_back(Entry { end, value });
    }

    /// Takes out the next entry if its time has come.
    pub fn pop_due(&mut self, now: Instant) -> Option<V> {
        self.entries.front().filter(|entry| entry.end <= now)?;
        self.first += 1;
        let entry = self.entries.pop_front();
        if let Some(capacity) = shrunk(self.entries.capacity(), self.entries.len()) {
            self.entries.shrink_to(capacity);
        }
        entry.map(|entry| entry.value)
    }

    /// When the next entry ends.
    #[must_use]
    pub fn next_end(&self) -> Option<Instant> {
        self.entries.front().map(|entry| entry.end)
    }

    /// What is there.
    pub fn values(&self) -> impl Iterator<Item = V> + '_ {
        self.entries.iter().map(|entry| entry.value)
    }

    /// What has changed since the last time that this was asked. It counts as written down from now on.
    pub fn take_changes(&mut self) -> TimelineChanges<V> {
        let next = self.written.end.max(self.first);
        let added = self.entries.iter().skip((next - self.first) as usize).copied().collect();
        let forgotten = self.written.start..self.first.min(self.written.end);
        self.written = self.first..self.first + self.entries.len() as u64;
        TimelineChanges { forgotten, next, added }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::time::Duration;

    #[test]
    fn what_a_storm_took_is_given_back() {
        let now = Instant::now();
        let mut timeline = Timeline::default();
        for value in 0..100_000 {
            timeline.push(now, value);
        }
        timeline.push(now + Duration::from_secs(1), 7);
        assert!(timeline.entries.capacity() >= 100_000);
        while timeline.pop_due(now).is_some() {}
        assert!(timeline.entries.capacity() <= 2_048, "{}", timeline.entries.capacity());
        assert!(timeline.values().eq([7]));
    }

    /// Whatever happens in between, the changes bring what is written down to where the timeline is.
    #[test]
    fn changes_add_up() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let mut timeline = Timeline::default();
        let mut written = BTreeMap::new();
        for second in 0..50_u64 {
            for value in 0..second % 4 {
                timeline.push(at(second + 3), second * 10 + value);
            }
            while timeline.pop_due(at(second)).is_some() {}
            if second % 7 == 0 || second > 40 {
                let TimelineChanges { forgotten, next, added } = timeline.take_changes();
                for number in forgotten {
                    assert!(written.remove(&number).is_some());
                }
                written.extend((next..).zip(added));
                assert!(written.values().map(|entry| entry.value).eq(timeline.values()));
            }
        }
        assert!(!written.is_empty() && timeline.take_changes().is_empty());
        let first = *written.keys().next().unwrap();
        let mut restored = Timeline::restore(first, written.values().copied().collect());
        assert!(restored.take_changes().is_empty());
        assert!(restored.values().eq(timeline.values()));
    }
}
