//! Schedule of periodic requests about each scope.
//!
//! Each scope has its own due time, backoff and failure log. Four requests run at the same time.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::resume_unwind;
use std::time::Duration;

use exporter_common::backoff::Backoff;
use exporter_common::failure_log::{FailureLog, LogLine};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::inventory::Scope;
use crate::metrics::ScopeState;
use crate::provider::failure::Failure;

/// Maximum number of concurrent requests.
const MAX_CONCURRENT: usize = 4;

/// Delay before a failed request is repeated.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// Maximum number of scopes named in a description.
const NAMED: usize = 3;

/// The scopes, each with data `T`, and the running requests. `R` is the result of a request.
#[derive(Debug)]
pub(crate) struct Schedule<T, R> {
    entries: BTreeMap<Scope, Entry<T>>,
    running: JoinSet<(Scope, R)>,
}

/// Outcome of the last request about a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Complete,
    /// Why the result was partial.
    Partial(String),
    Failed(String),
    /// Why the exporter may not send the request.
    Off(String),
}

impl Outcome {
    pub(crate) fn state(&self) -> ScopeState {
        match self {
            Self::Complete => ScopeState::Complete,
            Self::Partial(_) => ScopeState::Partial,
            Self::Failed(_) => ScopeState::Failing,
            Self::Off(_) => ScopeState::Off,
        }
    }

    /// Why the outcome is not complete.
    pub(crate) fn problem(&self) -> Option<&str> {
        match self {
            Self::Complete => None,
            Self::Partial(reason) | Self::Failed(reason) | Self::Off(reason) => Some(reason),
        }
    }
}

#[derive(Debug)]
struct Entry<T> {
    is_running: bool,
    due: Instant,
    backoff: Backoff,
    log: FailureLog,
    outcome: Option<Outcome>,
    data: T,
}

impl<T, R: Send + 'static> Schedule<T, R> {
    pub(crate) fn new() -> Self {
        Self { entries: BTreeMap::new(), running: JoinSet::new() }
    }

    /// Sets the scopes. New ones are due immediately. Returns those that were removed.
    pub(crate) fn set(&mut self, scopes: &BTreeSet<Scope>, new: impl Fn(&Scope) -> T) -> Vec<Scope> {
        let gone: Vec<Scope> =
            self.entries.keys().filter(|scope| !scopes.contains(*scope)).cloned().collect();
        self.entries.retain(|scope, _| scopes.contains(scope));
        for scope in scopes {
            self.entries.entry(scope.clone()).or_insert_with(|| Entry {
                is_running: false,
                due: Instant::now(),
                backoff: Backoff::new(FIRST_PAUSE, MAX_PAUSE),
                log: FailureLog::default(),
                outcome: None,
                data: new(scope),
            });
        }
        gone
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn scopes(&self) -> impl Iterator<Item = &Scope> {
        self.entries.keys()
    }

    pub(crate) fn contains(&self, scope: &Scope) -> bool {
        self.entries.contains_key(scope)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Scope, &T)> {
        self.entries.iter().map(|(scope, entry)| (scope, &entry.data))
    }

    pub(crate) fn get_mut(&mut self, scope: &Scope) -> Option<&mut T> {
        self.entries.get_mut(scope).map(|entry| &mut entry.data)
    }

    /// The outcome of the last request about each scope.
    pub(crate) fn outcomes(&self) -> impl Iterator<Item = (&Scope, Option<&Outcome>)> {
        self.entries.iter().map(|(scope, entry)| (scope, entry.outcome.as_ref()))
    }

    /// The outcome of the last request about a scope.
    pub(crate) fn outcome(&self, scope: &Scope) -> Option<&Outcome> {
        self.entries.get(scope)?.outcome.as_ref()
    }

    /// The state of each scope that was requested.
    pub(crate) fn states(&self) -> impl Iterator<Item = (&Scope, ScopeState)> {
        self.outcomes().filter_map(|(scope, outcome)| Some((scope, outcome?.state())))
    }

    /// Starts the requests that are due, and waits until one ends. Cancel safe.
    ///
    /// # Panics
    /// If a request panicked, which is a defect of this program.
    pub(crate) async fn next_result<F>(&mut self, mut request: impl FnMut(&Scope, &T) -> F) -> (Scope, R)
    where
        F: Future<Output = R> + Send + 'static,
    {
        loop {
            let now = Instant::now();
            while self.running.len() < MAX_CONCURRENT {
                let due = self.entries.iter_mut().filter(|(_, entry)| !entry.is_running && entry.due <= now);
                let Some((scope, entry)) = due.min_by_key(|(_, entry)| entry.due) else { break };
                entry.is_running = true;
                let (scope, request) = (scope.clone(), request(scope, &entry.data));
                self.running.spawn(async move { (scope, request.await) });
            }
            let waiting = self.entries.values().filter(|entry| !entry.is_running);
            let due = waiting.map(|entry| entry.due).min().filter(|_| self.running.len() < MAX_CONCURRENT);
            let due = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(ended) = self.running.join_next() => {
                    return ended.unwrap_or_else(|error| resume_unwind(error.into_panic()));
                }
                () = due => {}
            }
        }
    }

    /// Notes a success. The next request is due after the interval. Returns the line to log.
    pub(crate) fn succeeded(&mut self, scope: &Scope, interval: Duration) -> Option<LogLine> {
        let now = Instant::now();
        let entry = self.entries.get_mut(scope)?;
        entry.is_running = false;
        entry.due = now + interval;
        entry.backoff.reset();
        entry.outcome = Some(Outcome::Complete);
        entry.log.succeeded(now)
    }

    /// Notes an incomplete outcome that is not worth a retry. Like [`succeeded`](Self::succeeded), but logs the reason.
    pub(crate) fn impaired(
        &mut self,
        scope: &Scope,
        interval: Duration,
        outcome: Outcome,
    ) -> Option<LogLine> {
        let now = Instant::now();
        let entry = self.entries.get_mut(scope)?;
        entry.is_running = false;
        entry.due = now + interval;
        entry.backoff.reset();
        let line = entry.log.failed(outcome.problem().unwrap_or_default(), now);
        entry.outcome = Some(outcome);
        line
    }

    /// Notes a failure. The next request is due after the backoff, or after the delay that the API requested. Returns
    /// the line to log.
    pub(crate) fn failed(&mut self, scope: &Scope, failure: &Failure) -> Option<LogLine> {
        let now = Instant::now();
        let entry = self.entries.get_mut(scope)?;
        entry.is_running = false;
        entry.due = now + entry.backoff.pause().max(failure.retry_after.unwrap_or_default());
        entry.outcome = Some(Outcome::Failed(failure.reason.clone()));
        entry.log.failed(&failure.reason, now)
    }

    /// Delays the next request at least by `time`.
    pub(crate) fn postpone(&mut self, scope: &Scope, time: Duration) {
        if let Some(entry) = self.entries.get_mut(scope) {
            entry.due = entry.due.max(Instant::now() + time);
        }
    }

    /// Describes the first scopes with a matching state, and the number of others.
    pub(crate) fn problems(&self, wanted: impl Fn(ScopeState) -> bool) -> String {
        let outcomes = self.outcomes().filter_map(|(scope, outcome)| Some((scope, outcome?)));
        let wanted = outcomes.filter(|(_, outcome)| wanted(outcome.state()));
        let mut problems =
            wanted.filter_map(|(scope, outcome)| Some(format!("{scope}: {}", outcome.problem()?)));
        let mut named: Vec<String> = problems.by_ref().take(NAMED).collect();
        let others = problems.count();
        if others > 0 {
            named.push(format!("and {others} more"));
        }
        named.join("; ")
    }
}
