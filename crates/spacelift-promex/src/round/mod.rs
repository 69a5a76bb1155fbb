//! A round: every enabled collector asks the API once, for all scrapes that run at the same time.
//!
//! Each scrape that shares a round is answered at its own deadline with what has arrived; the round goes on to the
//! longest of them, and never beyond the configured timeout from its own beginning.

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

use crate::collectors::{Answer, Collector, DocumentError, Moment};
use crate::failure::Failure;
use crate::single_flight::{SharedResult, SingleFlight};

/// Asks one collector's question.
pub(crate) trait Ask: Send + Sync + 'static {
    /// The answer. While it waits for a session, it says so in `stage`.
    fn ask(
        &self,
        collector: &'static Collector,
        body: Bytes,
        stage: &Stage,
    ) -> impl Future<Output = Result<Answer, Failure>> + Send;

    /// Called once for each round, when it is complete.
    fn completed(&self, outcomes: &[Outcome]);
}

/// What a question that is not answered yet waits for.
#[derive(Debug, Default)]
pub(crate) struct Stage {
    waits_for_session: AtomicBool,
}

impl Stage {
    /// Marks the time until `session` completes as spent on the session.
    pub(crate) async fn session<T>(&self, session: impl Future<Output = T>) -> T {
        self.waits_for_session.store(true, Ordering::Relaxed);
        let result = session.await;
        self.waits_for_session.store(false, Ordering::Relaxed);
        result
    }

    /// The failure of a question that is not answered in time.
    fn unanswered(&self, timeout: Duration) -> Failure {
        // Nobody reads nanoseconds.
        let milliseconds = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        let failure = Failure::Timeout(Duration::from_millis(milliseconds.max(1)));
        if self.waits_for_session.load(Ordering::Relaxed) {
            Failure::NoSession(Box::new(failure))
        } else {
            failure
        }
    }
}

/// What one collector brought.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) collector: &'static Collector,
    pub(crate) result: Result<Answer, Failure>,
    pub(crate) duration: Duration,
}

impl Outcome {
    /// The one place that says what success means. Data that does not exist for this key is no failure.
    pub(crate) fn is_success(&self) -> bool {
        matches!(self.result, Ok(_) | Err(Failure::Unsupported(_)))
    }

    pub(crate) fn is_supported(&self) -> bool {
        !matches!(self.result, Err(Failure::Unsupported(_)))
    }
}

/// What a round has brought, as one scrape sees it.
#[derive(Debug, Default)]
pub(crate) struct Scraped {
    /// In the order of the collectors; empty if the round ended by a defect.
    pub(crate) outcomes: Vec<Outcome>,
    /// From the beginning of the round.
    pub(crate) duration: Duration,
}

impl Scraped {
    /// Whether nothing failed, so that the answer may be served again.
    pub(crate) fn is_whole(&self) -> bool {
        !self.outcomes.is_empty() && self.outcomes.iter().all(Outcome::is_success)
    }
}

/// The rounds of an exporter, of which one runs at a time.
#[derive(Debug)]
pub(crate) struct Rounds<A> {
    asker: Arc<Asker<A>>,
    running: SingleFlight<Arc<Scraped>>,
    /// The round that runs or ran last.
    latest: Mutex<Arc<Round>>,
}

#[derive(Debug)]
struct Asker<A> {
    client: A,
    questions: Vec<Question>,
    timeout: Duration,
    dora_window: Duration,
    cache: Cache,
}

#[derive(Debug)]
struct Question {
    collector: &'static Collector,
    /// The request's body where it is always the same.
    body: Option<Bytes>,
}

impl Question {
    fn new(collector: &'static Collector, moment: &Moment) -> Result<Self, DocumentError> {
        // A document that depends on the moment is built here too, to find out at start whether it can be.
        let body = Bytes::from((collector.ask)(moment)?);
        Ok(Self { collector, body: collector.fixed.then_some(body) })
    }

    fn body(&self, moment: &Moment) -> Result<Bytes, DocumentError> {
        match &self.body {
            Some(body) => Ok(body.clone()),
            None => (self.collector.ask)(moment).map(Bytes::from),
        }
    }
}

/// The last whole round.
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

/// The limits of rounds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RoundSettings {
    /// The longest that a round takes.
    pub(crate) timeout: Duration,
    /// For how long a whole round is served again; zero is never.
    pub(crate) cache_ttl: Duration,
    /// How far back the DORA figures reach.
    pub(crate) dora_window: Duration,
}

impl<A: Ask> Rounds<A> {
    /// # Errors
    /// The document of a collector cannot be built.
    pub(crate) fn new(
        collectors: &[&'static Collector],
        client: A,
        settings: RoundSettings,
    ) -> Result<Self, DocumentError> {
        let RoundSettings { timeout, cache_ttl, dora_window } = settings;
        let moment = Moment { now: SystemTime::now(), dora_window };
        let questions = collectors.iter().map(|collector| Question::new(collector, &moment));
        let asker = Asker {
            client,
            questions: questions.collect::<Result<_, _>>()?,
            timeout,
            dora_window,
            cache: Cache { ttl: cache_ttl, last: Mutex::default() },
        };
        let none = Arc::new(Round::new(&[], Instant::now(), Instant::now()));
        Ok(Self { asker: Arc::new(asker), running: SingleFlight::default(), latest: Mutex::new(none) })
    }

    /// How many collectors are asked.
    pub(crate) fn questions(&self) -> usize {
        self.asker.questions.len()
    }

    /// What the cache has, or what the running round or a new one has brought within `timeout` and before `cut_off`
    /// completes.
    pub(crate) async fn scrape(&self, timeout: Duration, cut_off: impl Future<Output = ()>) -> Arc<Scraped> {
        if let Some(cached) = self.asker.cache.get() {
            return cached;
        }
        let arrived = Instant::now();
        let timeout = timeout.min(self.asker.timeout);
        let (round, complete) = self.join(arrived, timeout);
        tokio::select! {
            biased;
            scraped = complete => scraped,
            () = sleep_until(arrived + timeout) => Arc::new(round.so_far(timeout)),
            () = cut_off => Arc::new(round.so_far(arrived.elapsed())),
        }
    }

    /// Shares the running round, or starts one, and lets it go on until the caller's deadline at least.
    fn join(&self, arrived: Instant, timeout: Duration) -> (Arc<Round>, SharedResult<Arc<Scraped>>) {
        let deadline = arrived + timeout;
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let complete = self.running.call(
            || {
                *latest = Arc::new(Round::new(&self.asker.questions, arrived, deadline));
                self.asker.clone().run(latest.clone())
            },
            Arc::default(),
        );
        let round = latest.clone();
        round.extend(deadline.min(round.started + self.asker.timeout));
        (round, complete)
    }
}

impl<A: Ask> Asker<A> {
    /// Asks all questions at the same time. Not even a defect in one collector costs the others.
    async fn run(self: Arc<Self>, round: Arc<Round>) -> Arc<Scraped> {
        let moment = Moment { now: SystemTime::now(), dora_window: self.dora_window };
        let mut answers: FuturesUnordered<_> = self
            .questions
            .iter()
            .zip(&round.stages)
            .enumerate()
            .map(|(index, (question, stage))| {
                let answer = async {
                    let body = question.body(&moment).map_err(|error| Failure::Invalid(error.to_string()))?;
                    self.client.ask(question.collector, body, stage).await
                };
                let answer = AssertUnwindSafe(answer).catch_unwind();
                answer.map(move |answer| (index, answer.unwrap_or(Err(Failure::Defect))))
            })
            .collect();
        let mut deadline = round.deadline.subscribe();
        loop {
            let until = *deadline.borrow_and_update();
            tokio::select! {
                biased;
                answer = answers.next() => match answer {
                    Some((index, result)) => round.answered(index, result),
                    None => break,
                },
                _ = deadline.changed() => {}
                () = sleep_until(until) => break,
            }
        }
        drop(answers);
        let scraped = Arc::new(round.so_far(*deadline.borrow() - round.started));
        self.client.completed(&scraped.outcomes);
        self.cache.put(&scraped);
        scraped
    }
}

/// The answer to a question, and how long it took.
type Arrived = (Result<Answer, Failure>, Duration);

/// One round, while it runs and for the scrapes that share it.
#[derive(Debug)]
struct Round {
    started: Instant,
    /// The longest deadline of the scrapes that share the round.
    deadline: watch::Sender<Instant>,
    collectors: Vec<&'static Collector>,
    stages: Vec<Stage>,
    /// The answers so far, in the order of the collectors.
    answers: Mutex<Vec<Option<Arrived>>>,
}

impl Round {
    fn new(questions: &[Question], started: Instant, deadline: Instant) -> Self {
        Self {
            started,
            deadline: watch::Sender::new(deadline),
            collectors: questions.iter().map(|question| question.collector).collect(),
            stages: questions.iter().map(|_| Stage::default()).collect(),
            answers: Mutex::new(questions.iter().map(|_| None).collect()),
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

    fn answered(&self, index: usize, result: Result<Answer, Failure>) {
        if let Some(answer) = self.answers().get_mut(index) {
            *answer = Some((result, self.started.elapsed()));
        }
    }

    /// What has arrived. Whatever has not is a failure of whoever waited for `timeout`.
    fn so_far(&self, timeout: Duration) -> Scraped {
        let duration = self.started.elapsed();
        let answers = self.answers();
        let outcome = |index: usize| {
            let (result, duration) = match &answers[index] {
                Some(answer) => answer.clone(),
                None => (Err(self.stages[index].unanswered(timeout)), duration),
            };
            Outcome { collector: self.collectors[index], result, duration }
        };
        Scraped { outcomes: (0..answers.len()).map(outcome).collect(), duration }
    }

    fn answers(&self) -> MutexGuard<'_, Vec<Option<Arrived>>> {
        // A critical section is one assignment or a copy.
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
