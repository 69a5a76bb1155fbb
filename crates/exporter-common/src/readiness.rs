//! Readiness: a latch that each part of an exporter releases once it can do its job.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What `/ready` reports. Parts take a [`Condition`] each; the whole is ready when all of them are.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    shutting_down: bool,
    /// What each condition lacks; `None` once it holds.
    missing: Vec<Option<String>>,
}

/// One part's say in the readiness of the whole.
#[derive(Debug, Clone)]
pub struct Condition {
    readiness: Readiness,
    index: usize,
}

impl Readiness {
    /// Adds a condition that does not hold yet, for the reason given.
    pub fn condition(&self, reason: impl Into<String>) -> Condition {
        let mut state = self.state();
        state.missing.push(Some(reason.into()));
        Condition { readiness: self.clone(), index: state.missing.len() - 1 }
    }

    /// From now on the process is not ready, whatever its parts say.
    pub fn shut_down(&self) {
        self.state().shutting_down = true;
    }

    /// What is missing, as one line; `None` when everything is there.
    pub fn missing(&self) -> Option<String> {
        let state = self.state();
        if state.shutting_down {
            return Some("shutting down".to_owned());
        }
        let reasons: Vec<&str> = state.missing.iter().flatten().map(String::as_str).collect();
        (!reasons.is_empty()).then(|| reasons.join("; ").replace(['\r', '\n'], " "))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is a few assignments wide and stays whole even if a holder panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Condition {
    /// The condition holds.
    pub fn ready(&self) {
        self.set(None);
    }

    /// The condition does not hold (any more), for the reason given.
    pub fn missing(&self, reason: impl Into<String>) {
        self.set(Some(reason.into()));
    }

    fn set(&self, reason: Option<String>) {
        if let Some(slot) = self.readiness.state().missing.get_mut(self.index) {
            *slot = reason;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_ready_once_every_part_is() {
        let readiness = Readiness::default();
        let first = readiness.condition("no session");
        let second = readiness.condition("not seeded");
        assert_eq!(readiness.missing().as_deref(), Some("no session; not seeded"));
        first.ready();
        assert_eq!(readiness.missing().as_deref(), Some("not seeded"));
        second.ready();
        assert_eq!(readiness.missing(), None);
        first.missing("session lost:\nbad gateway");
        assert_eq!(readiness.missing().as_deref(), Some("session lost: bad gateway"));
    }

    #[test]
    fn shutdown_wins() {
        let readiness = Readiness::default();
        readiness.condition("x").ready();
        readiness.shut_down();
        assert_eq!(readiness.missing().as_deref(), Some("shutting down"));
    }
}
