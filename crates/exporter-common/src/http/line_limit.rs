//! A rate limit for log lines that any client can cause.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The minimum time between two lines.
const INTERVAL: Duration = Duration::from_secs(10);

/// Allows one line in ten seconds.
#[derive(Debug, Default)]
pub struct LineLimit(Mutex<LineCount>);

#[derive(Debug, Default)]
struct LineCount {
    last: Option<Instant>,
    left_out: u64,
}

impl LineLimit {
    /// Returns `None` if no line is allowed now, else the number of lines left out since the last one.
    pub fn pass(&self) -> Option<u64> {
        // The critical section is two assignments that cannot panic.
        let mut count = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if count.last.is_some_and(|last| last.elapsed() < INTERVAL) {
            count.left_out += 1;
            return None;
        }
        count.last = Some(Instant::now());
        Some(std::mem::take(&mut count.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn allows_one_line_an_interval_and_counts_the_others() {
        let limit = LineLimit::default();
        assert_eq!([limit.pass(), limit.pass(), limit.pass()], [Some(0), None, None]);
        advance(INTERVAL).await;
        assert_eq!([limit.pass(), limit.pass()], [Some(2), None]);
        advance(INTERVAL * 2).await;
        assert_eq!(limit.pass(), Some(1));
    }
}
