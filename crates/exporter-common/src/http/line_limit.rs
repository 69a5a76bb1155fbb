//! A bound on log lines that any client can cause.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The least time between two lines of one kind.
const INTERVAL: Duration = Duration::from_secs(10);

/// Lets one line through in ten seconds.
#[derive(Debug, Default)]
pub struct LineLimit(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    left_out: u64,
}

impl LineLimit {
    /// Whether a line may be written now; if so, how many were left out since the one before.
    pub fn pass(&self) -> Option<u64> {
        // The state is two assignments that cannot panic.
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.last.is_some_and(|last| last.elapsed() < INTERVAL) {
            state.left_out += 1;
            return None;
        }
        state.last = Some(Instant::now());
        Some(std::mem::take(&mut state.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn one_line_an_interval_says_how_many_were_left_out() {
        let limit = LineLimit::default();
        assert_eq!([limit.pass(), limit.pass(), limit.pass()], [Some(0), None, None]);
        advance(INTERVAL).await;
        assert_eq!([limit.pass(), limit.pass()], [Some(2), None]);
        advance(INTERVAL * 2).await;
        assert_eq!(limit.pass(), Some(1));
    }
}
