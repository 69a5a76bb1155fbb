//! The active runs: those that have not ended. Their number is bounded.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::run::Run;
use super::update::Timestamp;

/// Maximum number of active runs. Beyond it, the run with the oldest last delivery is counted as lost.
pub(super) const MAX_ACTIVE: usize = 50_000;

/// The active runs by id.
#[derive(Debug, Default)]
pub(super) struct ActiveRuns {
    runs: HashMap<Arc<str>, Run>,
    /// The ids ordered by the time of the run's last delivery.
    by_last_delivery: BTreeSet<(Timestamp, Arc<str>)>,
    /// The ids of the runs that changed since the last call of `take_changes`.
    changed: BTreeSet<Arc<str>>,
}

impl ActiveRuns {
    /// Restores runs from the durable state.
    pub(super) fn restore(runs: Vec<(Box<str>, Run)>) -> Self {
        let mut active = Self::default();
        for (id, run) in runs {
            let id: Arc<str> = id.into();
            active.by_last_delivery.insert((run.last_delivery, id.clone()));
            active.runs.insert(id, run);
        }
        active
    }

    /// Removes and returns a run, which the caller changes and puts back.
    pub(super) fn take(&mut self, id: &str) -> Option<Run> {
        let (id, run) = self.runs.remove_entry(id)?;
        self.by_last_delivery.remove(&(run.last_delivery, id.clone()));
        self.changed.insert(id);
        Some(run)
    }

    /// Inserts a run.
    pub(super) fn put(&mut self, id: &str, run: Run) {
        let id: Arc<str> = id.into();
        self.by_last_delivery.insert((run.last_delivery, id.clone()));
        self.changed.insert(id.clone());
        self.runs.insert(id, run);
    }

    /// Removes and returns the run with the oldest last delivery, if that was before `oldest_allowed` or if there are more
    /// than [`MAX_ACTIVE`] runs.
    pub(super) fn take_lost(&mut self, oldest_allowed: Timestamp) -> Option<(Arc<str>, Run)> {
        let (oldest, id) = self.by_last_delivery.first()?;
        if *oldest >= oldest_allowed && self.runs.len() <= MAX_ACTIVE {
            return None;
        }
        let id = id.clone();
        let run = self.take(&id)?;
        Some((id, run))
    }

    /// Returns all active runs, in any order.
    pub(super) fn runs(&self) -> impl Iterator<Item = &Run> {
        self.runs.values()
    }

    /// Returns the runs that changed since the last call; `None` for a run that has ended.
    pub(super) fn take_changes(&mut self) -> Vec<(Arc<str>, Option<Run>)> {
        let changed = std::mem::take(&mut self.changed);
        changed.into_iter().map(|id| (self.runs.get(&id).cloned(), id)).map(|(run, id)| (id, run)).collect()
    }
}
