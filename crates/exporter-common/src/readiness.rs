//! Readiness: a set of conditions, one for each part of an exporter that has to work.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use crate::metrics::gauges;

/// The readiness of a process, shown by `/ready` and, as a collector, by `exporter_condition`. Each part has a
/// [`Condition`]; the process is ready when all required conditions hold.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<Mutex<Conditions>>);

#[derive(Debug, Default)]
struct Conditions {
    shutting_down: bool,
    conditions: Vec<ConditionState>,
}

/// The state of a condition at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionState {
    /// The name.
    pub name: &'static str,
    /// Whether the process is ready without it.
    pub is_optional: bool,
    /// Why the condition does not hold; `None` if it holds.
    pub missing: Option<String>,
}

/// A handle with which one part sets its condition.
#[derive(Debug, Clone)]
pub struct Condition {
    readiness: Readiness,
    index: usize,
}

impl Readiness {
    /// Adds a required condition that does not hold yet, with the reason. Its name is the label `condition` of
    /// `exporter_condition`: short, in snake case, and always the same.
    pub fn condition(&self, name: &'static str, reason: impl Into<String>) -> Condition {
        self.add(ConditionState { name, is_optional: false, missing: Some(reason.into()) })
    }

    /// Adds an optional condition, which holds at first. If it does not hold, `/ready` shows the reason and stays 200.
    pub fn optional_condition(&self, name: &'static str) -> Condition {
        self.add(ConditionState { name, is_optional: true, missing: None })
    }

    fn add(&self, condition: ConditionState) -> Condition {
        let mut all = self.lock();
        all.conditions.push(condition);
        Condition { readiness: self.clone(), index: all.conditions.len() - 1 }
    }

    /// Makes the process not ready from now on, regardless of its conditions.
    pub fn shut_down(&self) {
        self.lock().shutting_down = true;
    }

    /// Returns why the process is not ready, as one line; `None` if it is ready.
    pub fn missing(&self) -> Option<String> {
        let all = self.lock();
        if all.shutting_down {
            return Some("shutting down".to_owned());
        }
        all.reasons(false)
    }

    /// Returns why optional conditions do not hold, as one line; `None` if all of them hold.
    pub fn impaired(&self) -> Option<String> {
        self.lock().reasons(true)
    }

    /// Returns all conditions in the order in which they were added.
    pub fn conditions(&self) -> Vec<ConditionState> {
        self.lock().conditions.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Conditions> {
        // An update is one assignment, so the conditions are consistent even after a panic.
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
    /// Records that the condition holds.
    pub fn ready(&self) {
        self.set(None);
    }

    /// Records that the condition does not hold, with the reason.
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
            "Whether a readiness condition is met (1) or not (0); /ready shows the reason",
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
    fn is_ready_when_all_required_conditions_hold() {
        let readiness = Readiness::default();
        let first = readiness.condition("session", "no session");
        let second = readiness.condition("inventory", "no listing");
        assert_eq!(readiness.missing().as_deref(), Some("no session; no listing"));
        first.ready();
        assert_eq!(readiness.missing().as_deref(), Some("no listing"));
        second.ready();
        assert_eq!(readiness.missing(), None);
        first.missing("session lost:\nbad gateway");
        assert_eq!(readiness.missing().as_deref(), Some("session lost: bad gateway"));
    }

    #[test]
    fn is_ready_without_optional_conditions() {
        let readiness = Readiness::default();
        let optional = readiness.optional_condition("lookups");
        assert_eq!((readiness.missing(), readiness.impaired()), (None, None));
        optional.missing("HTTP 429");
        assert_eq!((readiness.missing(), readiness.impaired().as_deref()), (None, Some("HTTP 429")));
    }

    #[test]
    fn is_not_ready_after_shutdown() {
        let readiness = Readiness::default();
        readiness.condition("x", "x").ready();
        readiness.shut_down();
        assert_eq!(readiness.missing().as_deref(), Some("shutting down"));
    }
}
