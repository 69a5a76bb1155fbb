//! A queue of values in the order in which they expire.
//!
//! Every value has a number, counted up from zero and never reused, so the changes since the last write are two ranges of
//! numbers and need no list. Values that expire at the same time share one stored expiry, so a value takes no more memory
//! than its own size.
//!
//! A value can be added without an expiry. It stays in the queue until its expiry is set.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

/// A queue of values in the order in which they expire.
#[derive(Debug)]
pub struct Timeline<V> {
    values: VecDeque<V>,
    /// Expiry times, each with the number after the last value that expires then. The last values may have no expiry yet.
    ends: VecDeque<(Instant, u64)>,
    /// The number of the first value.
    first: u64,
    /// The numbers of the values that are stored.
    written: Range<u64>,
}

/// A value and its expiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<V> {
    /// When the value expires.
    pub end: Instant,
    /// The value.
    pub value: V,
}

/// The changes that bring a stored timeline up to date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimelineChanges<V> {
    /// The numbers of the entries to remove.
    pub expired: Range<u64>,
    /// The number of the first added entry.
    pub next: u64,
    /// The entries to add, numbered from `next`.
    pub added: Vec<Entry<V>>,
}

/// Returns the capacity to shrink a collection to after a burst, or `None` if it is not nearly empty. The new capacity is
/// at least twice the length, so that the collection does not grow again soon.
#[must_use]
pub fn shrunk_capacity(capacity: usize, len: usize) -> Option<usize> {
    const SMALL: usize = 1_024;
    (capacity > SMALL && len < capacity / 8).then_some(capacity / 4)
}

impl<V> TimelineChanges<V> {
    /// Returns whether there are no changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.expired.is_empty() && self.added.is_empty()
    }

    /// Delays the expiry of the added entries, when the changes are written later than intended.
    pub fn postpone(&mut self, delay: Duration) {
        for entry in &mut self.added {
            entry.end += delay;
        }
    }
}

impl<V> Default for Timeline<V> {
    fn default() -> Self {
        Self { values: VecDeque::new(), ends: VecDeque::new(), first: 0, written: 0..0 }
    }
}

impl<V: Copy> Timeline<V> {
    /// Restores a stored timeline from its entries, in their order. `first` is the number of the first one.
    #[must_use]
    pub fn restore(first: u64, entries: Vec<Entry<V>>) -> Self {
        let written = first..first + entries.len() as u64;
        let mut timeline = Self { first, written, ..Self::default() };
        for Entry { end, value } in entries {
            timeline.push(end, value);
        }
        timeline
    }

    /// Adds a value that expires last of all.
    pub fn push(&mut self, end: Instant, value: V) {
        self.append(value);
        self.set_end(self.next_number(), end);
    }

    /// Adds a value without an expiry.
    pub fn append(&mut self, value: V) {
        self.values.push_back(value);
    }

    /// Sets the expiry of the values with a number below `below` that have none yet.
    pub fn set_end(&mut self, below: u64, end: Instant) {
        let below = below.min(self.next_number());
        let first_open = self.ends.back().map_or(self.first, |(_, until)| *until);
        if below <= first_open {
            return;
        }
        match self.ends.back_mut() {
            Some((last, until)) if *last == end => *until = below,
            _ => self.ends.push_back((end, below)),
        }
    }

    /// Removes and returns the next value if it has expired.
    pub fn pop_due(&mut self, now: Instant) -> Option<V> {
        let (_, until) = *self.ends.front().filter(|(end, _)| *end <= now)?;
        let value = self.values.pop_front();
        self.first += 1;
        if until == self.first {
            self.ends.pop_front();
        }
        if let Some(capacity) = shrunk_capacity(self.values.capacity(), self.values.len()) {
            self.values.shrink_to(capacity);
            self.ends.shrink_to(capacity);
        }
        value
    }

    /// Returns when the next value expires.
    #[must_use]
    pub fn next_end(&self) -> Option<Instant> {
        self.ends.front().map(|(end, _)| *end)
    }

    /// Returns the entries that have an expiry, in its order.
    pub fn entries(&self) -> impl Iterator<Item = Entry<V>> + '_ {
        let mut from = self.first;
        self.ends.iter().flat_map(move |&(end, until)| {
            let range = (from - self.first) as usize..(until - self.first) as usize;
            from = until;
            self.values.range(range).map(move |&value| Entry { end, value })
        })
    }

    /// Returns all values.
    pub fn values(&self) -> impl Iterator<Item = V> + '_ {
        self.values.iter().copied()
    }

    /// Returns the changes since the last call, which the caller stores. Values without an expiry are stored with
    /// `open_end`.
    pub fn take_changes(&mut self, open_end: Instant) -> TimelineChanges<V> {
        let next = self.written.end.max(self.first);
        let mut added = Vec::with_capacity((self.next_number() - next) as usize);
        let mut from = next;
        let ends = self.ends.range(self.ends.partition_point(|(_, until)| *until <= next)..).copied();
        let open = (open_end, self.next_number());
        for (end, until) in ends.chain((open.1 > from).then_some(open)) {
            let values = self.values.range((from - self.first) as usize..(until - self.first) as usize);
            added.extend(values.map(|&value| Entry { end, value }));
            from = until;
        }
        let expired = self.written.start..self.first.min(self.written.end);
        self.written = self.first..self.next_number();
        TimelineChanges { expired, next, added }
    }

    /// Returns the number that the next added value gets.
    #[must_use]
    pub fn next_number(&self) -> u64 {
        self.first + self.values.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn memory_is_released_after_a_burst() {
        let now = Instant::now();
        let mut timeline = Timeline::default();
        for value in 0..100_000 {
            timeline.push(now, value);
        }
        timeline.push(now + Duration::from_secs(1), 7);
        assert!(timeline.values.capacity() >= 100_000);
        while timeline.pop_due(now).is_some() {}
        assert!(timeline.values.capacity() <= 2_048, "{}", timeline.values.capacity());
        assert!(timeline.values().eq([7]));
    }

    /// The changes bring the stored entries up to date, whatever was added and removed in between.
    #[test]
    fn changes_keep_stored_entries_up_to_date() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let mut timeline = Timeline::default();
        let mut model = VecDeque::new();
        let mut written = BTreeMap::new();
        for second in 0..50_u64 {
            for value in 0..second % 4 {
                // Some expire at the same time, some do not.
                let entry = Entry { end: at(second + 3 + value / 2), value: second * 10 + value };
                timeline.push(entry.end, entry.value);
                model.push_back(entry);
            }
            while let Some(value) = timeline.pop_due(at(second)) {
                let ended = model.pop_front().unwrap();
                assert!(ended.value == value && ended.end <= at(second));
            }
            assert_eq!(timeline.next_end(), model.front().map(|entry| entry.end));
            if second % 7 == 0 || second > 40 {
                let TimelineChanges { expired, next, added } = timeline.take_changes(began);
                for number in expired {
                    assert!(written.remove(&number).is_some());
                }
                written.extend((next..).zip(added));
                assert!(written.values().eq(&model));
            }
        }
        assert!(!written.is_empty() && timeline.take_changes(began).is_empty());
        let first = *written.keys().next().unwrap();
        let mut restored = Timeline::restore(first, written.values().copied().collect());
        assert!(restored.take_changes(began).is_empty());
        assert!(restored.values().eq(timeline.values()));
    }

    #[test]
    fn values_without_an_expiry_stay_until_it_is_set() {
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        let mut timeline = Timeline::default();
        timeline.push(at(1), 1);
        timeline.append(2);
        timeline.append(3);
        assert_eq!((timeline.pop_due(at(9)), timeline.pop_due(at(99))), (Some(1), None));
        assert_eq!(timeline.next_end(), None);
        // A value that is stored without an expiry gets the given one.
        let changes = timeline.take_changes(at(20));
        assert_eq!((changes.next, changes.added.len(), changes.added[0].end), (1, 2, at(20)));
        let number = timeline.next_number();
        timeline.append(4);
        timeline.set_end(number, at(10));
        timeline.set_end(number, at(50));
        assert_eq!(
            [timeline.pop_due(at(9)), timeline.pop_due(at(10)), timeline.pop_due(at(10))],
            [None, Some(2), Some(3)]
        );
        assert_eq!(timeline.pop_due(at(99)), None);
        timeline.set_end(u64::MAX, at(99));
        let changes = timeline.take_changes(at(20));
        assert_eq!(
            (changes.expired, changes.next, changes.added),
            (1..3, 3, vec![Entry { end: at(99), value: 4 }])
        );
        assert_eq!(timeline.pop_due(at(99)), Some(4));
    }
}
