//! Bounds on the number of values of each label.

use std::collections::BTreeSet;

use super::counts::Counts;
use super::update::{PUBLIC, RUN_TYPES, STATES};

/// Replaces all label values beyond the bound.
pub(crate) const OTHER: &str = "_other";

const SEVERITIES: [&str; 3] = ["INFO", "WARNING", "ERROR"];

/// The values of one label. Values beyond the bound are replaced by [`OTHER`].
#[derive(Debug)]
pub(super) struct BoundedNames {
    known: BTreeSet<Box<str>>,
    max: usize,
}

impl BoundedNames {
    /// Allows the `known` names and `max` others.
    pub(super) fn new(known: &[&str], max: usize) -> Self {
        let known: BTreeSet<Box<str>> = known.iter().map(|name| Box::from(*name)).collect();
        Self { max: known.len() + max, known }
    }

    /// Returns `name`, or [`OTHER`] if the bound is reached and the name is new.
    pub(super) fn bounded<'a>(&mut self, name: &'a str) -> &'a str {
        if self.known.contains(name) {
            return name;
        }
        if self.known.len() >= self.max {
            return OTHER;
        }
        self.known.insert(name.into());
        name
    }
}

/// The bounds of all labels except `stack`, which is bounded by `runs.max_stacks`.
#[derive(Debug)]
pub(super) struct LabelBounds {
    pub(super) states: BoundedNames,
    pub(super) run_types: BoundedNames,
    pub(super) worker_pools: BoundedNames,
    pub(super) spaces: BoundedNames,
    pub(super) policy_types: BoundedNames,
    pub(super) policy_outcomes: BoundedNames,
    pub(super) severities: BoundedNames,
}

impl Default for LabelBounds {
    /// Allows the values that Spacelift has today and about as many new ones. The bounds of pools and spaces fit a large
    /// account.
    fn default() -> Self {
        Self {
            states: BoundedNames::new(&STATES, 64),
            run_types: BoundedNames::new(&RUN_TYPES, 32),
            worker_pools: BoundedNames::new(&[PUBLIC], 500),
            spaces: BoundedNames::new(&[], 1_000),
            policy_types: BoundedNames::new(&[], 32),
            policy_outcomes: BoundedNames::new(&[], 32),
            severities: BoundedNames::new(&SEVERITIES, 16),
        }
    }
}

impl LabelBounds {
    /// Adds the label values of existing counts, such as those of the time before a restart.
    pub(super) fn add_labels_of(&mut self, counts: &Counts) {
        let counters = counts.counters.keys().map(|(counter, labels)| (counter.info(), labels));
        let histograms = counts.histograms.keys().map(|(distribution, labels)| (distribution.info(), labels));
        for (family, labels) in counters.chain(histograms) {
            for (label, value) in family.labels.iter().zip(labels) {
                let names = match *label {
                    "final_state" | "phase" => &mut self.states,
                    "run_type" => &mut self.run_types,
                    "worker_pool" => &mut self.worker_pools,
                    "space" => &mut self.spaces,
                    "policy_type" => &mut self.policy_types,
                    "policy_outcome" => &mut self.policy_outcomes,
                    "severity" => &mut self.severities,
                    _ => continue,
                };
                names.bounded(value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beyond_the_bound_are_replaced() {
        let mut names = BoundedNames::new(&["known"], 2);
        let shown = ["a", "b", "c", "a", "d", "known"].map(|name| names.bounded(name));
        assert_eq!(shown, ["a", "b", OTHER, "a", OTHER, "known"]);
    }
}
