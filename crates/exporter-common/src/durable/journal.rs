//! Commits beside the task that gathers what is to be written.
//!
//! One commit runs at a time, on a thread for blocking work. What is recorded meanwhile is gathered for the next one, so
//! the number of commits follows the disk, not what arrives. Only what is safe counts: a scrape never shows a number
//! that a crash could take back, which Prometheus would read as a counter that was reset.
//!
//! A commit that fails is tried again, the same batch each time. Until it succeeds nothing is acknowledged.

use std::panic::resume_unwind;
use std::time::Duration;

use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::Instant;

use super::{Batch, Commit, StateMetrics, StoreError};
use crate::backoff::Backoff;
use crate::readiness::Condition;

/// The least time from the beginning of a commit to that of the next one.
const GATHERING: Duration = Duration::from_millis(20);

/// The wait before a commit that failed is tried again.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Writes down what is recorded. `S` is where it is written, `P` what has to wait until a batch is safe, such as
/// acknowledgements.
#[derive(Debug)]
pub struct Journal<P, S: Commit> {
    /// `None` while a commit has it.
    store: Option<S>,
    running: JoinSet<Attempt<S>>,
    /// What waits for the commit that runs, or failed.
    pending: Option<P>,
    failed: Option<S::Batch>,
    /// The next commit begins no earlier.
    next: Instant,
    backoff: Backoff,
    condition: Condition,
    metrics: StateMetrics,
}

/// A commit that has ended.
#[derive(Debug)]
struct Attempt<S: Commit> {
    store: S,
    batch: S::Batch,
    result: Result<(), StoreError>,
    took: Duration,
}

impl<P, S: Commit> Journal<P, S> {
    /// Writes into a store. The condition holds for as long as that succeeds.
    pub fn new(store: S, condition: Condition, metrics: StateMetrics) -> Self {
        condition.ready();
        metrics.size(store.size());
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

    /// Whether everything that was passed to it is safe.
    pub fn is_idle(&self) -> bool {
        self.running.is_empty() && self.failed.is_none()
    }

    /// When [`proceed`](Self::proceed) has a commit to begin, if nothing happens before. `has_gathered` says whether
    /// there is something to write.
    pub fn next_commit(&self, has_gathered: bool) -> Option<Instant> {
        (self.running.is_empty() && (has_gathered || self.failed.is_some())).then_some(self.next)
    }

    /// Begins a commit, if it is time for one: of the batch that failed, or of what `gather` returns for this moment.
    pub fn proceed(&mut self, gather: impl FnOnce(std::time::Instant) -> Option<(S::Batch, P)>) {
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
        self.next = now + GATHERING;
        self.running.spawn_blocking(move || {
            let began = std::time::Instant::now();
            let result = store.commit(&batch);
            Attempt { store, batch, result, took: began.elapsed() }
        });
    }

    /// Completes when the commit that runs has ended, and returns what is safe now and what waited for that, or `None`
    /// if it failed. Without one it never does. May be dropped and called again.
    ///
    /// # Panics
    /// With the commit, if that panicked.
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
            // The store went with it. Without one nothing would ever count again.
            Some(Err(error)) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(_) => std::future::pending().await,
            },
        }
    }

    /// Writes down what is left, in one attempt for each batch, and closes the store. What is safe is passed to `safe`.
    /// Returns whether everything is.
    pub async fn finish(
        mut self,
        mut gather: impl FnMut(std::time::Instant) -> Option<(S::Batch, P)>,
        mut safe: impl FnMut(S::Batch, P),
    ) -> bool {
        let is_safe = loop {
            if self.running.is_empty() {
                self.next = Instant::now();
                self.proceed(&mut gather);
            }
            if self.running.is_empty() {
                break true;
            }
            match self.committed().await {
                Some((batch, pending)) => safe(batch, pending),
                None => break false,
            }
        };
        // Closing a database waits for the disk.
        let _ = spawn_blocking(move || drop(self.store)).await;
        is_safe
    }
}
