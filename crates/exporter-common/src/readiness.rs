//! Readiness: a latch that each part of an exporter releases once it can do its job.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use crate::metrics::gauges;

/// What `/ready` reports, and as a collector `exporter_condition`. Parts take a [`Condition`] each; the whole is ready
/// when all of them are.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<Mutex<Conditions>>);

#[derive(Debug, Default)]
struct Conditions {
    shutting_down: bool,
    conditions: Vec<ConditionState>,
}

/// A condition as it is at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionState {
    /// Its name.
    pub name: &'static str,
    /// Whether the process is ready without it.
    pub is_optional: bool,
    /// Why it does not hold; `None` if it does.
    pub missing: Option<String>,
}

/// One part's say in the readiness of the whole.
#[derive(Debug, Clone)]
pub struct Condition {
    readiness: Readiness,
    index: usize,
}

impl Readiness {
    /// Adds a condition that does not hold yet, for the reason given. Its name is the label `condition` of
    /// `exporter_condition`: short, in snake case, and always the same.
    pub fn condition(&self, name: &'static str, reason: impl Into<String>) -> Condition {
        self.add(ConditionState { name, is_optional: false, missing: Some(reason.into()) })
    }

    /// Adds a condition that holds, and without which the process is ready all the same: `/ready` says what is missing
    /// and stays 200.
    pub fn optional_condition(&self, name: &'static str) -> Condition {
        self.add(ConditionState { name, is_optional: true, missing: None })
    }

    fn add(&self, condition: ConditionState) -> Condition {
        let mut all = self.lock();
        all.conditions.push(condition);
        Condition { readiness: self.clone(), index: all.conditions.len() - 1 }
    }

    /// From now on the process is not ready, whatever its parts say.
    pub fn shut_down(&self) {
        self.lock().shutting_down = true;
    }

    /// What is missing, as one line; `None` when everything is there.
    pub fn missing(&self) -> Option<String> {
        let all = self.lock();
        if all.shutting_down {
            return Some("shutting down".to_owned());
        }
        all.reasons(false)
    }

    /// What is missing of the optional conditions, as one line.
    pub fn impaired(&self) -> Option<String> {
        self.lock().reasons(true)
    }

    /// Every condition, in the order in which they were added.
    pub fn conditions(&self) -> Vec<ConditionState> {
        self.lock().conditions.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Conditions> {
        // An update is one assignment, so that it is whole even if a holder panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Conditions {
    fn reasons(&self, optional: bool) -> Option<String> {
        let conditions = self.conditions.iter().filter(|condition| condition.is_optional == optional);
        let reasons: Vec<&str> = conditions.filter_map(|condition| condition.missing.as_deref()).collect();
        (!reasons.is_empty()).then(|| reasons.join("; ").replace(['\r', '\n'], " "))
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
        if let Some(condition) = self.readiness.lock().conditions.get_mut(self.index) {
            condition.missing = reason;
        }
    }
}

impl Collector for Readiness {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let all = self.lock();
        gauges(
            &mut encoder,
            "exporter_condition",
            "Whether a condition of readiness holds (1) or not (0); /ready says what is missing",
            all.conditions
                .iter()
                .map(|condition| ([("condition", condition.name)], condition.missing.is_none().into())),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_ready_once_every_part_is() {
        let readiness = Readiness::default();
        let first = readiness.condition("session", "no session");
        let second = readiness.condition("inventory", "not seeded");
        assert_eq!(readiness.missing().as_deref(), Some("no session; not seeded"));
        first.ready();
        assert_eq!(readiness.missing().as_deref(), Some("not seeded"));
        second.ready();
        assert_eq!(readiness.missing(), None);
        first.missing("session lost:\nbad gateway");
        assert_eq!(readiness.missing().as_deref(), Some("session lost: bad gateway"));
    }

    #[test]
    fn is_ready_without_what_is_optional() {
        let readiness = Readiness::default();
        let optional = readiness.optional_condition("lookups");
        assert_eq!((readiness.missing(), readiness.impaired()), (None, None));
        optional.missing("HTTP 429");
        assert_eq!((readiness.missing(), readiness.impaired().as_deref()), (None, Some("HTTP 429")));
    }

    #[test]
    fn shutdown_wins() {
        let readiness = Readiness::default();
        readiness.condition("x", "x").ready();
        readiness.shut_down();
        assert_eq!(readiness.missing().as_deref(), Some("shutting down"));
    }
}
