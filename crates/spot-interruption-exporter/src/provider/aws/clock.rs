//! AWS's clock.
//!
//! AWS rejects requests whose time differs by more than some minutes. The clock of this host may be wrong, so the
//! difference is taken from the `Date` header of responses.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::SystemTime;

use http::HeaderMap;
use http::header::DATE;
use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp};

/// A smaller difference is not corrected: the header has whole seconds, and a response takes time.
const TOLERANCE: SignedDuration = SignedDuration::from_secs(30);

/// The difference between AWS's clock and this host's, shared by all requests.
#[derive(Debug, Clone, Default)]
pub(super) struct AwsClock {
    /// Seconds to add to this host's time.
    offset: Arc<AtomicI64>,
}

impl AwsClock {
    /// The time by AWS's clock.
    pub(super) fn now(&self) -> Timestamp {
        self.corrected(Timestamp::now())
    }

    /// The same as a time of the standard library.
    pub(super) fn system_time(&self) -> SystemTime {
        self.now().into()
    }

    /// Notes the time of a response. Returns whether the clock was corrected, so that a rejected request is worth
    /// repeating.
    pub(super) fn note(&self, headers: &HeaderMap) -> bool {
        self.note_at(headers, Timestamp::now())
    }

    fn note_at(&self, headers: &HeaderMap, local: Timestamp) -> bool {
        let date = headers.get(DATE).and_then(|date| date.to_str().ok());
        let Some(date) = date.and_then(|date| rfc2822::parse(date).ok()) else { return false };
        let (date, corrected) = (date.timestamp(), self.corrected(local));
        if date.duration_since(corrected).abs() <= TOLERANCE {
            return false;
        }
        let difference = date.duration_since(local);
        let seconds = if difference.abs() <= TOLERANCE { 0 } else { difference.as_secs() };
        self.offset.store(seconds, Ordering::Relaxed);
        tracing::warn!(seconds, "the clock of this host differs from AWS's; requests use AWS's time");
        true
    }

    fn corrected(&self, local: Timestamp) -> Timestamp {
        let offset = SignedDuration::from_secs(self.offset.load(Ordering::Relaxed));
        local.checked_add(offset).unwrap_or(local)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn corrects_large_differences_only() {
        let clock = AwsClock::default();
        let local: Timestamp = "2026-03-01T10:00:00Z".parse().unwrap();
        let date = |text: &'static str| HeaderMap::from_iter([(DATE, HeaderValue::from_static(text))]);
        assert!(!clock.note_at(&date("Sun, 01 Mar 2026 10:00:20 GMT"), local));
        assert!(!clock.note_at(&date("yesterday"), local));
        assert!(!clock.note_at(&HeaderMap::new(), local));
        assert_eq!(clock.corrected(local), local);

        assert!(clock.note_at(&date("Sun, 01 Mar 2026 16:00:00 GMT"), local), "six hours behind");
        assert_eq!(clock.corrected(local), "2026-03-01T16:00:00Z".parse().unwrap());
        assert!(!clock.note_at(&date("Sun, 01 Mar 2026 16:00:10 GMT"), local));

        assert!(clock.note_at(&date("Sun, 01 Mar 2026 10:00:05 GMT"), local), "this host was corrected");
        assert_eq!(clock.corrected(local), local);
    }
}
