//! What deliveries add up to: counters and histograms by their labels.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};

use super::names::OTHER;

/// A family of counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counter {
    /// Runs that ended.
    Runs,
    /// Seconds of runs that ended, by stack.
    StackSeconds,
    /// Resources that runs changed.
    ResourceChanges,
    /// What policies said.
    PolicyEvaluations,
    /// Failures inside Spacelift.
    InternalErrors,
    /// Deliveries by what became of them.
    Deliveries,
    /// Deliveries whose stack is one too many.
    StackLimitExceeded,
}

/// A family of histograms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Distribution {
    /// Created to ended.
    RunDuration,
    /// In one state.
    RunPhase,
    /// From a run's new state to its delivery.
    DeliveryDelay,
}

/// The name of a family in an exposition and in the durable state, its help and its labels.
#[derive(Debug)]
pub struct FamilyInfo {
    /// Without the `_total` of counters.
    pub name: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
}

/// Upper bounds in seconds of the time of a run: ten seconds to four hours.
const DURATION_BOUNDS: &[f64] =
    &[10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_200.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0];
/// Of the time in a state: some take a second, and somebody who has to confirm may take a day.
const PHASE_BOUNDS: &[f64] =
    &[1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_200.0, 1_800.0, 3_600.0, 14_400.0, 86_400.0];
/// Of the way of a delivery.
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

    /// Its name, help and labels.
    #[must_use]
    pub fn info(self) -> FamilyInfo {
        let (name, help, labels): (_, _, &[_]) = match self {
            Self::Runs => (
                "spacelift_runs",
                "Runs that ended, by how; `lost` is one of which nothing was heard for too long",
                &["space", "stack", "run_type", "final_state", "drift_detection", "worker_pool"],
            ),
            Self::StackSeconds => (
                "spacelift_stack_run_seconds",
                "Time from creation to end of the runs of a stack that ended, in seconds",
                &["stack", "run_type"],
            ),
            Self::ResourceChanges => (
                "spacelift_run_resource_changes",
                "Resources that runs that finished have changed, or would change where they only plan",
                &["space", "stack", "run_type", "change_type"],
            ),
            Self::PolicyEvaluations => (
                "spacelift_run_policy_evaluations",
                "Evaluations of policies in runs that ended; only the policy payload has them",
                &["space", "policy_type", "policy_outcome"],
            ),
            Self::InternalErrors => {
                ("spacelift_internal_errors", "Internal errors that Spacelift has notified of", &["severity"])
            }
            Self::Deliveries => (
                "spacelift_webhook_deliveries",
                "Deliveries of webhooks, by what became of them",
                &["result"],
            ),
            Self::StackLimitExceeded => (
                "spacelift_runs_stack_limit_exceeded",
                "Deliveries of runs whose stack is counted as `_other`, for there are more than --runs.max-stacks",
                &[],
            ),
        };
        FamilyInfo { name, help, labels }
    }

    /// Where the stack stands among the labels.
    fn stack_label(self) -> Option<usize> {
        self.info().labels.iter().position(|label| *label == "stack")
    }
}

impl Distribution {
    /// Every family.
    pub const ALL: [Self; 3] = [Self::RunDuration, Self::RunPhase, Self::DeliveryDelay];

    /// Its name, help and labels.
    #[must_use]
    pub fn info(self) -> FamilyInfo {
        let (name, help, labels): (_, _, &[_]) = match self {
            Self::RunDuration => (
                "spacelift_run_duration_seconds",
                "Time from creation to end of runs that ended",
                &["space", "run_type", "final_state"],
            ),
            Self::RunPhase => (
                "spacelift_run_phase_seconds",
                "Time that runs that ended have spent in each state",
                &["phase", "run_type", "worker_pool"],
            ),
            Self::DeliveryDelay => (
                "spacelift_webhook_delivery_delay_seconds",
                "Time from a run's new state, by its timestamp, to its delivery",
                &[],
            ),
        };
        FamilyInfo { name, help, labels }
    }

    /// Upper bounds of its buckets in seconds, without the last one.
    #[must_use]
    pub fn bounds(self) -> &'static [f64] {
        match self {
            Self::RunDuration => DURATION_BOUNDS,
            Self::RunPhase => PHASE_BOUNDS,
            Self::DeliveryDelay => DELAY_BOUNDS,
        }
    }
}

/// Values of labels, in the order of the family.
pub type Labels = Box<[Box<str>]>;

pub(super) fn labels<const N: usize>(values: [&str; N]) -> Labels {
    values.map(Box::from).into()
}

/// Observations of one series.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// Their sum.
    pub sum: f64,
    /// Their number by bucket, not cumulative; what is beyond all bounds comes last.
    pub buckets: Vec<u64>,
}

impl Histogram {
    /// Adds what another has, which has the same bounds.
    pub(super) fn add(&mut self, other: &Self) {
        self.sum += other.sum;
        self.buckets.resize(self.buckets.len().max(other.buckets.len()), 0);
        for (count, more) in self.buckets.iter_mut().zip(&other.buckets) {
            *count += more;
        }
    }

    /// The number of observations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

/// Counts that can be added up.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Counts {
    /// Counters by family and labels.
    pub counters: BTreeMap<(Counter, Labels), f64>,
    /// Histograms likewise.
    pub histograms: BTreeMap<(Distribution, Labels), Histogram>,
}

impl Counts {
    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counters.is_empty() && self.histograms.is_empty()
    }

    /// Adds to a counter. Adding 0 makes its series, so that an increase is seen later.
    pub(super) fn increase<const N: usize>(&mut self, counter: Counter, values: [&str; N], by: f64) {
        debug_assert_eq!(counter.info().labels.len(), N);
        *self.counters.entry((counter, labels(values))).or_default() += by;
    }

    /// Adds an observation in seconds.
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

    /// Adds what others have.
    pub fn add(&mut self, other: &Self) {
        for (series, by) in &other.counters {
            *self.counters.entry(series.clone()).or_default() += by;
        }
        for (series, histogram) in &other.histograms {
            self.histograms.entry(series.clone()).or_default().add(histogram);
        }
    }

    /// Forgets the series of stacks.
    pub fn forget_stacks(&mut self, stacks: &[Box<str>]) {
        if !stacks.is_empty() {
            let stacks: HashSet<&str> = stacks.iter().map(|stack| &**stack).collect();
            self.counters.retain(|(counter, labels), _| !is_of_stacks(*counter, labels, &stacks));
        }
    }
}

/// Whether a series is one of these stacks.
pub(super) fn is_of_stacks(counter: Counter, labels: &[Box<str>], stacks: &HashSet<&str>) -> bool {
    let stack = counter.stack_label().map(|index| &*labels[index]);
    stack.is_some_and(|stack| stack != OTHER && stacks.contains(stack))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_observation_is_in_the_first_bucket_that_holds_it() {
        let mut counts = Counts::default();
        for seconds in [0.0, 10.0, 10.1, 14_400.0, 14_401.0] {
            counts.observe(Distribution::RunDuration, ["", "TRACKED", "FINISHED"], seconds);
        }
        let histogram = counts.histograms.values().next().unwrap();
        assert_eq!(histogram.buckets, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!((histogram.count(), histogram.sum), (5, 28_821.1));
    }

    #[test]
    fn counts_add_up_and_a_stack_is_forgotten() {
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
        counts.forget_stacks(&["network".into()]);
        assert_eq!(counts.counters.len(), 1);
    }

    #[test]
    fn bounds_ascend() {
        for distribution in Distribution::ALL {
            assert!(distribution.bounds().is_sorted_by(|a, b| a < b), "{distribution:?}");
        }
    }
}
