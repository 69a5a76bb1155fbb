//! Watches a stream that is open: when does it have to be opened anew?

use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::provider::google::probe::Finding;

/// The time between probes of a subscription that works, and of one that does not.
const PROBE_INTERVAL: Duration = Duration::from_secs(10);
const PROBE_INTERVAL_FAILING: Duration = Duration::from_secs(1);

/// A stream on which nothing has come for so long is opened anew.
const WATCHDOG: Duration = Duration::from_secs(15 * 60);

/// A stream that was refused before has to stay open this long to count as open.
const SETTLING: Duration = Duration::from_secs(2);

/// Why a stream is not open any more.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The exporter stops.
    Stopped,
    /// To be opened anew, for this reason.
    Broken(String),
    /// To be opened anew, because nothing has come for long.
    Quiet,
}

/// The question beside the stream.
pub(super) trait Ask {
    async fn ask(&self) -> Finding;
}

/// Whom it concerns.
pub(super) trait Report {
    /// The stream counts as open.
    fn open(&self);
    /// It does not.
    fn missing(&self, reason: &str);
    /// Pub/Sub cannot be reached since now.
    fn unreachable(&self, reason: &str);
}

/// Watches one stream.
#[derive(Debug)]
pub(super) struct Watch<R, A> {
    report: R,
    question: A,
    /// When the stream counts as open.
    settled: Instant,
    was_open: bool,
    /// When something came last, or may have come but for a failure.
    heard: Instant,
    unreachable: Option<String>,
}

impl<R: Report, A: Ask> Watch<R, A> {
    /// `failing` says that the stream before was refused.
    pub(super) fn new(report: R, question: A, failing: bool) -> Self {
        let now = Instant::now();
        Self {
            report,
            question,
            settled: now + if failing { SETTLING } else { Duration::ZERO },
            was_open: false,
            heard: now,
            unreachable: None,
        }
    }

    /// Whether the stream ever counted as open.
    pub(super) fn was_open(&self) -> bool {
        self.was_open
    }

    /// Watches until the reading ends, which is continued meanwhile, or `stop` is cancelled.
    pub(super) async fn run(
        &mut self,
        mut reading: Pin<&mut impl Future<Output = String>>,
        something_came: &AtomicBool,
        stop: CancellationToken,
    ) -> End {
        loop {
            let found = {
                let mut asking = pin!(self.question.ask());
                tokio::select! {
                    reason = &mut reading => return End::Broken(reason),
                    () = stop.cancelled() => return End::Stopped,
                    found = &mut asking => found,
                }
            };
            let interval = match self.learn(found, something_came) {
                Ok(interval) => interval,
                Err(end) => return end,
            };
            tokio::select! {
                reason = &mut reading => return End::Broken(reason),
                () = stop.cancelled() => return End::Stopped,
                () = sleep_until(Instant::now() + interval) => {}
            }
            if something_came.swap(false, Ordering::Relaxed) {
                self.heard = Instant::now();
            } else if self.heard.elapsed() > WATCHDOG {
                return End::Quiet;
            }
        }
    }

    /// Says when to ask again, or that the stream is to be opened anew.
    fn learn(&mut self, found: Finding, something_came: &AtomicBool) -> Result<Duration, End> {
        match found {
            Finding::Reachable | Finding::Undelivered(_)
                if self.unreachable.is_some() && !something_came.load(Ordering::Relaxed) =>
            {
                // The client may be in the middle of a long wait of its own.
                return Err(End::Broken(self.unreachable.take().unwrap_or_default()));
            }
            Finding::Reachable if Instant::now() >= self.settled => {
                self.report.open();
                self.was_open = true;
                self.unreachable = None;
                return Ok(PROBE_INTERVAL);
            }
            Finding::Reachable => {}
            // What was published before can still arrive, so the stream stays open.
            Finding::Undelivered(reason) => {
                self.report.missing(&reason);
                self.unreachable = None;
                return Ok(PROBE_INTERVAL);
            }
            Finding::Refused(reason) => {
                self.report.missing(&reason);
                self.settled = Instant::now() + SETTLING;
            }
            Finding::Unreachable(reason) => {
                self.report.missing(&reason);
                if self.unreachable.is_none() {
                    self.report.unreachable(&reason);
                }
                self.unreachable = Some(reason);
                something_came.store(false, Ordering::Relaxed);
                self.heard = Instant::now();
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

    /// Answers with what a test says, by the time since its beginning.
    struct Script<F>(Instant, F);

    impl<F: Fn(Duration) -> Finding> Ask for Script<F> {
        async fn ask(&self) -> Finding {
            self.1(self.0.elapsed())
        }
    }

    #[derive(Default)]
    struct Log(RefCell<Vec<String>>);

    impl Report for &Log {
        fn open(&self) {
            self.0.borrow_mut().push("open".to_owned());
        }
        fn missing(&self, reason: &str) {
            self.0.borrow_mut().push(reason.to_owned());
        }
        fn unreachable(&self, _: &str) {}
    }

    /// Runs a watch for at most two hours of the paused clock, and says how it ended and when.
    async fn watched(
        log: &Log,
        failing: bool,
        reading: impl Future<Output = String>,
        something_came: &AtomicBool,
        script: impl Fn(Duration) -> Finding,
    ) -> (End, u64, bool) {
        let began = Instant::now();
        let stop = CancellationToken::new();
        let mut watch = Watch::new(log, Script(began, script), failing);
        let end = timeout(Duration::from_secs(7_200), watch.run(pin!(reading), something_came, stop)).await;
        let end = end.expect("the watch goes on for ever");
        (end, began.elapsed().as_secs(), watch.was_open())
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_stream_is_opened_anew_after_a_quarter_of_an_hour() {
        let (log, came) = (Log::default(), AtomicBool::new(false));
        let script = |passed: Duration| {
            // Something comes for the last time in the third minute.
            came.fetch_or(passed < Duration::from_secs(180), Ordering::Relaxed);
            Finding::Reachable
        };
        let (end, seconds, was_open) = watched(&log, false, pending(), &came, script).await;
        assert_eq!((end, was_open), (End::Quiet, true));
        assert!((1_080..=1_100).contains(&seconds), "{seconds}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_is_opened_anew_when_pubsub_is_back() {
        let (log, came) = (Log::default(), AtomicBool::new(false));
        let script = |passed: Duration| match passed.as_secs() {
            0..10 => Finding::Reachable,
            10..3_600 => Finding::Unreachable("gone".to_owned()),
            _ => Finding::Reachable,
        };
        let (end, seconds, _) = watched(&log, false, pending(), &came, script).await;
        assert_eq!(end, End::Broken("gone".to_owned()));
        assert!((3_600..3_602).contains(&seconds), "silence is no news while nothing can come: {seconds}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_was_refused_before_has_to_stay_open_for_a_while() {
        for (failing, lasts, expected) in [(false, 1, true), (true, 1, false), (true, 3, true)] {
            let (log, came) = (Log::default(), AtomicBool::new(false));
            let reading = async {
                sleep_until(Instant::now() + Duration::from_secs(lasts) + Duration::from_millis(500)).await;
                "refused".to_owned()
            };
            let (end, _, was_open) = watched(&log, failing, reading, &came, |_| Finding::Reachable).await;
            assert_eq!((end, was_open), (End::Broken("refused".to_owned()), expected), "{failing} {lasts}");
            assert_eq!(log.0.borrow().contains(&"open".to_owned()), expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn stopping_ends_it_at_once() {
        let (log, came) = (Log::default(), AtomicBool::new(false));
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let script = Script(Instant::now(), |_| Finding::Reachable);
        let mut watch = Watch::new(&log, script, false);
        let mut reading = pin!(pending());
        let stopping = async {
            stop.cancel();
        };
        let (end, ()) = tokio::join!(watch.run(reading.as_mut(), &came, stopped), stopping);
        assert_eq!(end, End::Stopped);
    }
}
