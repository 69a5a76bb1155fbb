//! The labels of a run, and the counters that have them.

use super::counts::{Counter, Counts};
use super::update::{FAILED, FINISHED, PUBLIC, ResourceChanges, WorkerPool};

/// The labels of a run.
#[derive(Debug)]
pub(super) struct RunLabels {
    pub(super) space: String,
    pub(super) stack: String,
    pub(super) run_type: String,
    pub(super) drift_detection: bool,
    pub(super) worker_pool: String,
}

impl RunLabels {
    /// Makes the series of the usual ends, so that the first increase of each is seen.
    pub(super) fn touch(&self, counts: &mut Counts) {
        for final_state in [FINISHED, FAILED] {
            self.count(final_state, 0.0, counts);
        }
    }

    pub(super) fn ended(&self, final_state: &str, counts: &mut Counts) {
        self.count(final_state, 1.0, counts);
    }

    fn count(&self, final_state: &str, by: f64, counts: &mut Counts) {
        let Self { space, stack, run_type, drift_detection, worker_pool } = self;
        let drift_detection = if *drift_detection { "true" } else { "false" };
        counts.increase(
            Counter::Runs,
            [space, stack, run_type, final_state, drift_detection, worker_pool],
            by,
        );
    }

    pub(super) fn changed(&self, changes: &ResourceChanges, counts: &mut Counts) {
        let ResourceChanges { added, changed, deleted, replaced } = *changes;
        for (change_type, count) in [("added", added), ("changed", changed), ("deleted", deleted)] {
            self.changed_by(change_type, count, counts);
        }
        if let Some(replaced) = replaced {
            self.changed_by("replaced", replaced, counts);
        }
    }

    pub(super) fn changed_by(&self, change_type: &str, count: u64, counts: &mut Counts) {
        let labels = [&*self.space, &self.stack, &self.run_type, change_type];
        counts.increase(Counter::ResourceChanges, labels, count as f64);
    }
}

pub(super) fn pool_label(pool: &WorkerPool) -> &str {
    match pool {
        WorkerPool::Public => PUBLIC,
        WorkerPool::Private(name) => name,
    }
}
