//! Supervises an open stream and decides when to reopen it.

use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::provider::google::probe::ProbeResult;

/// Interval between probes of a working and of a failing subscription.
const PROBE_INTERVAL: Duration = Duration::from_secs(10);
const PROBE_INTERVAL_FAILING: Duration = Duration::from_secs(1);

/// A stream without messages for this time is reopened.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// After a rejection, a stream counts as open when it has stayed open for this time.
const STABLE_AFTER: Duration = Duration::from_secs(2);

/// Why a stream ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum StreamEnd {
    /// The exporter shuts down.
    Stopped,
    /// An error; contains the reason. The stream is reopened.
    Broken(String),
    /// No message for a long time. The stream is reopened.
    Idle,
}

/// Checks the subscription.
pub(super) trait SubscriptionProbe {
    async fn probe(&self) -> ProbeResult;
}

/// Receives the state of the stream.
pub(super) trait StreamObserver {
    /// The stream is open.
    fn open(&self);
    /// The stream is not open.
    fn missing(&self, reason: &str);
    /// Pub/Sub has become unreachable.
    fn unreachable(&self, reason: &str);
}

/// Supervises one stream.
#[derive(Debug)]
pub(super) struct StreamWatch<R, A> {
    observer: R,
    probe: A,
    /// When the stream counts as open.
    stable_at: Instant,
    was_open: bool,
    /// When a message was last received, or Pub/Sub was last unreachable.
    last_activity: Instant,
    unreachable: Option<String>,
}

impl<R: StreamObserver, A: SubscriptionProbe> StreamWatch<R, A> {
    /// Starts to supervise a stream. `failing` is true if the previous stream was rejected.
    pub(super) fn new(observer: R, probe: A, failing: bool) -> Self {
        let now = Instant::now();
        Self {
            observer,
            probe,
            stable_at: now + if failing { STABLE_AFTER } else { Duration::ZERO },
            was_open: false,
            last_activity: now,
            unreachable: None,
        }
    }

    /// Whether the stream was ever open.
    pub(super) fn was_open(&self) -> bool {
        self.was_open
    }

    /// Supervises the stream until `reading` ends or `stop` is cancelled. Polls `reading` meanwhile.
    pub(super) async fn run(
        &mut self,
        mut reading: Pin<&mut impl Future<Output = String>>,
        has_received: &AtomicBool,
        stop: CancellationToken,
    ) -> StreamEnd {
        loop {
            let found = {
                let mut probing = pin!(self.probe.probe());
                tokio::select! {
                    reason = &mut reading => return StreamEnd::Broken(reason),
                    () = stop.cancelled() => return StreamEnd::Stopped,
                    found = &mut probing => found,
                }
            };
            let interval = match self.handle_probe(found, has_received) {
                Ok(interval) => interval,
                Err(end) => return end,
            };
            tokio::select! {
                reason = &mut reading => return StreamEnd::Broken(reason),
                () = stop.cancelled() => return StreamEnd::Stopped,
                () = sleep_until(Instant::now() + interval) => {}
            }
            if has_received.swap(false, Ordering::Relaxed) {
                self.last_activity = Instant::now();
            } else if self.last_activity.elapsed() > IDLE_TIMEOUT {
                return StreamEnd::Idle;
            }
        }
    }

    /// Returns the delay before the next probe, or that the stream has to be reopened.
    fn handle_probe(&mut self, found: ProbeResult, has_received: &AtomicBool) -> Result<Duration, StreamEnd> {
        match found {
            ProbeResult::Reachable | ProbeResult::Undelivered(_)
                if self.unreachable.is_some() && !has_received.load(Ordering::Relaxed) =>
            {
                // The client may be waiting for a long time before its next attempt.
                return Err(StreamEnd::Broken(self.unreachable.take().unwrap_or_default()));
            }
            ProbeResult::Reachable if Instant::now() >= self.stable_at => {
                self.observer.open();
                self.was_open = true;
                self.unreachable = None;
                return Ok(PROBE_INTERVAL);
            }
            ProbeResult::Reachable => {}
            // Earlier messages can still arrive, so the stream stays open.
            ProbeResult::Undelivered(reason) => {
                self.observer.missing(&reason);
                self.unreachable = None;
                return Ok(PROBE_INTERVAL);
            }
            ProbeResult::Refused(reason) => {
                self.observer.missing(&reason);
                self.stable_at = Instant::now() + STABLE_AFTER;
            }
            ProbeResult::Unreachable(reason) => {
                self.observer.missing(&reason);
                if self.unreachable.is_none() {
                    self.observer.unreachable(&reason);
                }
                self.unreachable = Some(reason);
                has_received.store(false, Ordering::Relaxed);
                self.last_activity = Instant::now();
            }
        }
        Ok(PROBE_INTERVAL_FAILING)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::future::pending;

    use tokio::time::timeout;

    /// Returns the scripted result for the time since the start of the test.
    struct Script<F>(Instant, F);

    impl<F: Fn(Duration) -> ProbeResult> SubscriptionProbe for Script<F> {
        async fn probe(&self) -> ProbeResult {
            self.1(self.0.elapsed())
        }
    }

    #[derive(Default)]
    struct Log(RefCell<Vec<String>>);

    impl StreamObserver for &Log {
        fn open(&self) {
            self.0.borrow_mut().push("open".to_owned());
        }
        fn missing(&self, reason: &str) {
            self.0.borrow_mut().push(reason.to_owned());
        }
        fn unreachable(&self, _: &str) {}
    }

    /// Supervises a stream for at most two hours of paused time, and returns how and when it ended.
    async fn watched(
        log: &Log,
        failing: bool,
        reading: impl Future<Output = String>,
        has_received: &AtomicBool,
        script: impl Fn(Duration) -> ProbeResult,
    ) -> (StreamEnd, u64, bool) {
        let began = Instant::now();
        let stop = CancellationToken::new();
        let mut watch = StreamWatch::new(log, Script(began, script), failing);
        let end = timeout(Duration::from_secs(7_200), watch.run(pin!(reading), has_received, stop)).await;
        let end = end.expect("the supervision does not end");
        (end, began.elapsed().as_secs(), watch.was_open())
    }

    #[tokio::test(start_paused = true)]
    async fn reopens_an_idle_stream_after_fifteen_minutes() {
        let (log, received) = (Log::default(), AtomicBool::new(false));
        let script = |passed: Duration| {
            // The last message arrives in the third minute.
            received.fetch_or(passed < Duration::from_secs(180), Ordering::Relaxed);
            ProbeResult::Reachable
        };
        let (end, seconds, was_open) = watched(&log, false, pending(), &received, script).await;
        assert_eq!((end, was_open), (StreamEnd::Idle, true));
        assert!((1_080..=1_100).contains(&seconds), "{seconds}");
    }

    #[tokio::test(start_paused = true)]
    async fn reopens_the_stream_when_pubsub_is_reachable_again() {
        let (log, received) = (Log::default(), AtomicBool::new(false));
        let script = |passed: Duration| match passed.as_secs() {
            0..10 => ProbeResult::Reachable,
            10..3_600 => ProbeResult::Unreachable("gone".to_owned()),
            _ => ProbeResult::Reachable,
        };
        let (end, seconds, _) = watched(&log, false, pending(), &received, script).await;
        assert_eq!(end, StreamEnd::Broken("gone".to_owned()));
        assert!((3_600..3_602).contains(&seconds), "unreachable time does not count as idle: {seconds}");
    }

    #[tokio::test(start_paused = true)]
    async fn refused_stream_must_stay_open_before_it_counts_as_open() {
        for (failing, lasts, expected) in [(false, 1, true), (true, 1, false), (true, 3, true)] {
            let (log, received) = (Log::default(), AtomicBool::new(false));
            let reading = async {
                sleep_until(Instant::now() + Duration::from_secs(lasts) + Duration::from_millis(500)).await;
                "refused".to_owned()
            };
            let (end, _, was_open) =
                watched(&log, failing, reading, &received, |_| ProbeResult::Reachable).await;
            assert_eq!(
                (end, was_open),
                (StreamEnd::Broken("refused".to_owned()), expected),
                "{failing} {lasts}"
            );
            assert_eq!(log.0.borrow().contains(&"open".to_owned()), expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn stops_immediately_on_shutdown() {
        let (log, received) = (Log::default(), AtomicBool::new(false));
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let script = Script(Instant::now(), |_| ProbeResult::Reachable);
        let mut watch = StreamWatch::new(&log, script, false);
        let mut reading = pin!(pending());
        let stopping = async {
            stop.cancel();
        };
        let (end, ()) = tokio::join!(watch.run(reading.as_mut(), &received, stopped), stopping);
        assert_eq!(end, StreamEnd::Stopped);
    }
}
