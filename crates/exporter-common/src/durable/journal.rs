//! Commits that run concurrently with the task that gathers the batches (group commit).
//!
//! One commit runs at a time, on a thread for blocking work. What is recorded in the meantime is gathered for the next
//! commit, so the commit rate depends on the disk and not on the event rate. Scrapes show only committed counts: a crash
//! can never lower a counter, which Prometheus would read as a counter reset.
//!
//! A failed commit is retried with the same batch. Nothing is acknowledged until it succeeds.

use std::panic::resume_unwind;
use std::time::Duration;

use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::Instant;

use super::{Batch, Commit, StateMetrics, StoreError};
use crate::backoff::Backoff;
use crate::readiness::Condition;

/// Minimum time between the starts of two commits.
const COMMIT_INTERVAL: Duration = Duration::from_millis(20);

/// Bounds of the backoff before a failed commit is retried.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Commits batches to a store `S`. `P` is what waits until a batch is committed, such as acknowledgements.
#[derive(Debug)]
pub struct Journal<P, S: Commit> {
    /// `None` while a commit uses it.
    store: Option<S>,
    running: JoinSet<Attempt<S>>,
    /// Waits for the running or failed commit.
    pending: Option<P>,
    /// The batch of a failed commit, to be retried.
    failed: Option<S::Batch>,
    /// The earliest start of the next commit.
    next: Instant,
    backoff: Backoff,
    condition: Condition,
    metrics: StateMetrics,
}

/// A finished commit.
#[derive(Debug)]
struct Attempt<S: Commit> {
    store: S,
    batch: S::Batch,
    result: Result<(), StoreError>,
    took: Duration,
}

impl<P, S: Commit> Journal<P, S> {
    /// Creates a journal for a store. `condition` is ready while commits succeed.
    pub fn new(store: S, condition: Condition, metrics: StateMetrics) -> Self {
        condition.ready();
        metrics.set_size(store.size());
        Self {
            store: Some(store),
            running: JoinSet::new(),
            pending: None,
            failed: None,
            next: Instant::now(),
            backoff: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE),
            condition,
            metrics,
        }
    }

    /// Returns whether no commit is running or waiting for a retry.
    pub fn is_idle(&self) -> bool {
        self.running.is_empty() && self.failed.is_none()
    }

    /// Returns when to call [`start_if_due`](Self::start_if_due) next, or `None` if no commit is to be started.
    /// `has_gathered`: whether there is a batch to gather.
    pub fn next_commit(&self, has_gathered: bool) -> Option<Instant> {
        (self.running.is_empty() && (has_gathered || self.failed.is_some())).then_some(self.next)
    }

    /// Starts a commit if one is due: of the failed batch, or of the batch that `gather` returns for this moment.
    pub fn start_if_due(&mut self, gather: impl FnOnce(std::time::Instant) -> Option<(S::Batch, P)>) {
        let now = Instant::now();
        if !self.running.is_empty() || self.next > now {
            return;
        }
        let Some(mut store) = self.store.take() else { return };
        let moment = now.into_std();
        let batch = match self.failed.take() {
            Some(mut batch) => {
                batch.renew(moment);
                batch
            }
            None => match gather(moment) {
                Some((batch, pending)) => {
                    self.pending = Some(pending);
                    batch
                }
                None => {
                    self.store = Some(store);
                    return;
                }
            },
        };
        self.next = now + COMMIT_INTERVAL;
        self.running.spawn_blocking(move || {
            let began = std::time::Instant::now();
            let result = store.commit(&batch);
            Attempt { store, batch, result, took: began.elapsed() }
        });
    }

    /// Waits until the running commit finishes. Returns its batch and what waited for it, or `None` if the commit failed.
    /// Never completes if no commit is running. Cancel safe.
    ///
    /// # Panics
    /// Panics if the commit panicked.
    pub async fn committed(&mut self) -> Option<(S::Batch, P)> {
        match self.running.join_next().await {
            None => std::future::pending().await,
            Some(Ok(Attempt { store, batch, result: Ok(()), took })) => {
                self.metrics.committed(took, store.size());
                self.store = Some(store);
                self.backoff.reset();
                self.condition.ready();
                Some(batch).zip(self.pending.take())
            }
            Some(Ok(Attempt { store, batch, result: Err(error), .. })) => {
                self.store = Some(store);
                self.failed = Some(batch);
                self.next = Instant::now() + self.backoff.pause();
                let reason = error.to_string();
                self.metrics.failed(&reason);
                self.condition.missing(format!("durable state: {reason}"));
                None
            }
            // The store was dropped by the panic, and nothing can be committed without it.
            Some(Err(error)) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(_) => std::future::pending().await,
            },
        }
    }

    /// Commits what is left, with one attempt for each batch, and closes the store. Committed batches are passed to
    /// `committed`. Returns whether everything was committed.
    pub async fn finish(
        mut self,
        mut gather: impl FnMut(std::time::Instant) -> Option<(S::Batch, P)>,
        mut committed: impl FnMut(S::Batch, P),
    ) -> bool {
        let is_complete = loop {
            if self.running.is_empty() {
                self.next = Instant::now();
                self.start_if_due(&mut gather);
            }
            if self.running.is_empty() {
                break true;
            }
            match self.committed().await {
                Some((batch, pending)) => committed(batch, pending),
                None => break false,
            }
        };
        // Closing a database waits for the disk.
        let _ = spawn_blocking(move || drop(self.store)).await;
        is_complete
    }
}
