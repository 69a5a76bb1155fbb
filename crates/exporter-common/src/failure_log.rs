//! Which failures of something that is tried again and again are worth a log line: the first one, one with another
//! reason, the recovery, and a reminder now and then. A failure that repeats in every scrape must not fill the log.

use std::time::Duration;

use tokio::time::Instant;

/// The time between two reminders that something still fails.
pub const REMINDER: Duration = Duration::from_secs(600);

/// The most lines about changes in [`REMINDER`], so that something that fails every other time is bounded too.
const MOST_CHANGES: u32 = 10;

/// The history of one thing that can fail.
#[derive(Debug, Default)]
pub struct FailureLog {
    failing: Option<Failing>,
    last_line: Option<Instant>,
    /// The changes that were logged since `window` began.
    changes: u32,
    window: Option<Instant>,
}

#[derive(Debug)]
struct Failing {
    reason: String,
    since: Instant,
    failures: u64,
}

/// A line that is to be logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLine {
    /// It failed and did not fail before.
    Failed,
    /// It fails for another reason than before.
    OtherReason {
        /// Failures so far, with this one.
        failures: u64,
    },
    /// It still fails.
    StillFailing {
        /// Failures so far, with this one.
        failures: u64,
        /// Since the first failure.
        since: Duration,
    },
    /// It succeeded after failures.
    Recovered {
        /// Their number.
        failures: u64,
        /// Since the first of them.
        since: Duration,
    },
}

impl FailureLog {
    /// It failed at `now`. Reasons that differ only in digits, such as a remaining time or a request's id, count as
    /// the same.
    pub fn failed(&mut self, reason: &str, now: Instant) -> Option<LogLine> {
        let reason: String = reason.chars().filter(|c| !c.is_ascii_digit()).collect();
        let Some(failing) = &mut self.failing else {
            self.failing = Some(Failing { reason, since: now, failures: 1 });
            return self.change(now).then_some(LogLine::Failed);
        };
        failing.failures += 1;
        let (failures, since) = (failing.failures, now - failing.since);
        if failing.reason != reason {
            failing.reason = reason;
            if self.change(now) {
                return Some(LogLine::OtherReason { failures });
            }
        }
        if self.last_line.is_some_and(|last| now - last < REMINDER) {
            return None;
        }
        self.last_line = Some(now);
        Some(LogLine::StillFailing { failures, since })
    }

    /// It succeeded at `now`.
    pub fn succeeded(&mut self, now: Instant) -> Option<LogLine> {
        let Failing { since, failures, .. } = self.failing.take()?;
        self.change(now).then(|| LogLine::Recovered { failures, since: now - since })
    }

    /// Whether a change may be logged.
    fn change(&mut self, now: Instant) -> bool {
        if self.window.is_none_or(|window| now - window >= REMINDER) {
            self.window = Some(now);
            self.changes = 0;
        }
        if self.changes == MOST_CHANGES {
            return false;
        }
        self.changes += 1;
        self.last_line = Some(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_logged_and_repetitions_are_not() {
        let now = Instant::now();
        let mut log = FailureLog::default();
        let at = |seconds: u64| now + Duration::from_secs(seconds);
        assert_eq!(log.succeeded(at(0)), None);
        assert_eq!(log.failed("wait 30s", at(0)), Some(LogLine::Failed));
        for second in 1..10 {
            assert_eq!(log.failed(&format!("wait {second}s"), at(second)), None);
        }
        assert_eq!(log.failed("refused", at(10)), Some(LogLine::OtherReason { failures: 11 }));
        let since = Duration::from_secs(20);
        assert_eq!(log.succeeded(at(20)), Some(LogLine::Recovered { failures: 11, since }));
        assert_eq!(log.succeeded(at(21)), None);
        assert_eq!(log.failed("refused", at(30)), Some(LogLine::Failed));
    }

    #[test]
    fn a_reminder_comes_now_and_then() {
        let now = Instant::now();
        let mut log = FailureLog::default();
        let lines: Vec<LogLine> = (0..=3_600)
            .step_by(15)
            .filter_map(|s| log.failed("down", now + Duration::from_secs(s)))
            .collect();
        assert_eq!(lines.len(), 7, "{lines:?}");
        let since = Duration::from_secs(3_600);
        assert_eq!(lines[6], LogLine::StillFailing { failures: 241, since });
    }

    #[test]
    fn what_fails_every_other_time_is_bounded() {
        let now = Instant::now();
        let mut log = FailureLog::default();
        let mut lines = 0;
        for second in 0..3_600 {
            let now = now + Duration::from_secs(second);
            let line = if second % 2 == 0 { log.failed("down", now) } else { log.succeeded(now) };
            lines += u32::from(line.is_some());
        }
        assert!((60..=70).contains(&lines), "{lines}");
    }
}
