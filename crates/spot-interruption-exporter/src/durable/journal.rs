//! With durable state, what the pipeline records is committed before it is counted.
//!
//! What is recorded while a commit runs is gathered for the next one. Messages are acknowledged after their commit. The
//! memory is bounded, because the queues limit the number of unacknowledged messages.

use std::collections::BTreeMap;
use std::mem;

use exporter_common::durable;
use exporter_common::readiness::Condition;
use jiff::Timestamp;
use tokio::time::Instant;

use super::store::{Batch, Store};
use crate::attribution::Decided;
use crate::inventory::Scope;
use crate::ledger::Ledger;
use crate::metrics::OwnMetrics;
use crate::state::{PipelineState, SharedState};

/// A store of this exporter's batches.
pub trait Commit: durable::Commit<Batch = Batch> {}

impl<S: durable::Commit<Batch = Batch>> Commit for S {}

/// What is recorded but not committed yet.
#[derive(Debug)]
pub struct Gathered<T> {
    /// The counts.
    pub ledger: Ledger,
    /// The messages to acknowledge after the commit.
    pub deliveries: Vec<T>,
    /// By scope, the time up to which its operations are processed.
    pub cursors: BTreeMap<Scope, Timestamp>,
}

impl<T> Default for Gathered<T> {
    fn default() -> Self {
        Self { ledger: Ledger::default(), deliveries: Vec::new(), cursors: BTreeMap::new() }
    }
}

impl<T> Gathered<T> {
    /// Returns whether there is something to commit.
    fn has_changes(&self, state: &SharedState<T>) -> bool {
        !self.deliveries.is_empty()
            || !self.cursors.is_empty()
            || state.lock().attribution.inventory().has_changes()
    }

    /// Takes the batch to commit, and what waits for the commit.
    fn take(&mut self, state: &SharedState<T>, now: std::time::Instant) -> Option<(Batch, Pending<T>)> {
        if !self.has_changes(state) {
            return None;
        }
        let Self { ledger, deliveries, cursors } = mem::take(self);
        let PipelineState { attribution, recent, .. } = &mut *state.lock();
        let decided = attribution.decided(now);
        let changes = attribution.take_changes(now);
        let recent = recent.take_changes();
        Some((Batch { ledger, changes, cursors, recent, now }, Pending { deliveries, decided }))
    }
}

/// What waits for the running commit.
#[derive(Debug)]
struct Pending<T> {
    deliveries: Vec<T>,
    decided: Decided,
}

impl<T> Pending<T> {
    /// Counts the committed batch, and returns the messages to acknowledge.
    fn count(self, batch: &Batch, state: &SharedState<T>) -> Vec<T> {
        let mut state = state.lock();
        state.ledger.add(&batch.ledger);
        state.attribution.mark_safe(self.decided, Instant::now().into_std());
        self.deliveries
    }
}

/// Commits what is recorded. `T` identifies a message to acknowledge, `S` is the store.
#[derive(Debug)]
pub struct Journal<T, S: Commit = Store>(durable::Journal<Pending<T>, S>);

impl<T, S: Commit> Journal<T, S> {
    /// Creates a journal for a store. `condition` is ready while commits succeed.
    pub fn new(store: S, condition: Condition, metrics: &OwnMetrics) -> Self {
        Self(durable::Journal::new(store, condition, metrics.state.clone()))
    }

    /// Returns whether no commit is running or waiting for a retry.
    pub(crate) fn is_idle(&self) -> bool {
        self.0.is_idle()
    }

    /// Returns when to call [`start_if_due`](Self::start_if_due) next, or `None` if no commit is to be started.
    pub(crate) fn next_commit(&self, gathered: &Gathered<T>, state: &SharedState<T>) -> Option<Instant> {
        self.0.next_commit(gathered.has_changes(state))
    }

    /// Starts a commit of what is gathered, if one is due.
    pub(crate) fn start_if_due(&mut self, gathered: &mut Gathered<T>, state: &SharedState<T>) {
        self.0.start_if_due(|now| gathered.take(state, now));
    }

    /// Waits until the running commit finishes, and returns the messages to acknowledge; none if the commit failed. Never
    /// completes if no commit is running. Cancel safe.
    ///
    /// # Panics
    /// Panics if the commit panicked.
    pub(crate) async fn committed(&mut self, state: &SharedState<T>) -> Vec<T> {
        let committed = self.0.committed().await;
        committed.map(|(batch, pending)| pending.count(&batch, state)).unwrap_or_default()
    }

    /// Commits what is left, with one attempt, and returns the messages to acknowledge.
    pub(crate) async fn finish(self, mut gathered: Gathered<T>, state: &SharedState<T>) -> Vec<T> {
        let mut committed = Vec::new();
        let is_complete = self.0.finish(
            |now| gathered.take(state, now),
            |batch, pending| committed.extend(pending.count(&batch, state)),
        );
        if !is_complete.await {
            tracing::warn!("the last events could not be committed; their messages will be redelivered");
        }
        committed
    }
}
