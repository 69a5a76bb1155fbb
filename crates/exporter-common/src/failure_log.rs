//! Decides which failures of a repeated action are logged: the first one, one with another reason, a reminder every ten
//! minutes, and the recovery. A failure that repeats in every scrape must not fill the log.

use std::time::Duration;

use tokio::time::Instant;

/// The time between two reminders that an action still fails.
pub const REMINDER: Duration = Duration::from_secs(600);

/// The maximum number of lines about changes in [`REMINDER`], for an action that fails every other time.
const MAX_CHANGES: u32 = 10;

/// The failure history of one action.
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

/// A line to log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLine {
    /// The first failure.
    Failed,
    /// A failure with another reason than before.
    OtherReason {
        /// Failures so far, including this one.
        failures: u64,
    },
    /// A reminder that the action still fails.
    StillFailing {
        /// Failures so far, including this one.
        failures: u64,
        /// The time since the first failure.
        since: Duration,
    },
    /// A success after failures.
    Recovered {
        /// The number of failures.
        failures: u64,
        /// The time since the first failure.
        since: Duration,
    },
}

impl FailureLog {
    /// Records a failure at `now` and returns the line to log, if any. Reasons that differ only in digits, such as a
    /// remaining time or a request id, count as the same.
    pub fn failed(&mut self, reason: &str, now: Instant) -> Option<LogLine> {
        let reason: String = reason.chars().filter(|c| !c.is_ascii_digit()).collect();
        let Some(failing) = &mut self.failing else {
            self.failing = Some(Failing { reason, since: now, failures: 1 });
            return self.allow_change(now).then_some(LogLine::Failed);
        };
        failing.failures += 1;
        let (failures, since) = (failing.failures, now - failing.since);
        if failing.reason != reason {
            failing.reason = reason;
            if self.allow_change(now) {
                return Some(LogLine::OtherReason { failures });
            }
        }
        if self.last_line.is_some_and(|last| now - last < REMINDER) {
            return None;
        }
        self.last_line = Some(now);
        Some(LogLine::StillFailing { failures, since })
    }

    /// Records a success at `now` and returns the line to log, if any.
    pub fn succeeded(&mut self, now: Instant) -> Option<LogLine> {
        let Failing { since, failures, .. } = self.failing.take()?;
        self.allow_change(now).then(|| LogLine::Recovered { failures, since: now - since })
    }

    /// Whether a change can be logged; counts it if so.
    fn allow_change(&mut self, now: Instant) -> bool {
        if self.window.is_none_or(|window| now - window >= REMINDER) {
            self.window = Some(now);
            self.changes = 0;
        }
        if self.changes == MAX_CHANGES {
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
    fn logs_changes_but_not_repetitions() {
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
    fn logs_a_reminder_every_ten_minutes() {
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
    fn limits_lines_about_an_action_that_fails_every_other_time() {
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
