//! The runs that have not ended, with a bound on their number.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::run::Run;
use super::update::Timestamp;

/// Runs that are kept. Of one more, that of which nothing was heard for longest is taken for lost.
pub(super) const MAX_ACTIVE: usize = 50_000;

/// The runs that have not ended, by id.
#[derive(Debug, Default)]
pub(super) struct ActiveRuns {
    runs: HashMap<Arc<str>, Run>,
    /// The same, by when they were heard of.
    by_heard: BTreeSet<(Timestamp, Arc<str>)>,
    /// Those that are not as they were written down last.
    changed: BTreeSet<Arc<str>>,
}

impl ActiveRuns {
    pub(super) fn restore(runs: Vec<(Box<str>, Run)>) -> Self {
        let mut active = Self::default();
        for (id, run) in runs {
            let id: Arc<str> = id.into();
            active.by_heard.insert((run.heard, id.clone()));
            active.runs.insert(id, run);
        }
        active
    }

    /// Takes a run out to change it.
    pub(super) fn take(&mut self, id: &str) -> Option<Run> {
        let (id, run) = self.runs.remove_entry(id)?;
        self.by_heard.remove(&(run.heard, id.clone()));
        self.changed.insert(id);
        Some(run)
    }

    /// Puts a run in.
    pub(super) fn put(&mut self, id: &str, run: Run) {
        let id: Arc<str> = id.into();
        self.by_heard.insert((run.heard, id.clone()));
        self.changed.insert(id.clone());
        self.runs.insert(id, run);
    }

    /// Takes out a run of which nothing was heard since before `heard`, or one that is one too many.
    pub(super) fn take_lost(&mut self, heard: Timestamp) -> Option<(Arc<str>, Run)> {
        let (oldest, id) = self.by_heard.first()?;
        if *oldest >= heard && self.runs.len() <= MAX_ACTIVE {
            return None;
        }
        let id = id.clone();
        let run = self.take(&id)?;
        Some((id, run))
    }

    pub(super) fn runs(&self) -> impl Iterator<Item = &Run> {
        self.runs.values()
    }

    /// Those that have changed since the last time that this was asked; `None` where one has ended.
    pub(super) fn take_changes(&mut self) -> Vec<(Arc<str>, Option<Run>)> {
        let changed = std::mem::take(&mut self.changed);
        changed.into_iter().map(|id| (self.runs.get(&id).cloned(), id)).map(|(run, id)| (id, run)).collect()
    }
}
