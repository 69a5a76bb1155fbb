//! Between being recorded and counting: with durable state, what the pipeline has recorded is written down first.
//!
//! What is recorded while a commit runs is gathered for the next one. Nothing is acknowledged before it is safe, and the
//! queues deliver no more than they let be outstanding.

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

/// Where batches are written down.
pub trait Commit: durable::Commit<Batch = Batch> {}

impl<S: durable::Commit<Batch = Batch>> Commit for S {}

/// What is recorded, and does not count yet.
#[derive(Debug)]
pub struct Gathered<T> {
    /// The counts.
    pub ledger: Ledger,
    /// The messages that they come from.
    pub deliveries: Vec<T>,
    /// How far the operations of scopes are dealt with.
    pub cursors: BTreeMap<Scope, Timestamp>,
}

impl<T> Default for Gathered<T> {
    fn default() -> Self {
        Self { ledger: Ledger::default(), deliveries: Vec::new(), cursors: BTreeMap::new() }
    }
}

impl<T> Gathered<T> {
    /// Whether there is something to write.
    fn is_wanted(&self, state: &SharedState<T>) -> bool {
        !self.deliveries.is_empty()
            || !self.cursors.is_empty()
            || state.lock().attribution.inventory().has_changes()
    }

    /// Takes what is to be written now, and what waits until it is safe.
    fn take(&mut self, state: &SharedState<T>, now: std::time::Instant) -> Option<(Batch, Pending<T>)> {
        if !self.is_wanted(state) {
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

/// What waits for a commit.
#[derive(Debug)]
struct Pending<T> {
    deliveries: Vec<T>,
    decided: Decided,
}

impl<T> Pending<T> {
    /// Counts what is safe now, and returns its tickets.
    fn count(self, batch: &Batch, state: &SharedState<T>) -> Vec<T> {
        let mut state = state.lock();
        state.ledger.add(&batch.ledger);
        state.attribution.mark_safe(self.decided, Instant::now().into_std());
        self.deliveries
    }
}

/// Writes down what is recorded. `T` is a message's ticket, `S` is where it is written.
#[derive(Debug)]
pub struct Journal<T, S: Commit = Store>(durable::Journal<Pending<T>, S>);

impl<T, S: Commit> Journal<T, S> {
    /// Writes into a store. The condition holds for as long as that succeeds.
    pub fn new(store: S, condition: Condition, metrics: &OwnMetrics) -> Self {
        Self(durable::Journal::new(store, condition, metrics.state.clone()))
    }

    /// Whether everything that was passed to it is safe.
    pub(crate) fn is_idle(&self) -> bool {
        self.0.is_idle()
    }

    /// When [`proceed`](Self::proceed) has a commit to begin, if nothing happens before.
    pub(crate) fn next_commit(&self, gathered: &Gathered<T>, state: &SharedState<T>) -> Option<Instant> {
        self.0.next_commit(gathered.is_wanted(state))
    }

    /// Begins a commit of what is gathered, if it is time for one.
    pub(crate) fn proceed(&mut self, gathered: &mut Gathered<T>, state: &SharedState<T>) {
        self.0.start_if_due(|now| gathered.take(state, now));
    }

    /// Completes when the commit that runs has ended, and returns the tickets of what is safe now. Without one it
    /// never does. May be dropped and called again.
    ///
    /// # Panics
    /// With the commit, if that panicked.
    pub(crate) async fn committed(&mut self, state: &SharedState<T>) -> Vec<T> {
        let committed = self.0.committed().await;
        committed.map(|(batch, pending)| pending.count(&batch, state)).unwrap_or_default()
    }

    /// Writes down what is left, once, and returns the tickets of what is safe.
    pub(crate) async fn finish(self, mut gathered: Gathered<T>, state: &SharedState<T>) -> Vec<T> {
        let mut safe = Vec::new();
        let is_safe = self.0.finish(
            |now| gathered.take(state, now),
            |batch, pending| safe.extend(pending.count(&batch, state)),
        );
        if !is_safe.await {
            tracing::warn!("the last events could not be written; their messages will come again");
        }
        safe
    }
}
