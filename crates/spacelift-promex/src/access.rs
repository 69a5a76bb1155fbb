//! Which collectors lack access, as far as the API lets know: it refuses a token that ended and a token without access
//! in the same words.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long a collector whose fresh token was refused causes no further exchange.
const REMEMBERED: Duration = Duration::from_secs(300);

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
    pub(crate) fn succeeded(&self, collector: &'static str) {
        self.results().insert(collector, LastResult::Succeeded);
    }

    /// It failed for a reason that has nothing to do with access, so what is known of that stays.
    pub(crate) fn failed(&self, collector: &'static str) {
        let mut results = self.results();
        if !matches!(results.get(collector), Some(LastResult::Refused(_))) {
            results.insert(collector, LastResult::Failed);
        }
    }

    pub(crate) fn fresh_token_refused(&self, collector: &'static str) {
        self.results().insert(collector, LastResult::Refused(Instant::now()));
    }

    /// Whether a refusal means that the collector lacks access, so that another token would not help. While no other
    /// collector succeeds it may as well mean that the token ended.
    pub(crate) fn is_missing(&self, collector: &'static str) -> bool {
        let results = self.results();
        matches!(results.get(collector), Some(LastResult::Refused(at)) if at.elapsed() < REMEMBERED)
            && results.values().any(|result| matches!(result, LastResult::Succeeded))
    }

    fn results(&self) -> MutexGuard<'_, HashMap<&'static str, LastResult>> {
        // Single map operations; a poisoned map is a whole one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_refused_fresh_token_is_remembered_for_some_minutes() {
        let access = Access::default();
        access.succeeded("workerpools");
        assert!(!access.is_missing("usage"));
        access.fresh_token_refused("usage");
        assert!(access.is_missing("usage"));
        assert!(!access.is_missing("workerpools"));
        access.failed("usage");
        assert!(access.is_missing("usage"), "a timeout in between says nothing of access");
        tokio::time::advance(Duration::from_secs(299)).await;
        assert!(access.is_missing("usage"));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!access.is_missing("usage"), "asked again with a fresh token after five minutes");
    }

    #[tokio::test(start_paused = true)]
    async fn while_nothing_succeeds_the_token_may_have_ended() {
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
        assert!(!access.is_missing("usage"), "access was given");
    }
}
