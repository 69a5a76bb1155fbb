//! When which instance is asked for.
//!
//! All look-ups share one service, so they share its troubles: after an error of the service nobody asks until the
//! backoff is over, or until the service wants to be asked again, and then one look-up at a time, until one succeeds.
//! A bucket of tokens keeps the requests below what the quota of a project allows, whatever comes.

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
use crate::source::{Affects, LookUp, LookUpError};

/// Look-ups that may run at the same time.
const CONCURRENT: usize = 16;

/// The sustained rate of requests, and how many may come at once after a quiet time. Google Cloud
/// allows a project 25 requests a second, which others share.
const REQUEST_INTERVAL: Duration = Duration::from_millis(50);
const BURST: u32 = 200;

/// The wait after an error of the service.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The longest that a service may ask to be left alone.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3_600);

/// The wait before a look-up whose own answer was of no use is repeated, at first.
const FIRST_INSTANCE_PAUSE: Duration = Duration::from_secs(2);

/// What became of a look-up.
pub(super) type Answered = (Job, Result<Option<Instance<'static>>, LookUpError>);

/// A look-up and how often it failed by itself.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) lookup: Lookup,
    failures: u32,
}

/// The look-ups that run, and those that are to be repeated.
#[derive(Debug)]
pub(super) struct Lookups {
    running: JoinSet<Answered>,
    /// By the time at which they are due.
    again: BTreeMap<(Instant, u64), Job>,
    numbers: u64,
    /// Nobody asks before then.
    closed_until: Option<Instant>,
    /// The last answer was an error of the service.
    failing: bool,
    backoff: Backoff,
    rate: Rate,
    condition: Option<Condition>,
}

impl Lookups {
    pub(super) fn new(condition: Option<Condition>) -> Self {
        Self {
            running: JoinSet::new(),
            again: BTreeMap::new(),
            numbers: 0,
            closed_until: None,
            failing: false,
            backoff: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE),
            rate: Rate::new(Instant::now()),
            condition,
        }
    }

    /// When [`start`](Self::start) has something to do, if no look-up ends before. `has_new` says that there are some
    /// that were not asked for yet.
    pub(super) fn next_start(&self, has_new: bool, now: Instant) -> Option<Instant> {
        if self.running.len() >= self.places() {
            return None;
        }
        let due = self.again.first_key_value().map(|((at, _), _)| *at);
        let wanted = if has_new { Some(now) } else { due };
        wanted.map(|at| at.max(self.rate.next()).max(self.closed_until.unwrap_or(at)))
    }

    /// Starts look-ups while they are allowed: those that are to be repeated, then new ones. What is not asked for yet
    /// waits in the state machine, which forgets it when it is settled otherwise.
    pub(super) fn start<T, L: LookUp>(
        &mut self,
        attribution: &mut Attribution<T>,
        service: &L,
        now: Instant,
    ) {
        while self.running.len() < self.places()
            && self.rate.next() <= now
            && self.closed_until.is_none_or(|until| until <= now)
        {
            let Some(job) = self.next_job(attribution, now) else { return };
            self.rate.take(now);
            let service = service.clone();
            self.running.spawn(async move {
                let answer = service.look_up(&job.lookup).await;
                (job, answer)
            });
        }
    }

    fn next_job<T>(&mut self, attribution: &mut Attribution<T>, now: Instant) -> Option<Job> {
        loop {
            let is_due = self.again.first_key_value().is_some_and(|((at, _), _)| *at <= now);
            let again = if is_due { self.again.pop_first().map(|(_, job)| job) } else { None };
            let new = || attribution.poll_lookup(now.into_std()).map(|lookup| Job { lookup, failures: 0 });
            let job = again.or_else(new)?;
            if Instant::from_std(job.lookup.deadline) > now && attribution.wants(job.lookup.id) {
                return Some(job);
            }
        }
    }

    /// Waits for the next answer; without a look-up that runs there is none.
    ///
    /// # Panics
    /// With the look-up, if that panicked: a defect of this program.
    pub(super) async fn answered(&mut self) -> Option<Answered> {
        self.running.join_next().await.map(|answered: Result<Answered, JoinError>| {
            answered.unwrap_or_else(|error| resume_unwind(error.into_panic()))
        })
    }

    /// Learns from an answer, and gives it out if it is one.
    pub(super) fn take(
        &mut self,
        (mut job, answer): Answered,
        metrics: &OwnMetrics,
        now: Instant,
    ) -> Option<(LookupId, Option<Instance<'static>>)> {
        metrics.looked_up(&answer);
        let LookUpError { reason, retry_after, affects } = match answer {
            Ok(found) => {
                self.works();
                return Some((job.lookup.id, found));
            }
            Err(error) => error,
        };
        let (zone, instance) = (&job.lookup.zone, &job.lookup.instance);
        tracing::debug!(zone, instance, reason, "cannot look an instance up, trying again");
        let at = match affects {
            Affects::Service => self.fails(&reason, retry_after, now),
            Affects::Instance => {
                self.works();
                job.failures += 1;
                let step = FIRST_INSTANCE_PAUSE.saturating_mul(1 << (job.failures - 1).min(8));
                now + step.min(LONGEST_PAUSE)
            }
        };
        self.numbers += 1;
        self.again.insert((at, self.numbers), job);
        None
    }

    /// After an error of the service one look-up tries whether it is over.
    fn places(&self) -> usize {
        if self.failing { 1 } else { CONCURRENT }
    }

    fn works(&mut self) {
        self.backoff.reset();
        if self.failing {
            self.failing = false;
            self.closed_until = None;
            tracing::info!("instances can be looked up again");
            if let Some(condition) = &self.condition {
                condition.ready();
            }
        }
    }

    /// Says when the service may be asked again. Look-ups that ran at the same time and failed alike are one failure.
    fn fails(&mut self, reason: &str, retry_after: Option<Duration>, now: Instant) -> Instant {
        let is_closed = self.closed_until.is_some_and(|until| until > now);
        let pause = match (retry_after, is_closed) {
            // Not all in step: others were told the same.
            (Some(told), _) => told.min(LONGEST_RETRY_AFTER) + Backoff::new(FIRST_PAUSE, FIRST_PAUSE).pause(),
            (None, false) => self.backoff.pause(),
            (None, true) => Duration::ZERO,
        };
        let until = (now + pause).max(self.closed_until.unwrap_or(now));
        self.closed_until = Some(until);
        if !self.failing {
            tracing::warn!(reason, seconds = pause.as_secs_f64(), "instances cannot be looked up now");
        }
        self.failing = true;
        if let Some(condition) = &self.condition {
            condition.missing(format!("Compute API, looking instances up: {reason}"));
        }
        until
    }
}

/// A bucket of tokens, as the moment at which it would be full again.
#[derive(Debug)]
struct Rate {
    full_at: Instant,
}

impl Rate {
    fn new(now: Instant) -> Self {
        Self { full_at: now }
    }

    /// When the next request may be made.
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
    fn requests_come_in_a_burst_and_then_at_the_rate() {
        let start = Instant::now() + Duration::from_secs(60);
        let mut rate = Rate::new(start);
        let mut taken = Vec::new();
        let mut now = start;
        for _ in 0..BURST + 40 {
            now = now.max(rate.next());
            rate.take(now);
            taken.push(now - start);
        }
        let burst = BURST as usize;
        assert!(taken[..burst].iter().all(Duration::is_zero), "{:?}", taken[burst - 1]);
        assert_eq!(taken[burst + 39], 40 * REQUEST_INTERVAL);
    }
}
