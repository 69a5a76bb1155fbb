//! Records requests for tests.

use std::collections::{BTreeMap, VecDeque};

use tokio::sync::watch;

/// The maximum number of recorded requests. It bounds the memory of a sandbox that runs for weeks.
const CAPACITY: usize = 10_000;

/// Recorded requests and their counts by operation. New requests wake the waiting tasks.
pub(crate) struct Journal<T>(watch::Sender<Entries<T>>);

struct Entries<T> {
    recent: VecDeque<T>,
    counts: BTreeMap<String, u64>,
}

impl<T> Default for Journal<T> {
    fn default() -> Self {
        Self(watch::Sender::new(Entries { recent: VecDeque::new(), counts: BTreeMap::new() }))
    }
}

impl<T> Entries<T> {
    fn count(&self, operation: &str) -> u64 {
        self.counts.get(operation).copied().unwrap_or(0)
    }
}

impl<T> Journal<T> {
    pub(crate) fn record(&self, operation: String, request: T) {
        self.0.send_modify(|entries| {
            *entries.counts.entry(operation).or_default() += 1;
            if entries.recent.len() == CAPACITY {
                entries.recent.pop_front();
            }
            entries.recent.push_back(request);
        });
    }

    pub(crate) fn recent(&self) -> Vec<T>
    where
        T: Clone,
    {
        self.0.borrow().recent.iter().cloned().collect()
    }

    /// Returns the number of requests by operation. Requests without an operation name have the empty name.
    pub(crate) fn counts(&self) -> BTreeMap<String, u64> {
        self.0.borrow().counts.clone()
    }

    pub(crate) fn count(&self, operation: &str) -> u64 {
        self.0.borrow().count(operation)
    }

    pub(crate) async fn wait_for(&self, operation: &str, count: u64) {
        // It fails only if the sender is dropped, but `self` owns it.
        let _ = self.0.subscribe().wait_for(|entries| entries.count(operation) >= count).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_old_requests_but_keeps_counts() {
        let journal = Journal::default();
        for number in 0..=CAPACITY as u64 {
            journal.record("Usage".to_owned(), number);
        }
        let recent = journal.recent();
        assert_eq!(recent.len(), CAPACITY);
        assert_eq!(recent[0], 1);
        assert_eq!(journal.count("Usage"), CAPACITY as u64 + 1);
    }
}
