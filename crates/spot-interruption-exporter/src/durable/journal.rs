//! Between being recorded and counting: with durable state, what the pipeline has recorded is written down first.
//!
//! One commit runs at a time, beside the pipeline. What is recorded meanwhile is gathered for the next one, so the
//! number of commits follows the disk, not the messages. Only what is safe counts: a scrape never shows a number that
//! a crash could take back, which Prometheus would read as a counter that was reset.
//!
//! A commit that fails is tried again, the same batch each time. Until it succeeds nothing is acknowledged, and
//! the queues deliver no more than they let be outstanding.

use std::mem;
use std::panic::resume_unwind;
use std::time::Duration;

use exporter_common::backoff::Backoff;
use exporter_common::readiness::Condition;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::Instant;

use crate::attribution::Decided;
use crate::durable::store::{Batch, Commit, Store, StoreError};
use crate::ledger::Ledger;
use crate::metrics::OwnMetrics;
use crate::state::Shared;

/// The least time from the beginning of a commit to that of the next one.
const GATHERING: Duration = Duration::from_millis(20);

/// The wait before a commit that failed is tried again.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What is recorded, and does not count yet.
#[derive(Debug)]
pub struct Gathered<T> {
    /// The counts.
    pub ledger: Ledger,
    /// The messages that they come from.
    pub tickets: Vec<T>,
}

impl<T> Default for Gathered<T> {
    fn default() -> Self {
        Self { ledger: Ledger::default(), tickets: Vec::new() }
    }
}

/// Writes down what is recorded. `T` is a message's ticket, `S` is where it is written.
#[derive(Debug)]
pub struct Journal<T, S = Store> {
    /// `None` while a commit has it.
    store: Option<S>,
    running: JoinSet<Attempt<S>>,
    /// What the commit that runs, or failed, is about.
    tickets: Vec<T>,
    decided: Option<Decided>,
    failed: Option<Batch>,
    /// The next commit begins no earlier.
    next: Instant,
    backoff: Backoff,
    condition: Condition,
    metrics: OwnMetrics,
}

/// A commit that has ended.
#[derive(Debug)]
struct Attempt<S> {
    store: S,
    batch: Batch,
    result: Result<(), StoreError>,
    took: Duration,
}

impl<T, S: Commit> Journal<T, S> {
    /// Writes into a store. The condition holds for as long as that succeeds.
    pub fn new(store: S, condition: Condition, metrics: OwnMetrics) -> Self {
        condition.ready();
        metrics.state_size(store.size());
        Self {
            store: Some(store),
            running: JoinSet::new(),
            tickets: Vec::new(),
            decided: None,
            failed: None,
            next: Instant::now(),
            backoff: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE),
            condition,
            metrics,
        }
    }

    /// Whether everything that was passed to it is safe.
    pub(crate) fn is_idle(&self) -> bool {
        self.running.is_empty() && self.failed.is_none()
    }

    /// When [`proceed`](Self::proceed) has a commit to begin, if nothing happens before.
    pub(crate) fn next_commit(&self, gathered: &Gathered<T>, state: &Shared<T>) -> Option<Instant> {
        let is_wanted = self.failed.is_some()
            || !gathered.tickets.is_empty()
            || state.lock().attribution.inventory().has_changes();
        (self.running.is_empty() && is_wanted).then_some(self.next)
    }

    /// Begins a commit of what is gathered, if it is time for one.
    pub(crate) fn proceed(&mut self, gathered: &mut Gathered<T>, state: &Shared<T>) {
        let now = Instant::now();
        if self.next_commit(gathered, state).is_none_or(|next| next > now) {
            return;
        }
        let Some(mut store) = self.store.take() else { return };
        let moment = now.into_std();
        let batch = match self.failed.take() {
            Some(mut batch) => {
                batch.renew(moment);
                batch
            }
            None => {
                let Gathered { ledger, tickets } = mem::take(gathered);
                self.tickets = tickets;
                let attribution = &mut state.lock().attribution;
                self.decided = Some(attribution.decided(moment));
                Batch { ledger, changes: attribution.take_changes(moment), now: moment }
            }
        };
        self.next = now + GATHERING;
        self.running.spawn_blocking(move || {
            let began = std::time::Instant::now();
            let result = store.commit(&batch);
            Attempt { store, batch, result, took: began.elapsed() }
        });
    }

    /// Completes when the commit that runs has ended, and returns the tickets of what is safe now. Without one it
    /// never does. May be dropped and called again.
    ///
    /// # Panics
    /// With the commit, if that panicked.
    pub(crate) async fn committed(&mut self, state: &Shared<T>) -> Vec<T> {
        match self.running.join_next().await {
            None => std::future::pending().await,
            Some(Ok(Attempt { store, batch, result: Ok(()), took })) => {
                let mut state = state.lock();
                state.ledger.add(&batch.ledger);
                if let Some(decided) = self.decided.take() {
                    state.attribution.settle(decided, Instant::now().into_std());
                }
                drop(state);
                self.metrics.committed(took, store.size());
                self.store = Some(store);
                self.backoff.reset();
                self.condition.ready();
                mem::take(&mut self.tickets)
            }
            Some(Ok(Attempt { store, batch, result: Err(error), .. })) => {
                self.store = Some(store);
                self.failed = Some(batch);
                self.next = Instant::now() + self.backoff.pause();
                self.fail(&error.to_string());
                Vec::new()
            }
            // The store went with it. Without one nothing would ever count again.
            Some(Err(error)) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(_) => std::future::pending().await,
            },
        }
    }

    /// Writes down what is left, once, and returns the tickets of what is safe.
    pub(crate) async fn finish(mut self, mut gathered: Gathered<T>, state: &Shared<T>) -> Vec<T> {
        let mut safe = Vec::new();
        loop {
            if self.running.is_empty() {
                self.next = Instant::now();
                self.proceed(&mut gathered, state);
            }
            if self.running.is_empty() {
                break;
            }
            safe.extend(self.committed(state).await);
            if self.failed.is_some() {
                tracing::warn!("the last events could not be written; their messages will come again");
                break;
            }
        }
        // Closing a database waits for the disk.
        let _ = spawn_blocking(move || drop(self.store)).await;
        safe
    }

    fn fail(&self, reason: &str) {
        self.metrics.commit_failed(reason);
        self.condition.missing(format!("durable state: {reason}"));
    }
}
