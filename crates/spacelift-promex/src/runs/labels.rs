//! The labels of a run, and the counters with these labels.

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
    /// Creates the series of the usual final states, so that Prometheus sees their first increase.
    pub(super) fn create_series(&self, counts: &mut Counts) {
        for final_state in [FINISHED, FAILED] {
            self.add_runs(final_state, 0.0, counts);
        }
    }

    /// Counts the end of the run.
    pub(super) fn count_end(&self, final_state: &str, counts: &mut Counts) {
        self.add_runs(final_state, 1.0, counts);
    }

    fn add_runs(&self, final_state: &str, by: f64, counts: &mut Counts) {
        let Self { space, stack, run_type, drift_detection, worker_pool } = self;
        let drift_detection = if *drift_detection { "true" } else { "false" };
        counts.increase(
            Counter::Runs,
            [space, stack, run_type, final_state, drift_detection, worker_pool],
            by,
        );
    }

    /// Counts the resources that the run changed.
    pub(super) fn count_changes(&self, changes: &ResourceChanges, counts: &mut Counts) {
        let ResourceChanges { added, changed, deleted, replaced } = *changes;
        for (change_type, count) in [("added", added), ("changed", changed), ("deleted", deleted)] {
            self.count_changes_of_type(change_type, count, counts);
        }
        if let Some(replaced) = replaced {
            self.count_changes_of_type("replaced", replaced, counts);
        }
    }

    /// Counts the changed resources of one `change_type`.
    pub(super) fn count_changes_of_type(&self, change_type: &str, count: u64, counts: &mut Counts) {
        let labels = [&*self.space, &self.stack, &self.run_type, change_type];
        counts.increase(Counter::ResourceChanges, labels, count as f64);
    }
}

/// Returns the label of a worker pool.
pub(super) fn pool_label(pool: &WorkerPool) -> &str {
    match pool {
        WorkerPool::Public => PUBLIC,
        WorkerPool::Private(name) => name,
    }
}
