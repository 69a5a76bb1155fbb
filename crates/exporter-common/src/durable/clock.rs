//! A clock that stops while the process is down.

use std::time::{Duration, Instant};

/// Converts between instants of this process and the uptime in milliseconds that is stored in the state file.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    started: Instant,
    /// The uptime of all earlier processes.
    earlier: Duration,
}

impl Clock {
    /// Continues now from the stored uptime.
    pub(super) fn resume(milliseconds: u64, now: Instant) -> Self {
        Self { started: now, earlier: Duration::from_millis(milliseconds) }
    }

    /// Returns the uptime at an instant, in milliseconds.
    pub fn reading(&self, moment: Instant) -> u64 {
        let reading = self.earlier + moment.saturating_duration_since(self.started);
        u64::try_from(reading.as_millis()).unwrap_or(u64::MAX)
    }

    /// Returns the instant at which the uptime is `milliseconds`, or the start of this process if it is earlier.
    /// `None` if an [`Instant`] cannot represent it.
    pub fn moment(&self, milliseconds: u64) -> Option<Instant> {
        self.started.checked_add(Duration::from_millis(milliseconds).saturating_sub(self.earlier))
    }
}
