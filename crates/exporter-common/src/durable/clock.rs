//! A time that stands still while the process is down.

use std::time::{Duration, Instant};

/// Translates between moments of this process and milliseconds of that time.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    started: Instant,
    /// What the clock showed then.
    before: Duration,
}

impl Clock {
    /// Goes on, now, from what the clock showed last.
    pub(super) fn resume(milliseconds: u64, now: Instant) -> Self {
        Self { started: now, before: Duration::from_millis(milliseconds) }
    }

    /// What the clock shows at a moment.
    pub fn reading(&self, moment: Instant) -> u64 {
        let reading = self.before + moment.saturating_duration_since(self.started);
        u64::try_from(reading.as_millis()).unwrap_or(u64::MAX)
    }

    /// The moment at which the clock shows this; at the earliest that at which it went on.
    pub fn moment(&self, milliseconds: u64) -> Option<Instant> {
        self.started.checked_add(Duration::from_millis(milliseconds).saturating_sub(self.before))
    }
}
