//! Bounds on label values that Spacelift chooses.

use std::collections::BTreeSet;

/// What stands for every value beyond a bound.
pub(crate) const OTHER: &str = "_other";

/// The values of a label, of which only the first ones are shown as they are.
#[derive(Debug)]
pub(super) struct BoundedNames {
    known: BTreeSet<Box<str>>,
    max: usize,
}

impl BoundedNames {
    pub(super) fn new(max: usize) -> Self {
        Self { known: BTreeSet::new(), max }
    }

    /// The value to show for `name`.
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

/// The bounds of all labels but the stack, which has an option.
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
    /// Several times what Spacelift has today; of pools and spaces what a large account has.
    fn default() -> Self {
        Self {
            states: BoundedNames::new(64),
            run_types: BoundedNames::new(32),
            worker_pools: BoundedNames::new(500),
            spaces: BoundedNames::new(1_000),
            policy_types: BoundedNames::new(32),
            policy_outcomes: BoundedNames::new(32),
            severities: BoundedNames::new(16),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_names_are_shown_and_the_others_are_one() {
        let mut names = BoundedNames::new(2);
        let shown = ["a", "b", "c", "a", "d"].map(|name| names.bounded(name));
        assert_eq!(shown, ["a", "b", OTHER, "a", OTHER]);
    }
}
