//! Things in the order in which they are to be forgotten.
//!
//! Each has a number, given from zero upwards and never again, so that what has come and gone since the timeline was
//! last written down can be told without keeping a list of it. What comes at one moment ends at one moment, so that
//! is kept once, and a value takes no more than its own size.
//!
//! A value can be added before it is known when it ends. It stays until its end is set, however long that takes.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

/// A queue of things that end, the next one first.
#[derive(Debug)]
pub struct Timeline<V> {
    values: VecDeque<V>,
    /// When they end, each moment with the number that follows its last value. The last values may have no end yet.
    ends: VecDeque<(Instant, u64)>,
    /// The number of the first value.
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

/// The capacity to shrink a table to, once a burst has passed and it is nearly empty. It is far enough from growing
/// again, so that neither happens often.
#[must_use]
pub fn shrunk(capacity: usize, len: usize) -> Option<usize> {
    const SMALL: usize = 1_024;
    (capacity > SMALL && len < capacity / 8).then_some(capacity / 4)
}

impl<V> TimelineChanges<V> {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.forgotten.is_empty() && self.added.is_empty()
    }

    /// Moves the ends of the added entries by `delay`, when the changes are written later than intended.
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
    /// The timeline that was written down: entries in their order, the first of which has this number.
    #[must_use]
    pub fn restore(first: u64, entries: Vec<Entry<V>>) -> Self {
        let written = first..first + entries.len() as u64;
        let mut timeline = Self { first, written, ..Self::default() };
        for Entry { end, value } in entries {
            timeline.push(end, value);
        }
        timeline
    }

    /// Adds what ends last of all.
    pub fn push(&mut self, end: Instant, value: V) {
        self.append(value);
        self.set_end(self.next_number(), end);
    }

    /// Adds what has no end yet.
    pub fn append(&mut self, value: V) {
        self.values.push_back(value);
    }

    /// Lets the values below a number end at this moment, where they have no end yet.
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

    /// Takes out the next entry if its time has come.
    pub fn pop_due(&mut self, now: Instant) -> Option<V> {
        let (_, until) = *self.ends.front().filter(|(end, _)| *end <= now)?;
        let value = self.values.pop_front();
        self.first += 1;
        if until == self.first {
            self.ends.pop_front();
        }
        if let Some(capacity) = shrunk(self.values.capacity(), self.values.len()) {
            self.values.shrink_to(capacity);
            self.ends.shrink_to(capacity);
        }
        value
    }

    /// When the next entry ends.
    #[must_use]
    pub fn next_end(&self) -> Option<Instant> {
        self.ends.front().map(|(end, _)| *end)
    }

    /// What has an end, in the order of the ends.
    pub fn entries(&self) -> impl Iterator<Item = Entry<V>> + '_ {
        let mut from = self.first;
        self.ends.iter().flat_map(move |&(end, until)| {
            let range = (from - self.first) as usize..(until - self.first) as usize;
            from = until;
            self.values.range(range).map(move |&value| Entry { end, value })
        })
    }

    /// What is there.
    pub fn values(&self) -> impl Iterator<Item = V> + '_ {
        self.values.iter().copied()
    }

    /// What has changed since the last time that this was asked. It counts as written down from now on. What has no
    /// end yet is written down with `open_end`.
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
        let forgotten = self.written.start..self.first.min(self.written.end);
        self.written = self.first..self.next_number();
        TimelineChanges { forgotten, next, added }
    }

    /// The number of the next value to be added.
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
    fn what_a_storm_took_is_given_back() {
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

    /// Whatever happens in between, the changes bring what is written down to where the timeline is.
    #[test]
    fn changes_add_up() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let mut timeline = Timeline::default();
        let mut model = VecDeque::new();
        let mut written = BTreeMap::new();
        for second in 0..50_u64 {
            for value in 0..second % 4 {
                // Some end at the same moment, some do not.
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
                let TimelineChanges { forgotten, next, added } = timeline.take_changes(began);
                for number in forgotten {
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
    fn what_has_no_end_stays_until_it_has_one() {
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        let mut timeline = Timeline::default();
        timeline.push(at(1), 1);
        timeline.append(2);
        timeline.append(3);
        assert_eq!((timeline.pop_due(at(9)), timeline.pop_due(at(99))), (Some(1), None));
        assert_eq!(timeline.next_end(), None);
        // Written down meanwhile, it ends as was asked.
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
            (changes.forgotten, changes.next, changes.added),
            (1..3, 3, vec![Entry { end: at(99), value: 4 }])
        );
        assert_eq!(timeline.pop_due(at(99)), Some(4));
    }
}
