//! Simulated time and number conversions.

use std::time::Duration;

/// The time step of the simulation.
pub(super) const TICK: Duration = Duration::from_millis(500);
/// The length of a simulated day.
pub(super) const DAY: Duration = Duration::from_secs(300);

pub(super) fn count(items: usize) -> i64 {
    i64::try_from(items).unwrap_or(i64::MAX)
}

pub(super) fn whole(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
