//! Metrics about commits.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Bucket bounds of the commit duration, in seconds.
const COMMIT_BUCKETS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// Handles of the metrics about commits.
#[derive(Debug, Clone)]
pub struct StateMetrics {
    errors: Counter,
    commits: Histogram,
    size: Gauge,
}

impl Default for StateMetrics {
    fn default() -> Self {
        Self { errors: Counter::default(), commits: Histogram::new(COMMIT_BUCKETS), size: Gauge::default() }
    }
}

impl StateMetrics {
    /// Registers the metrics with the exporter's name as prefix.
    pub fn register(&self, registry: &mut Registry, exporter: &str) {
        registry.register(
            format!("{exporter}_state_errors"),
            "Failed commits of the durable state; they are retried, and nothing is acknowledged until one succeeds",
            self.errors.clone(),
        );
        registry.register(
            format!("{exporter}_state_commit_duration_seconds"),
            "Duration of the commits of the durable state",
            self.commits.clone(),
        );
        registry.register(
            format!("{exporter}_state_size_bytes"),
            "Size of the durable state's file; 0 without durable state",
            self.size.clone(),
        );
    }

    /// Sets the size of the state, in bytes.
    pub(super) fn set_size(&self, size: u64) {
        self.size.set(i64::try_from(size).unwrap_or(i64::MAX));
    }

    /// Counts a successful commit.
    pub(super) fn committed(&self, took: Duration, size: u64) {
        self.commits.observe(took.as_secs_f64());
        self.set_size(size);
    }

    /// Counts and logs a failed commit.
    pub(super) fn failed(&self, reason: &str) {
        self.errors.inc();
        tracing::error!(
            reason,
            "the state cannot be written; nothing is acknowledged until a commit succeeds"
        );
    }
}
