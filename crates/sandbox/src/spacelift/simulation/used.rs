//! Usage of the current billing period.

use std::time::Duration;

use super::plan::MEAN_BUSY;

pub(super) const BILLING_PERIOD: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Usage of the current billing period.
#[derive(Clone, Copy, Debug)]
pub(super) struct Used {
    pub(super) since: Duration,
    pub(super) public: Duration,
    pub(super) private: Duration,
}

impl Used {
    pub(super) fn at_start_of_period(now: Duration) -> Self {
        let period = now.as_secs() / BILLING_PERIOD.as_secs();
        let since = Duration::from_secs(period * BILLING_PERIOD.as_secs());
        Self { since, public: Duration::ZERO, private: Duration::ZERO }
    }

    /// Returns the usage of an account with the mean load since the start of the period.
    pub(super) fn up_to(now: Duration) -> Self {
        let start = Self::at_start_of_period(now);
        let (public, private) = MEAN_BUSY;
        Self { public: (now - start.since) * public, private: (now - start.since) * private, ..start }
    }
}
