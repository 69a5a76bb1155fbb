//! A round: one query for each enabled collector, shared by all concurrent scrapes.
//!
//! Each scrape is answered at its own deadline with the responses that have arrived. The round continues until the latest
//! deadline of its scrapes, at most for the configured timeout.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::collectors::{Collector, CollectorData, DocumentError, QueryContext};
use crate::failure::Failure;
use crate::single_flight::{SharedResult, SingleFlight};

/// Sends the query of a collector to the API.
pub(crate) trait QueryClient: Send + Sync + 'static {
    /// Sends a query and parses the response. `stage` records whether it waits for a session.
    fn query(
        &self,
        collector: &'static Collector,
        body: Bytes,
        stage: &Stage,
    ) -> impl Future<Output = Result<CollectorData, Failure>> + Send;

    /// Called once for each round, when it is complete.
    fn completed(&self, outcomes: &[Outcome]);
}

/// What an unfinished query waits for.
#[derive(Debug, Default)]
pub(crate) struct Stage {
    waits_for_session: AtomicBool,
}

impl Stage {
    /// Awaits `session` and records that meanwhile.
    pub(crate) async fn session<T>(&self, session: impl Future<Output = T>) -> T {
        self.waits_for_session.store(true, Ordering::Relaxed);
        let result = session.await;
        self.waits_for_session.store(false, Ordering::Relaxed);
        result
    }

    /// Returns the failure of a query without a response after `timeout`.
    fn timed_out(&self, timeout: Duration) -> Failure {
        // Messages show milliseconds.
        let milliseconds = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        let failure = Failure::Timeout(Duration::from_millis(milliseconds.max(1)));
        if self.waits_for_session.load(Ordering::Relaxed) {
            Failure::NoSession(Box::new(failure))
        } else {
            failure
        }
    }
}

/// The result of one collector in a round.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) collector: &'static Collector,
    pub(crate) result: Result<CollectorData, Failure>,
    pub(crate) duration: Duration,
}

impl Outcome {
    /// Returns whether the collector succeeded. Data that does not exist for this API key is not a failure.
    pub(crate) fn is_success(&self) -> bool {
        matches!(self.result, Ok(_) | Err(Failure::Unsupported(_)))
    }

    pub(crate) fn is_supported(&self) -> bool {
        !matches!(self.result, Err(Failure::Unsupported(_)))
    }
}

/// The outcomes of a round at the time of one scrape's response.
#[derive(Debug, Default)]
pub(crate) struct Scraped {
    /// In the order of the collectors. Empty if the round panicked.
    pub(crate) outcomes: Vec<Outcome>,
    /// The time since the start of the round.
    pub(crate) duration: Duration,
}

impl Scraped {
    /// Returns whether all collectors succeeded, so that the outcomes can be cached.
    pub(crate) fn is_whole(&self) -> bool {
        !self.outcomes.is_empty() && self.outcomes.iter().all(Outcome::is_success)
    }
}

/// Runs rounds, one at a time.
#[derive(Debug)]
pub(crate) struct Rounds<A> {
    runner: Arc<RoundRunner<A>>,
    running: SingleFlight<Arc<Scraped>>,
    /// The current round, or the last one.
    latest: Mutex<Arc<Round>>,
}

#[derive(Debug)]
struct RoundRunner<A> {
    client: A,
    queries: Vec<PreparedQuery>,
    timeout: Duration,
    dora_window: Duration,
    cache: Cache,
}

#[derive(Debug)]
struct PreparedQuery {
    collector: &'static Collector,
    /// The request body, if it is the same in every scrape.
    body: Option<Bytes>,
}

impl PreparedQuery {
    fn new(collector: &'static Collector, context: &QueryContext) -> Result<Self, DocumentError> {
        // All documents are built once at start, to detect errors.
        let body = Bytes::from((collector.query)(context)?);
        Ok(Self { collector, body: collector.fixed.then_some(body) })
    }

    fn body(&self, context: &QueryContext) -> Result<Bytes, DocumentError> {
        match &self.body {
            Some(body) => Ok(body.clone()),
            None => (self.collector.query)(context).map(Bytes::from),
        }
    }
}

/// The last round in which all collectors succeeded.
#[derive(Debug)]
struct Cache {
    ttl: Duration,
    last: Mutex<Option<(Instant, Arc<Scraped>)>>,
}

impl Cache {
    fn get(&self) -> Option<Arc<Scraped>> {
        if self.ttl.is_zero() {
            return None;
        }
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().filter(|(since, _)| since.elapsed() < self.ttl).map(|(_, scraped)| scraped.clone())
    }

    fn put(&self, scraped: &Arc<Scraped>) {
        if !self.ttl.is_zero() && scraped.is_whole() {
            let entry = (Instant::now(), scraped.clone());
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(entry);
        }
    }
}

/// Settings of rounds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RoundSettings {
    /// Maximum duration of a round.
    pub(crate) timeout: Duration,
    /// How long a complete round is reused. Zero disables the cache.
    pub(crate) cache_ttl: Duration,
    /// Length of the time window of the DORA metrics.
    pub(crate) dora_window: Duration,
}

impl<A: QueryClient> Rounds<A> {
    /// Prepares the queries of the collectors.
    ///
    /// # Errors
    /// The document of a collector cannot be built.
    pub(crate) fn new(
        collectors: &[&'static Collector],
        client: A,
        settings: RoundSettings,
    ) -> Result<Self, DocumentError> {
        let RoundSettings { timeout, cache_ttl, dora_window } = settings;
        let context = QueryContext { now: SystemTime::now(), dora_window };
        let queries = collectors.iter().map(|collector| PreparedQuery::new(collector, &context));
        let runner = RoundRunner {
            client,
            queries: queries.collect::<Result<_, _>>()?,
            timeout,
            dora_window,
            cache: Cache { ttl: cache_ttl, last: Mutex::default() },
        };
        let none = Arc::new(Round::new(&[], Instant::now(), Instant::now()));
        Ok(Self { runner: Arc::new(runner), running: SingleFlight::default(), latest: Mutex::new(none) })
    }

    /// Returns the number of queries in a round.
    pub(crate) fn queries(&self) -> usize {
        self.runner.queries.len()
    }

    /// Returns the cached round, or joins the current round or starts one. In that case it returns the outcomes when the
    /// round is complete, after `timeout`, or when `cut_off` completes.
    pub(crate) async fn scrape(&self, timeout: Duration, cut_off: impl Future<Output = ()>) -> Arc<Scraped> {
        if let Some(cached) = self.runner.cache.get() {
            return cached;
        }
        let arrived = Instant::now();
        let timeout = timeout.min(self.runner.timeout);
        let (round, complete) = self.join(arrived, timeout);
        tokio::select! {
            biased;
            scraped = complete => scraped,
            () = sleep_until(arrived + timeout) => Arc::new(round.so_far(timeout)),
            () = cut_off => Arc::new(round.so_far(arrived.elapsed())),
        }
    }

    /// Joins the current round or starts one, and extends it to the caller's deadline.
    fn join(&self, arrived: Instant, timeout: Duration) -> (Arc<Round>, SharedResult<Arc<Scraped>>) {
        let deadline = arrived + timeout;
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let complete = self.running.call(
            || {
                *latest = Arc::new(Round::new(&self.runner.queries, arrived, deadline));
                self.runner.clone().run(latest.clone())
            },
            Arc::default(),
        );
        let round = latest.clone();
        round.extend(deadline.min(round.started + self.runner.timeout));
        (round, complete)
    }
}

impl<A: QueryClient> RoundRunner<A> {
    /// Sends all queries concurrently. A panic in one collector does not affect the others.
    async fn run(self: Arc<Self>, round: Arc<Round>) -> Arc<Scraped> {
        let context = QueryContext { now: SystemTime::now(), dora_window: self.dora_window };
        let mut results: FuturesUnordered<_> = self
            .queries
            .iter()
            .zip(&round.stages)
            .enumerate()
            .map(|(index, (query, stage))| {
                let result = async {
                    let body = query.body(&context).map_err(|error| Failure::Invalid(error.to_string()))?;
                    self.client.query(query.collector, body, stage).await
                };
                let result = AssertUnwindSafe(result).catch_unwind();
                result.map(move |result| (index, result.unwrap_or(Err(Failure::Defect))))
            })
            .collect();
        let mut deadline = round.deadline.subscribe();
        loop {
            let until = *deadline.borrow_and_update();
            tokio::select! {
                biased;
                result = results.next() => match result {
                    Some((index, result)) => round.finished(index, result),
                    None => break,
                },
                _ = deadline.changed() => {}
                () = sleep_until(until) => break,
            }
        }
        drop(results);
        let scraped = Arc::new(round.so_far(*deadline.borrow() - round.started));
        self.client.completed(&scraped.outcomes);
        self.cache.put(&scraped);
        scraped
    }
}

/// The result of a query and its duration.
type TimedResult = (Result<CollectorData, Failure>, Duration);

/// A round, shared by its task and its scrapes.
#[derive(Debug)]
struct Round {
    started: Instant,
    /// The latest deadline of the scrapes that share the round.
    deadline: watch::Sender<Instant>,
    collectors: Vec<&'static Collector>,
    stages: Vec<Stage>,
    /// The results that have arrived, in the order of the collectors.
    results: Mutex<Vec<Option<TimedResult>>>,
}

impl Round {
    fn new(queries: &[PreparedQuery], started: Instant, deadline: Instant) -> Self {
        Self {
            started,
            deadline: watch::Sender::new(deadline),
            collectors: queries.iter().map(|query| query.collector).collect(),
            stages: queries.iter().map(|_| Stage::default()).collect(),
            results: Mutex::new(queries.iter().map(|_| None).collect()),
        }
    }

    fn extend(&self, deadline: Instant) {
        self.deadline.send_if_modified(|current| {
            let later = deadline > *current;
            if later {
                *current = deadline;
            }
            later
        });
    }

    fn finished(&self, index: usize, result: Result<CollectorData, Failure>) {
        if let Some(entry) = self.results().get_mut(index) {
            *entry = Some((result, self.started.elapsed()));
        }
    }

    /// Returns the outcomes at this time. Unfinished queries count as timed out after `timeout`.
    fn so_far(&self, timeout: Duration) -> Scraped {
        let duration = self.started.elapsed();
        let results = self.results();
        let outcome = |index: usize| {
            let (result, duration) = match &results[index] {
                Some(result) => result.clone(),
                None => (Err(self.stages[index].timed_out(timeout)), duration),
            };
            Outcome { collector: self.collectors[index], result, duration }
        };
        Scraped { outcomes: (0..results.len()).map(outcome).collect(), duration }
    }

    fn results(&self) -> MutexGuard<'_, Vec<Option<TimedResult>>> {
        // Each critical section is one assignment or a copy, so a poisoned value is still valid.
        self.results.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
