//! Schedules lookups.
//!
//! All lookups use one service. After an error of the service all lookups pause for a backoff, or for the time that the
//! service requested. Then one lookup at a time is tried until one succeeds. A token bucket keeps the request rate
//! below the quota of a project.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::time::Duration;

use exporter_common::backoff::Backoff;
use exporter_common::readiness::Condition;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use crate::attribution::{Attribution, Lookup, LookupId};
use crate::instance::Instance;
use crate::metrics::OwnMetrics;
use crate::source::{Affects, InstanceLookup, LookupError};

/// Maximum number of concurrent lookups.
const MAX_CONCURRENT: usize = 16;

/// Sustained request rate, and the burst after an idle time. Google Cloud allows 25 requests per second and project,
/// shared with other clients.
const REQUEST_INTERVAL: Duration = Duration::from_millis(50);
const BURST: u32 = 200;

/// Delay after an error of the service.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// Maximum delay accepted from a `Retry-After` header.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3_600);

/// First delay before a lookup is repeated whose response was not usable.
const FIRST_INSTANCE_PAUSE: Duration = Duration::from_secs(2);

/// A lookup and its result.
pub(super) type LookupResult = (Job, Result<Option<Instance<'static>>, LookupError>);

/// A lookup and the number of its own failures.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) lookup: Lookup,
    failures: u32,
}

/// Running lookups, and lookups to be repeated.
#[derive(Debug)]
pub(super) struct Lookups {
    running: JoinSet<LookupResult>,
    /// Ordered by due time.
    retries: BTreeMap<(Instant, u64), Job>,
    last_number: u64,
    /// No lookup starts before this moment.
    paused_until: Option<Instant>,
    /// Whether the last result was an error of the service.
    is_failing: bool,
    backoff: Backoff,
    bucket: TokenBucket,
    condition: Option<Condition>,
}

impl Lookups {
    pub(super) fn new(condition: Option<Condition>) -> Self {
        Self {
            running: JoinSet::new(),
            retries: BTreeMap::new(),
            last_number: 0,
            paused_until: None,
            is_failing: false,
            backoff: Backoff::new(FIRST_PAUSE, MAX_PAUSE),
            bucket: TokenBucket::new(Instant::now()),
            condition,
        }
    }

    /// When [`start`](Self::start) has something to do, if no running lookup ends before. `has_new` is true if
    /// instances wait for their first lookup.
    pub(super) fn next_start(&self, has_new: bool, now: Instant) -> Option<Instant> {
        if self.running.len() >= self.max_concurrent() {
            return None;
        }
        let due = self.retries.first_key_value().map(|((at, _), _)| *at);
        let wanted = if has_new { Some(now) } else { due };
        wanted.map(|at| at.max(self.bucket.next()).max(self.paused_until.unwrap_or(at)))
    }

    /// Starts as many lookups as allowed: first those to be repeated, then new ones. New lookups wait in the state
    /// machine, which drops them if their instance becomes known in another way.
    pub(super) fn start<T, L: InstanceLookup>(
        &mut self,
        attribution: &mut Attribution<T>,
        service: &L,
        now: Instant,
    ) {
        while self.running.len() < self.max_concurrent()
            && self.bucket.next() <= now
            && self.paused_until.is_none_or(|until| until <= now)
        {
            let Some(job) = self.next_job(attribution, now) else { return };
            self.bucket.take(now);
            let service = service.clone();
            self.running.spawn(async move {
                let result = service.lookup(&job.lookup).await;
                (job, result)
            });
        }
    }

    fn next_job<T>(&mut self, attribution: &mut Attribution<T>, now: Instant) -> Option<Job> {
        loop {
            let is_due = self.retries.first_key_value().is_some_and(|((at, _), _)| *at <= now);
            let retry = if is_due { self.retries.pop_first().map(|(_, job)| job) } else { None };
            let new = || attribution.poll_lookup(now.into_std()).map(|lookup| Job { lookup, failures: 0 });
            let job = retry.or_else(new)?;
            if Instant::from_std(job.lookup.deadline) > now && attribution.is_wanted(job.lookup.id) {
                return Some(job);
            }
        }
    }

    /// Waits for the next result. Returns `None` if no lookup is running.
    ///
    /// # Panics
    /// If the lookup panicked, which is a defect of this program.
    pub(super) async fn next_result(&mut self) -> Option<LookupResult> {
        self.running.join_next().await.map(|next_result: Result<LookupResult, JoinError>| {
            next_result.unwrap_or_else(|error| resume_unwind(error.into_panic()))
        })
    }

    /// Processes a result. Returns it if the lookup succeeded, and schedules a retry otherwise.
    pub(super) fn take(
        &mut self,
        (mut job, result): LookupResult,
        metrics: &OwnMetrics,
        now: Instant,
    ) -> Option<(LookupId, Option<Instance<'static>>)> {
        metrics.count_lookup(&result);
        let LookupError { reason, retry_after, affects } = match result {
            Ok(found) => {
                self.note_success();
                return Some((job.lookup.id, found));
            }
            Err(error) => error,
        };
        let (zone, instance) = (&job.lookup.zone, &job.lookup.instance);
        tracing::debug!(zone, instance, reason, "cannot look up an instance, retrying");
        let at = match affects {
            Affects::Service => self.note_service_error(&reason, retry_after, now),
            Affects::Instance => {
                self.note_success();
                job.failures += 1;
                let step = FIRST_INSTANCE_PAUSE.saturating_mul(1 << (job.failures - 1).min(8));
                now + step.min(MAX_PAUSE)
            }
        };
        self.last_number += 1;
        self.retries.insert((at, self.last_number), job);
        None
    }

    /// After an error of the service, one lookup at a time checks whether the service works again.
    fn max_concurrent(&self) -> usize {
        if self.is_failing { 1 } else { MAX_CONCURRENT }
    }

    fn note_success(&mut self) {
        self.backoff.reset();
        if self.is_failing {
            self.is_failing = false;
            self.paused_until = None;
            tracing::info!("instances can be looked up again");
            if let Some(condition) = &self.condition {
                condition.ready();
            }
        }
    }

    /// Returns when the service may be queried again. Concurrent lookups with the same error count as one failure.
    fn note_service_error(&mut self, reason: &str, retry_after: Option<Duration>, now: Instant) -> Instant {
        let is_paused = self.paused_until.is_some_and(|until| until > now);
        let pause = match (retry_after, is_paused) {
            // Jitter, because other clients received the same delay.
            (Some(wait), _) => wait.min(MAX_RETRY_AFTER) + Backoff::new(FIRST_PAUSE, FIRST_PAUSE).pause(),
            (None, false) => self.backoff.pause(),
            (None, true) => Duration::ZERO,
        };
        let until = (now + pause).max(self.paused_until.unwrap_or(now));
        self.paused_until = Some(until);
        if !self.is_failing {
            tracing::warn!(reason, seconds = pause.as_secs_f64(), "instances cannot be looked up now");
        }
        self.is_failing = true;
        if let Some(condition) = &self.condition {
            condition.missing(reason);
        }
        until
    }
}

/// Token bucket, represented by the moment at which it would be full again.
#[derive(Debug)]
struct TokenBucket {
    full_at: Instant,
}

impl TokenBucket {
    fn new(now: Instant) -> Self {
        Self { full_at: now }
    }

    /// When the next request may be sent.
    fn next(&self) -> Instant {
        self.full_at.checked_sub(REQUEST_INTERVAL * (BURST - 1)).unwrap_or(self.full_at)
    }

    fn take(&mut self, now: Instant) {
        self.full_at = self.full_at.max(now) + REQUEST_INTERVAL;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allows_a_burst_and_then_a_steady_rate() {
        let start = Instant::now() + Duration::from_secs(60);
        let mut bucket = TokenBucket::new(start);
        let mut taken = Vec::new();
        let mut now = start;
        for _ in 0..BURST + 40 {
            now = now.max(bucket.next());
            bucket.take(now);
            taken.push(now - start);
        }
        let burst = BURST as usize;
        assert!(taken[..burst].iter().all(Duration::is_zero), "{:?}", taken[burst - 1]);
        assert_eq!(taken[burst + 39], 40 * REQUEST_INTERVAL);
    }
}
