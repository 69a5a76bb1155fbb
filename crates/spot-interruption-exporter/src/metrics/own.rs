//! The families about what the exporter itself does: streams, listings, look-ups, commits.

use exporter_common::durable::StateMetrics;
use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::scopes::ScopeStates;
use crate::instance::Instance;

/// Handles of the families about what the exporter itself does.
#[derive(Debug, Clone)]
pub struct OwnMetrics {
    restarts: Family<SubscriptionLabel, Counter>,
    resyncs: Family<OutcomeLabel, Counter>,
    /// The scopes whose instances are listed.
    pub(crate) scopes: ScopeStates,
    searches: Family<OutcomeLabel, Counter>,
    /// The scopes whose operations are listed.
    pub(crate) operations: ScopeStates,
    operation_listings: Family<OutcomeLabel, Counter>,
    last_resync: Gauge,
    lookups: Family<OutcomeLabel, Counter>,
    rate_limits: Counter,
    given_back: Counter,
    pub(crate) state: StateMetrics,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SubscriptionLabel {
    subscription: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct StateLabel {
    pub(super) state: &'static str,
}

const SUCCESS: OutcomeLabel = OutcomeLabel { outcome: "success" };
const FAILURE: OutcomeLabel = OutcomeLabel { outcome: "failure" };
const PARTIAL: OutcomeLabel = OutcomeLabel { outcome: "partial" };
const FOUND: OutcomeLabel = OutcomeLabel { outcome: "found" };
const MISSING: OutcomeLabel = OutcomeLabel { outcome: "missing" };
const FAILED: OutcomeLabel = OutcomeLabel { outcome: "failed" };

impl OwnMetrics {
    /// Registers the families, each series from zero on.
    pub fn register(registry: &mut Registry, subscriptions: &[&str]) -> Self {
        let metrics = Self {
            restarts: Family::default(),
            resyncs: Family::default(),
            scopes: ScopeStates::of_instances(),
            searches: Family::default(),
            operations: ScopeStates::of_operations(),
            operation_listings: Family::default(),
            last_resync: Gauge::default(),
            lookups: Family::default(),
            rate_limits: Counter::default(),
            given_back: Counter::default(),
            state: StateMetrics::default(),
        };
        for &subscription in subscriptions {
            drop(
                metrics.restarts.get_or_create(&SubscriptionLabel { subscription: subscription.to_owned() }),
            );
        }
        for outcome in [SUCCESS, FAILURE] {
            drop(metrics.searches.get_or_create(&outcome));
        }
        for outcome in [SUCCESS, PARTIAL, FAILURE] {
            drop(metrics.operation_listings.get_or_create(&outcome));
            drop(metrics.resyncs.get_or_create(&outcome));
        }
        for outcome in [FOUND, MISSING, FAILED] {
            drop(metrics.lookups.get_or_create(&outcome));
        }
        registry.register(
            "spot_interruption_exporter_stream_restarts",
            "Times that the stream of a subscription ended and was opened anew",
            metrics.restarts.clone(),
        );
        registry.register(
            "spot_interruption_exporter_resyncs",
            "Listings of all instances of a project, by outcome",
            metrics.resyncs.clone(),
        );
        registry.register(
            "spot_interruption_exporter_scopes",
            "Projects whose instances are listed, by what came of the last listing; partial where a zone did not answer",
            metrics.scopes.gauge(),
        );
        registry.register(
            "spot_interruption_exporter_discovery",
            "Searches for projects in folders and organisations, by outcome",
            metrics.searches.clone(),
        );
        registry.register(
            "spot_interruption_exporter_last_resync_timestamp_seconds",
            "End of the last listing of all instances that did not fail, of the project for which that is longest ago, in Unix seconds; 0 before the first",
            metrics.last_resync.clone(),
        );
        registry.register(
            "spot_interruption_exporter_operations_scopes",
            "Projects whose operations are listed, by what came of the last listing; off where the permission is missing",
            metrics.operations.gauge(),
        );
        registry.register(
            "spot_interruption_exporter_operations_listings",
            "Listings of the operations of a project, by outcome",
            metrics.operation_listings.clone(),
        );
        registry.register(
            "spot_interruption_exporter_lookups",
            "Requests for single instances that an event is about, by outcome",
            metrics.lookups.clone(),
        );
        registry.register(
            "spot_interruption_exporter_compute_rate_limits",
            "Answers of the Compute API that asked to wait before the next request, which is done",
            metrics.rate_limits.clone(),
        );
        registry.register(
            "spot_interruption_exporter_messages_given_back",
            "Messages of held events that went back to Pub/Sub to make room for others; they come again",
            metrics.given_back.clone(),
        );
        metrics.state.register(registry, "spot_interruption_exporter");
        metrics
    }

    /// Counts and logs a stream that ended.
    pub(crate) fn stream_restarted(&self, subscription: &str, reason: &str) {
        self.restarts.get_or_create(&SubscriptionLabel { subscription: subscription.to_owned() }).inc();
        tracing::warn!(subscription, reason, "the stream ended, opening it anew");
    }

    /// Counts a listing that did not fail.
    pub(crate) fn resynced(&self, is_complete: bool) {
        self.resyncs.get_or_create(if is_complete { &SUCCESS } else { &PARTIAL }).inc();
    }

    /// Counts a listing that failed.
    pub(crate) fn resync_failed(&self) {
        self.resyncs.get_or_create(&FAILURE).inc();
    }

    /// Takes note of the end of the last listing, of the scope for which that is longest ago.
    pub(crate) fn last_resync(&self, end: Timestamp) {
        self.last_resync.set(end.as_second());
    }

    /// Counts a search for scopes.
    pub(crate) fn searched(&self, is_success: bool) {
        self.searches.get_or_create(if is_success { &SUCCESS } else { &FAILURE }).inc();
    }

    /// Counts a listing of operations that did not fail.
    pub(crate) fn operations_listed(&self, is_complete: bool) {
        self.operation_listings.get_or_create(if is_complete { &SUCCESS } else { &PARTIAL }).inc();
    }

    /// Counts a listing of operations that failed.
    pub(crate) fn operations_failed(&self) {
        self.operation_listings.get_or_create(&FAILURE).inc();
    }

    /// Counts a look-up by what came of it.
    pub(crate) fn looked_up<E>(&self, answer: &Result<Option<Instance<'static>>, E>) {
        let outcome = match answer {
            Ok(Some(_)) => FOUND,
            Ok(None) => MISSING,
            Err(_) => FAILED,
        };
        self.lookups.get_or_create(&outcome).inc();
    }

    /// Counts an answer of the API with `Retry-After`.
    pub(crate) fn api_rate_limited(&self) {
        self.rate_limits.inc();
    }

    /// Counts messages that go back to their queue.
    pub(crate) fn given_back(&self, messages: usize) {
        self.given_back.inc_by(messages as u64);
    }
}
