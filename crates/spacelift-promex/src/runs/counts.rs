//! Counters and histograms by labels, as computed from deliveries.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};

use super::names::OTHER;

/// A counter family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counter {
    /// Runs that ended.
    Runs,
    /// Seconds of runs that ended, by stack.
    StackSeconds,
    /// Resources that runs changed.
    ResourceChanges,
    /// Evaluations of policies.
    PolicyEvaluations,
    /// Internal errors of Spacelift.
    InternalErrors,
    /// Deliveries by result.
    Deliveries,
    /// Deliveries of stacks beyond `runs.max_stacks`.
    StackLimitExceeded,
}

/// A histogram family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Distribution {
    /// Time from a run's creation to its end.
    RunDuration,
    /// Time in one state.
    RunPhase,
    /// Time from a state change to the receipt of its delivery.
    DeliveryDelay,
}

/// The name, help and labels of a family. The durable state stores series by these names.
#[derive(Debug)]
pub struct FamilyInfo {
    /// Without the `_total` of counters.
    pub name: &'static str,
    /// The help text, one sentence.
    pub help: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
}

/// Bucket bounds of the run duration in seconds: ten seconds to four hours.
const DURATION_BOUNDS: &[f64] =
    &[10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_200.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0];
/// Bucket bounds of the time in a state, in seconds. Some states take a second; a confirmation by a person may take a day.
const PHASE_BOUNDS: &[f64] =
    &[1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_200.0, 1_800.0, 3_600.0, 14_400.0, 86_400.0];
/// Bucket bounds of the delivery delay, in seconds.
const DELAY_BOUNDS: &[f64] = &[0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3_600.0];

impl Counter {
    /// Every family.
    pub const ALL: [Self; 7] = [
        Self::Runs,
        Self::StackSeconds,
        Self::ResourceChanges,
        Self::PolicyEvaluations,
        Self::InternalErrors,
        Self::Deliveries,
        Self::StackLimitExceeded,
    ];

    /// Returns the name, help and labels.
    #[must_use]
    pub fn info(self) -> FamilyInfo {
        let (name, help, labels): (_, _, &[_]) = match self {
            Self::Runs => (
                "spacelift_runs",
                "Ended runs by final state; `lost` are runs without deliveries for longer than --runs.max-age",
                &["space", "stack", "run_type", "final_state", "drift_detection", "worker_pool"],
            ),
            Self::StackSeconds => (
                "spacelift_stack_run_seconds",
                "Total time from creation to end of a stack's ended runs, in seconds",
                &["stack", "run_type"],
            ),
            Self::ResourceChanges => (
                "spacelift_run_resource_changes",
                "Resources that finished runs changed, or, for runs that only plan, would change",
                &["space", "stack", "run_type", "change_type"],
            ),
            Self::PolicyEvaluations => (
                "spacelift_run_policy_evaluations",
                "Policy evaluations of ended runs; only from the policy payload",
                &["space", "policy_type", "policy_outcome"],
            ),
            Self::InternalErrors => {
                ("spacelift_internal_errors", "Internal errors that Spacelift reported", &["severity"])
            }
            Self::Deliveries => ("spacelift_webhook_deliveries", "Webhook deliveries by result", &["result"]),
            Self::StackLimitExceeded => (
                "spacelift_runs_stack_limit_exceeded",
                "Deliveries whose stack is counted as `_other` because there are more than --runs.max-stacks stacks",
                &[],
            ),
        };
        FamilyInfo { name, help, labels }
    }

    /// Returns the index of the label `stack`.
    fn stack_label_index(self) -> Option<usize> {
        self.info().labels.iter().position(|label| *label == "stack")
    }
}

impl Distribution {
    /// Every family.
    pub const ALL: [Self; 3] = [Self::RunDuration, Self::RunPhase, Self::DeliveryDelay];

    /// Returns the name, help and labels.
    #[must_use]
    pub fn info(self) -> FamilyInfo {
        let (name, help, labels): (_, _, &[_]) = match self {
            Self::RunDuration => (
                "spacelift_run_duration_seconds",
                "Time from creation to end of ended runs",
                &["space", "run_type", "final_state"],
            ),
            Self::RunPhase => (
                "spacelift_run_phase_seconds",
                "Time that ended runs spent in each state",
                &["phase", "run_type", "worker_pool"],
            ),
            Self::DeliveryDelay => (
                "spacelift_webhook_delivery_delay_seconds",
                "Time from a run's state change to the receipt of its delivery",
                &[],
            ),
        };
        FamilyInfo { name, help, labels }
    }

    /// Returns the upper bounds of the buckets in seconds, without `+Inf`.
    #[must_use]
    pub fn bounds(self) -> &'static [f64] {
        match self {
            Self::RunDuration => DURATION_BOUNDS,
            Self::RunPhase => PHASE_BOUNDS,
            Self::DeliveryDelay => DELAY_BOUNDS,
        }
    }
}

/// Label values, in the order of `FamilyInfo::labels`.
pub type Labels = Box<[Box<str>]>;

pub(super) fn labels<const N: usize>(values: [&str; N]) -> Labels {
    values.map(Box::from).into()
}

/// The observations of one histogram series.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// Sum of the observations.
    pub sum: f64,
    /// Number of observations by bucket, not cumulative. The last bucket is `+Inf`.
    pub buckets: Vec<u64>,
}

impl Histogram {
    /// Adds the observations of a histogram with the same bounds.
    pub(super) fn add(&mut self, other: &Self) {
        self.sum += other.sum;
        self.buckets.resize(self.buckets.len().max(other.buckets.len()), 0);
        for (count, more) in self.buckets.iter_mut().zip(&other.buckets) {
            *count += more;
        }
    }

    /// Returns the number of observations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

/// A set of counter and histogram series that can be added to another.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Counts {
    /// Counters by family and label values.
    pub counters: BTreeMap<(Counter, Labels), f64>,
    /// Histograms by family and label values.
    pub histograms: BTreeMap<(Distribution, Labels), Histogram>,
}

impl Counts {
    /// Returns whether there are no series.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counters.is_empty() && self.histograms.is_empty()
    }

    /// Adds to a counter. Adding 0 creates the series, so that Prometheus sees its first increase.
    pub(super) fn increase<const N: usize>(&mut self, counter: Counter, values: [&str; N], by: f64) {
        debug_assert_eq!(counter.info().labels.len(), N);
        *self.counters.entry((counter, labels(values))).or_default() += by;
    }

    /// Adds an observation, in seconds.
    pub(super) fn observe<const N: usize>(
        &mut self,
        distribution: Distribution,
        values: [&str; N],
        seconds: f64,
    ) {
        debug_assert_eq!(distribution.info().labels.len(), N);
        let bounds = distribution.bounds();
        let histogram = self.histograms.entry((distribution, labels(values))).or_default();
        histogram.buckets.resize(bounds.len() + 1, 0);
        histogram.sum += seconds;
        histogram.buckets[bounds.partition_point(|bound| *bound < seconds)] += 1;
    }

    /// Adds the counts of `other`.
    pub fn add(&mut self, other: &Self) {
        for (series, by) in &other.counters {
            *self.counters.entry(series.clone()).or_default() += by;
        }
        for (series, histogram) in &other.histograms {
            self.histograms.entry(series.clone()).or_default().add(histogram);
        }
    }

    /// Removes the counters of stacks.
    pub fn remove_stacks(&mut self, stacks: &[Box<str>]) {
        if !stacks.is_empty() {
            let stacks: HashSet<&str> = stacks.iter().map(|stack| &**stack).collect();
            self.counters.retain(|(counter, labels), _| !belongs_to_stacks(*counter, labels, &stacks));
        }
    }
}

/// Returns whether the series of a counter belongs to one of the stacks.
pub(super) fn belongs_to_stacks(counter: Counter, labels: &[Box<str>], stacks: &HashSet<&str>) -> bool {
    let stack = counter.stack_label_index().map(|index| &*labels[index]);
    stack.is_some_and(|stack| stack != OTHER && stacks.contains(stack))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_observation_counts_in_the_first_bucket_with_a_sufficient_bound() {
        let mut counts = Counts::default();
        for seconds in [0.0, 10.0, 10.1, 14_400.0, 14_401.0] {
            counts.observe(Distribution::RunDuration, ["", "TRACKED", "FINISHED"], seconds);
        }
        let histogram = counts.histograms.values().next().unwrap();
        assert_eq!(histogram.buckets, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!((histogram.count(), histogram.sum), (5, 28_821.1));
    }

    #[test]
    fn adds_counts_and_removes_stacks() {
        let mut counts = Counts::default();
        let mut more = Counts::default();
        for stack in ["network", "cluster"] {
            more.increase(Counter::StackSeconds, [stack, "TRACKED"], 1.5);
            more.observe(Distribution::DeliveryDelay, [], 0.2);
        }
        counts.add(&more);
        counts.add(&more);
        assert_eq!(counts.counters[&(Counter::StackSeconds, labels(["network", "TRACKED"]))], 3.0);
        assert_eq!(counts.histograms[&(Distribution::DeliveryDelay, labels([]))].count(), 4);
        counts.remove_stacks(&["network".into()]);
        assert_eq!(counts.counters.len(), 1);
    }

    #[test]
    fn bucket_bounds_are_ascending() {
        for distribution in Distribution::ALL {
            assert!(distribution.bounds().is_sorted_by(|a, b| a < b), "{distribution:?}");
        }
    }
}
