//! The rate limit: a token bucket.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::file::RateLimit;

/// A token bucket, full at the start.
#[derive(Debug)]
pub(super) struct TokenBucket {
    pub(super) limit: RateLimit,
    level: Mutex<FillLevel>,
}

#[derive(Debug)]
struct FillLevel {
    tokens: f64,
    at: Instant,
}

impl TokenBucket {
    pub(super) fn new(limit: RateLimit, now: Instant) -> Self {
        Self { limit, level: Mutex::new(FillLevel { tokens: f64::from(limit.burst), at: now }) }
    }

    /// Takes a token. Returns false if there is none.
    pub(super) fn take(&self, now: Instant) -> bool {
        // The critical section is two assignments that cannot panic.
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = now.saturating_duration_since(level.at).as_secs_f64();
        let filled = level.tokens + elapsed / self.limit.interval.as_secs_f64();
        *level = FillLevel { tokens: filled.min(f64::from(self.limit.burst)), at: level.at.max(now) };
        let has_token = level.tokens >= 1.0;
        if has_token {
            level.tokens -= 1.0;
        }
        has_token
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn allows_a_burst_and_then_one_request_an_interval() {
        let start = Instant::now();
        let bucket = TokenBucket::new(RateLimit { interval: Duration::from_secs(2), burst: 3 }, start);
        let taken = |seconds: u64| bucket.take(start + Duration::from_secs(seconds));
        assert_eq!([taken(0), taken(0), taken(0), taken(0)], [true, true, true, false]);
        assert_eq!([taken(1), taken(2), taken(2)], [false, true, false]);
        assert_eq!([taken(100), taken(100), taken(100), taken(100)], [true, true, true, false]);
        // A time before the last one does not add tokens.
        assert!(!taken(99));
    }
}
