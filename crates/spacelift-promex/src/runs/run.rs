//! An active run and the states that were delivered for it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::update::Timestamp;

/// Maximum number of stored steps. Beyond it, the time in the earliest states is summed up in `spent`.
const MAX_STEPS: usize = 64;

/// An active run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The label of its stack.
    pub(super) stack: Box<str>,
    pub(super) space: Option<Box<str>>,
    pub(super) run_type: Option<Box<str>>,
    pub(super) worker_pool: Option<Box<str>>,
    pub(super) drift_detection: Option<bool>,
    pub(super) created: Option<Timestamp>,
    /// The time of the last delivery.
    #[serde(rename = "heard")]
    pub(super) last_delivery: Timestamp,
    /// The states, in the order in which the run entered them.
    steps: Vec<Step>,
    /// Microseconds by state, before the first step.
    spent: BTreeMap<Box<str>, u64>,
}

/// A state that a delivery reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Step {
    /// The state version; `None` in the policy payload.
    version: Option<u64>,
    state: Box<str>,
    at: Timestamp,
}

impl Run {
    /// A run of which nothing is known yet.
    pub(super) fn new(stack: &str, last_delivery: Timestamp) -> Self {
        Self {
            stack: stack.into(),
            space: None,
            run_type: None,
            worker_pool: None,
            drift_detection: None,
            created: None,
            last_delivery,
            steps: Vec::new(),
            spent: BTreeMap::new(),
        }
    }

    /// Adds a state. Returns false if the same delivery was added before.
    pub(super) fn enter(&mut self, version: Option<u64>, state: &str, at: Timestamp) -> bool {
        let is_duplicate = |step: &Step| {
            &*step.state == state && step.version == version && (version.is_some() || step.at == at)
        };
        if self.steps.iter().any(is_duplicate) {
            return false;
        }
        let step = Step { version, state: state.into(), at };
        let index = self.position(&step);
        self.steps.insert(index, step);
        if self.steps.len() > MAX_STEPS {
            self.sum_up_first();
        }
        true
    }

    /// Returns the index at which to insert a step. Steps with a version are ordered by it, the others by their time.
    fn position(&self, step: &Step) -> usize {
        let is_before = |other: &Step| match (other.version, step.version) {
            (Some(other), Some(own)) => other < own,
            _ => other.at <= step.at,
        };
        match step.version {
            // After the last step with a lower version, and among the unversioned steps that follow it by time.
            Some(_) => {
                let versioned = |other: &&Step| other.version.is_some();
                let last = self.steps.iter().rposition(|other| versioned(&other) && is_before(other));
                let next = self.steps.iter().position(|other| versioned(&other) && !is_before(other));
                let range = last.map_or(0, |last| last + 1)..next.unwrap_or(self.steps.len());
                range.start + self.steps[range].iter().take_while(|other| is_before(other)).count()
            }
            None => self.steps.iter().rposition(is_before).map_or(0, |last| last + 1),
        }
    }

    /// Replaces the first step by the time spent in its state.
    fn sum_up_first(&mut self) {
        let next = self.steps[1].at;
        let first = self.steps.remove(0);
        let spent = self.spent.entry(first.state).or_default();
        *spent = spent.saturating_add(next.0.saturating_sub(first.at.0));
    }

    /// Returns the current state, and since when the run is in it.
    pub(super) fn current(&self) -> Option<(&str, Timestamp)> {
        let last = self.steps.last()?;
        let since = self.steps.iter().rev().take_while(|step| step.state == last.state);
        Some((&last.state, since.map(|step| step.at).min()?))
    }

    /// Returns the seconds in each state until `end`. The time in a state that was never delivered is attributed to the
    /// state before it.
    pub(super) fn phases(&self, end: Timestamp) -> BTreeMap<&str, f64> {
        let mut microseconds: BTreeMap<&str, u64> =
            self.spent.iter().map(|(state, spent)| (&**state, *spent)).collect();
        let ends = self.steps.iter().skip(1).map(|step| step.at).chain([end]);
        for (step, end) in self.steps.iter().zip(ends) {
            let spent = microseconds.entry(&step.state).or_default();
            *spent = spent.saturating_add(end.0.saturating_sub(step.at.0));
        }
        microseconds.into_iter().map(|(state, spent)| (state, Timestamp(spent).seconds())).collect()
    }

    /// Returns the version and state of each stored delivery, which identify it.
    pub(super) fn deliveries(&self) -> impl Iterator<Item = (Option<u64>, &str)> {
        self.steps.iter().map(|step| (step.version, &*step.state))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn at(seconds: u64) -> Timestamp {
        Timestamp(seconds * SECOND)
    }

    fn run(steps: &[(Option<u64>, &str, u64)]) -> Run {
        let mut run = Run::new("stack", at(0));
        for (version, state, seconds) in steps {
            assert!(run.enter(*version, state, at(*seconds)), "{state}");
        }
        run
    }

    #[test]
    fn sums_the_times_in_a_state() {
        let run = run(&[
            (Some(0), "QUEUED", 10),
            (Some(1), "PLANNING", 20),
            (Some(2), "UNCONFIRMED", 50),
            (Some(3), "REPLAN_REQUESTED", 110),
            (Some(4), "PLANNING", 111),
            (Some(5), "UNCONFIRMED", 131),
        ]);
        let expected =
            [("PLANNING", 50.0), ("QUEUED", 10.0), ("REPLAN_REQUESTED", 1.0), ("UNCONFIRMED", 129.0)];
        assert_eq!(run.phases(at(200)), BTreeMap::from(expected));
        assert_eq!(run.current(), Some(("UNCONFIRMED", at(131))));
    }

    #[test]
    fn orders_deliveries_by_version() {
        let steps = [(Some(0), "QUEUED", 10), (Some(1), "READY", 12), (Some(2), "PLANNING", 11)];
        let in_order = run(&steps);
        for order in [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let shuffled = run(&order.map(|index| steps[index]));
            assert_eq!(shuffled.phases(at(20)), in_order.phases(at(20)), "{order:?}");
            assert_eq!(shuffled.current(), Some(("PLANNING", at(11))));
        }
        // A negative time counts as zero.
        assert_eq!(in_order.phases(at(20))["READY"], 0.0);
    }

    #[test]
    fn time_in_an_undelivered_state_counts_for_the_state_before() {
        let run = run(&[(Some(0), "QUEUED", 10), (Some(3), "PLANNING", 40)]);
        assert_eq!(run.phases(at(50)), BTreeMap::from([("PLANNING", 10.0), ("QUEUED", 30.0)]));
    }

    #[test]
    fn ignores_duplicate_deliveries() {
        let mut run = run(&[(Some(0), "QUEUED", 10), (None, "READY", 11)]);
        assert!(!run.enter(Some(0), "QUEUED", at(99)));
        assert!(!run.enter(None, "READY", at(11)));
        assert!(run.enter(None, "READY", at(12)));
        assert_eq!(run.current(), Some(("READY", at(11))));
    }

    #[test]
    fn orders_deliveries_without_version_by_time() {
        let run = run(&[
            (None, "PLANNING", 30),
            (Some(1), "READY", 20),
            (None, "QUEUED", 10),
            (Some(2), "PLANNING", 30),
        ]);
        let expected = [("PLANNING", 10.0), ("QUEUED", 10.0), ("READY", 10.0)];
        assert_eq!(run.phases(at(40)), BTreeMap::from(expected));
    }

    #[test]
    fn bounds_the_steps_of_a_run_and_keeps_the_sums() {
        let mut run = Run::new("stack", at(0));
        for version in 0..1_000 {
            run.enter(Some(version), if version % 2 == 0 { "PLANNING" } else { "UNCONFIRMED" }, at(version));
        }
        assert_eq!(run.steps.len(), MAX_STEPS);
        assert_eq!(run.phases(at(1_000)), BTreeMap::from([("PLANNING", 500.0), ("UNCONFIRMED", 500.0)]));
    }
}
