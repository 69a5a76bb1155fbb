//! What has been asked, for tests to look at.

use std::collections::{BTreeMap, VecDeque};

use hyper::{HeaderMap, Version};
use tokio::{sync::watch, time::Instant};

/// The operation under which every token exchange is counted and can be overridden, named or not.
pub const EXCHANGE: &str = "apiKeyUser";

/// How many requests are remembered; a sandbox may run for weeks.
const CAPACITY: usize = 10_000;

/// A request to `/graphql`, noted on arrival, however it was answered later.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The operation's name: [`EXCHANGE`] for the exchange, none for another that has no name.
    pub operation: Option<String>,
    /// The GraphQL document.
    pub query: String,
    /// The variables, an object.
    pub variables: serde_json::Value,
    /// The HTTP headers.
    pub headers: HeaderMap,
    /// The HTTP version.
    pub version: Version,
    /// The number of the connection, from zero; numbers start again with a restart.
    pub connection: u64,
    /// The bearer token that came along.
    pub token: Option<String>,
    /// When it arrived.
    pub at: Instant,
}

/// The requests so far. Whoever waits for one is woken by the next.
#[derive(Default)]
pub(super) struct Journal(watch::Sender<Entries>);

#[derive(Default)]
struct Entries {
    recent: VecDeque<Recorded>,
    counts: BTreeMap<String, u64>,
}

impl Entries {
    fn count(&self, operation: &str) -> u64 {
        self.counts.get(operation).copied().unwrap_or(0)
    }
}

impl Journal {
    pub(super) fn record(&self, request: Recorded) {
        self.0.send_modify(|entries| {
            *entries.counts.entry(request.operation.clone().unwrap_or_default()).or_default() += 1;
            if entries.recent.len() == CAPACITY {
                entries.recent.pop_front();
            }
            entries.recent.push_back(request);
        });
    }

    pub(super) fn recent(&self) -> Vec<Recorded> {
        self.0.borrow().recent.iter().cloned().collect()
    }

    /// The number of requests by operation; those without a name are under the empty one.
    pub(super) fn counts(&self) -> BTreeMap<String, u64> {
        self.0.borrow().counts.clone()
    }

    pub(super) fn count(&self, operation: &str) -> u64 {
        self.0.borrow().count(operation)
    }

    pub(super) async fn wait_for(&self, operation: &str, count: u64) {
        // An error would mean that the sender is gone, but `self` holds it.
        let _ = self.0.subscribe().wait_for(|entries| entries.count(operation) >= count).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_the_oldest_requests_but_not_their_number() {
        let journal = Journal::default();
        for connection in 0..=CAPACITY as u64 {
            journal.record(Recorded {
                operation: Some("Usage".to_owned()),
                query: String::new(),
                variables: serde_json::Value::Null,
                headers: HeaderMap::new(),
                version: Version::HTTP_11,
                connection,
                token: None,
                at: Instant::now(),
            });
        }
        let recent = journal.recent();
        assert_eq!(recent.len(), CAPACITY);
        assert_eq!(recent[0].connection, 1);
        assert_eq!(journal.count("Usage"), CAPACITY as u64 + 1);
    }
}
