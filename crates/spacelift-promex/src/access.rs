//! Collectors without access. The API returns the same error for an expired token and for missing access, so missing
//! access is inferred from the results of requests.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long a collector whose fresh token was refused causes no further token exchange.
const RETRY_INTERVAL: Duration = Duration::from_secs(300);

/// The last result of each collector.
#[derive(Debug, Default)]
pub(crate) struct Access(Mutex<HashMap<&'static str, LastResult>>);

#[derive(Debug, Clone, Copy)]
enum LastResult {
    Succeeded,
    Failed,
    /// A fresh token was refused.
    Refused(Instant),
}

impl Access {
    /// Notes a successful request.
    pub(crate) fn succeeded(&self, collector: &'static str) {
        self.results().insert(collector, LastResult::Succeeded);
    }

    /// Notes a failure that is unrelated to access. It does not clear a refusal.
    pub(crate) fn failed(&self, collector: &'static str) {
        let mut results = self.results();
        if !matches!(results.get(collector), Some(LastResult::Refused(_))) {
            results.insert(collector, LastResult::Failed);
        }
    }

    /// Notes that a new token was refused.
    pub(crate) fn fresh_token_refused(&self, collector: &'static str) {
        self.results().insert(collector, LastResult::Refused(Instant::now()));
    }

    /// Returns whether a refusal means missing access, so that another token would not help. While no other collector
    /// succeeds, the token may have expired instead.
    pub(crate) fn is_missing(&self, collector: &'static str) -> bool {
        let results = self.results();
        matches!(results.get(collector), Some(LastResult::Refused(at)) if at.elapsed() < RETRY_INTERVAL)
            && results.values().any(|result| matches!(result, LastResult::Succeeded))
    }

    fn results(&self) -> MutexGuard<'_, HashMap<&'static str, LastResult>> {
        // The critical sections are single map operations, so a poisoned map is consistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn missing_access_is_remembered_for_five_minutes() {
        let access = Access::default();
        access.succeeded("workerpools");
        assert!(!access.is_missing("usage"));
        access.fresh_token_refused("usage");
        assert!(access.is_missing("usage"));
        assert!(!access.is_missing("workerpools"));
        access.failed("usage");
        assert!(access.is_missing("usage"), "a timeout does not clear the refusal");
        tokio::time::advance(Duration::from_secs(299)).await;
        assert!(access.is_missing("usage"));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!access.is_missing("usage"), "a new token is tried after five minutes");
    }

    #[tokio::test(start_paused = true)]
    async fn access_is_not_missing_while_no_collector_succeeds() {
        let access = Access::default();
        access.succeeded("workerpools");
        access.fresh_token_refused("usage");
        access.fresh_token_refused("workerpools");
        assert!(!access.is_missing("usage"));
        access.succeeded("workerpools");
        assert!(access.is_missing("usage"));
        access.failed("workerpools");
        assert!(!access.is_missing("usage"));
        access.succeeded("workerpools");
        access.succeeded("usage");
        assert!(!access.is_missing("usage"), "access was granted");
    }
}
