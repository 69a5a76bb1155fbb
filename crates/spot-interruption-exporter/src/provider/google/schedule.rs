//! When which project is asked for something that is asked for again and again.
//!
//! Each project has its own time, its own backoff and its own history of failures; four are asked at the same time.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::resume_unwind;
use std::time::Duration;

use exporter_common::backoff::Backoff;
use exporter_common::failure_log::{FailureLog, LogLine};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::rest::Failure;
use crate::inventory::Scope;
use crate::metrics::ScopeState;

/// Projects that are asked at the same time.
const CONCURRENT: usize = 4;

/// The wait before a project is asked anew after a failure.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Projects that are named in a text, before the number of the others is.
const NAMED: usize = 3;

/// The projects, with what else is known of each, and the requests that run. `R` is what a request brings.
#[derive(Debug)]
pub(super) struct Schedule<T, R> {
    entries: BTreeMap<Scope, Entry<T>>,
    running: JoinSet<(Scope, R)>,
}

/// What came of the last request about a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Complete,
    /// Why it brought only a part.
    Partial(String),
    Failed(String),
    /// Why the exporter may not ask.
    Off(String),
}

impl Outcome {
    pub(super) fn state(&self) -> ScopeState {
        match self {
            Self::Complete => ScopeState::Complete,
            Self::Partial(_) => ScopeState::Partial,
            Self::Failed(_) => ScopeState::Failing,
            Self::Off(_) => ScopeState::Off,
        }
    }

    /// Why it is not complete.
    pub(super) fn problem(&self) -> Option<&str> {
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
    pub(super) fn new() -> Self {
        Self { entries: BTreeMap::new(), running: JoinSet::new() }
    }

    /// Makes the projects these, new ones due at once, and returns those that are gone.
    pub(super) fn set(&mut self, scopes: &BTreeSet<Scope>, new: impl Fn(&Scope) -> T) -> Vec<Scope> {
        let gone: Vec<Scope> = self.entries.keys().filter(|scope| !scopes.contains(scope)).cloned().collect();
        self.entries.retain(|scope, _| scopes.contains(scope));
        for scope in scopes {
            self.entries.entry(scope.clone()).or_insert_with(|| Entry {
                is_running: false,
                due: Instant::now(),
                backoff: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE),
                log: FailureLog::default(),
                outcome: None,
                data: new(scope),
            });
        }
        gone
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn scopes(&self) -> impl Iterator<Item = &Scope> {
        self.entries.keys()
    }

    pub(super) fn contains(&self, scope: &Scope) -> bool {
        self.entries.contains_key(scope)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Scope, &T)> {
        self.entries.iter().map(|(scope, entry)| (scope, &entry.data))
    }

    pub(super) fn get_mut(&mut self, scope: &Scope) -> Option<&mut T> {
        self.entries.get_mut(scope).map(|entry| &mut entry.data)
    }

    /// What came of the last request about each project.
    pub(super) fn outcomes(&self) -> impl Iterator<Item = (&Scope, Option<&Outcome>)> {
        self.entries.iter().map(|(scope, entry)| (scope, entry.outcome.as_ref()))
    }

    /// What came of the last request about a project.
    pub(super) fn outcome(&self, scope: &Scope) -> Option<&Outcome> {
        self.entries.get(scope)?.outcome.as_ref()
    }

    /// The state of each project that was asked.
    pub(super) fn states(&self) -> impl Iterator<Item = (&Scope, ScopeState)> {
        self.outcomes().filter_map(|(scope, outcome)| Some((scope, outcome?.state())))
    }

    /// Asks whatever is due, and waits until a request has ended. Nothing is lost if the future is dropped before.
    ///
    /// # Panics
    /// With a request that panicked: a defect of this program.
    pub(super) async fn next_ended<F>(&mut self, mut ask: impl FnMut(&Scope, &T) -> F) -> (Scope, R)
    where
        F: Future<Output = R> + Send + 'static,
    {
        loop {
            let now = Instant::now();
            while self.running.len() < CONCURRENT {
                let due = self.entries.iter_mut().filter(|(_, entry)| !entry.is_running && entry.due <= now);
                let Some((scope, entry)) = due.min_by_key(|(_, entry)| entry.due) else { break };
                entry.is_running = true;
                let (scope, request) = (scope.clone(), ask(scope, &entry.data));
                self.running.spawn(async move { (scope, request.await) });
            }
            let waiting = self.entries.values().filter(|entry| !entry.is_running);
            let due = waiting.map(|entry| entry.due).min().filter(|_| self.running.len() < CONCURRENT);
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

    /// A request has succeeded. The next one is due after the interval. Returns the line to log.
    pub(super) fn succeeded(&mut self, scope: &Scope, interval: Duration) -> Option<LogLine> {
        let now = Instant::now();
        let entry = self.entries.get_mut(scope)?;
        entry.is_running = false;
        entry.due = now + interval;
        entry.backoff.reset();
        entry.outcome = Some(Outcome::Complete);
        entry.log.succeeded(now)
    }

    /// A request has had an outcome that is not all there is, without being worth a retry. Like
    /// [`succeeded`](Self::succeeded), but what is logged is the reason.
    pub(super) fn impaired(
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

    /// A request has failed. The next one is due after the backoff, or when the API wants to be asked. Returns the line
    /// to log.
    pub(super) fn failed(&mut self, scope: &Scope, failure: &Failure) -> Option<LogLine> {
        let now = Instant::now();
        let entry = self.entries.get_mut(scope)?;
        entry.is_running = false;
        entry.due = now + entry.backoff.pause().max(failure.retry_after.unwrap_or_default());
        entry.outcome = Some(Outcome::Failed(failure.reason.clone()));
        entry.log.failed(&failure.reason, now)
    }

    /// The next request is due no earlier than after a time.
    pub(super) fn postpone(&mut self, scope: &Scope, time: Duration) {
        if let Some(entry) = self.entries.get_mut(scope) {
            entry.due = entry.due.max(Instant::now() + time);
        }
    }

    /// The first projects with an outcome that is wanted, each with its problem, and the number of the others.
    pub(super) fn problems(&self, wanted: impl Fn(ScopeState) -> bool) -> String {
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
