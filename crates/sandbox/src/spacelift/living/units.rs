//! The account's time, and numbers as the API has them.

use std::time::Duration;

/// The step in which the account lives.
pub(super) const TICK: Duration = Duration::from_millis(500);
/// From one morning to the next.
pub(super) const DAY: Duration = Duration::from_secs(300);

pub(super) fn count(items: usize) -> i64 {
    i64::try_from(items).unwrap_or(i64::MAX)
}

pub(super) fn whole(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
