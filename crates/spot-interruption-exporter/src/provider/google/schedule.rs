//! When which project is asked for something that is asked for again and again.
//!
//! Each project has its own time, its own backoff and its own history of failures; four are asked at the same time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use exporter_common::backoff::Backoff;
use exporter_common::failure_log::{FailureLog, LogLine};
use tokio::time::{Instant, sleep_until};

use super::rest::Failure;
use crate::inventory::Scope;

/// Projects that are asked at the same time.
const CONCURRENT: usize = 4;

/// The wait before a project is asked anew after a failure.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Projects that are named in a text, before the number of the others is.
const NAMED: usize = 3;

/// The projects, with what else is known of each.
#[derive(Debug)]
pub(super) struct Schedule<T> {
    entries: BTreeMap<Scope, Entry<T>>,
}

#[derive(Debug)]
struct Entry<T> {
    is_running: bool,
    due: Instant,
    backoff: Backoff,
    log: FailureLog,
    data: T,
}

impl<T> Schedule<T> {
    pub(super) fn new() -> Self {
        Self { entries: BTreeMap::new() }
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

    /// The project to ask next, if one is due. `running` requests run.
    pub(super) fn begin_next(&mut self, running: usize, now: Instant) -> Option<(&Scope, &mut T)> {
        let due = self.entries.iter_mut().filter(|(_, entry)| !entry.is_running && entry.due <= now);
        let (scope, entry) = due.min_by_key(|(_, entry)| entry.due).filter(|_| running < CONCURRENT)?;
        entry.is_running = true;
        Some((scope, &mut entry.data))
    }

    /// Waits until [`begin_next`](Self::begin_next) has something to tell, unless a request ends before.
    pub(super) async fn due(&self, running: usize) {
        let waiting = self.entries.values().filter(|entry| !entry.is_running);
        match waiting.map(|entry| entry.due).min().filter(|_| running < CONCURRENT) {
            Some(due) => sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    /// A request has succeeded. The next one is due after the interval. Returns the line to log.
    pub(super) fn succeeded(&mut self, scope: &Scope, interval: Duration) -> Option<LogLine> {
        let now = Instant::now();
        let entry = self.entries.get_mut(scope)?;
        entry.is_running = false;
        entry.due = now + interval;
        entry.backoff.reset();
        entry.log.succeeded(now)
    }

    /// A request has succeeded in part, for a reason. Like [`succeeded`](Self::succeeded), but what is logged is the reason.
    pub(super) fn impaired(&mut self, scope: &Scope, interval: Duration, reason: &str) -> Option<LogLine> {
        let now = Instant::now();
        let entry = self.entries.get_mut(scope)?;
        entry.is_running = false;
        entry.due = now + interval;
        entry.backoff.reset();
        entry.log.failed(reason, now)
    }

    /// A request has failed. The next one is due after the backoff, or when the API wants to be asked. Returns the line
    /// to log.
    pub(super) fn failed(&mut self, scope: &Scope, failure: &Failure) -> Option<LogLine> {
        let now = Instant::now();
        let entry = self.entries.get_mut(scope)?;
        entry.is_running = false;
        entry.due = now + entry.backoff.pause().max(failure.retry_after.unwrap_or_default());
        entry.log.failed(&failure.reason, now)
    }

    /// The next request is due no earlier than after a time.
    pub(super) fn postpone(&mut self, scope: &Scope, time: Duration) {
        if let Some(entry) = self.entries.get_mut(scope) {
            entry.due = entry.due.max(Instant::now() + time);
        }
    }

    /// The first projects with a problem, each with it, and the number of the others.
    pub(super) fn problems(&self, problem: impl Fn(&T) -> Option<&str>) -> String {
        let problems = self.entries.iter().filter_map(|(scope, entry)| {
            let problem = problem(&entry.data)?;
            Some(format!("{scope}: {problem}"))
        });
        let mut problems: Vec<String> = problems.collect();
        let others = problems.len().saturating_sub(NAMED);
        problems.truncate(NAMED);
        if others > 0 {
            problems.push(format!("and {others} more"));
        }
        problems.join("; ")
    }
}
