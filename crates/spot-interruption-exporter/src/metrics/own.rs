//! Metrics about the exporter itself: streams, listings, lookups, commits.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use exporter_common::durable::StateMetrics;
use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::scopes::ScopeStates;
use crate::instance::Instance;

/// Handles of the metrics about the exporter itself.
#[derive(Debug, Clone)]
pub struct OwnMetrics {
    restarts: Family<SubscriptionLabel, Counter>,
    listings: Family<OutcomeLabel, Counter>,
    /// States of the scopes' instance listings.
    pub(crate) scopes: ScopeStates,
    searches: Family<OutcomeLabel, Counter>,
    /// States of the scopes' operations listings.
    pub(crate) operations: ScopeStates,
    operation_listings: Family<OutcomeLabel, Counter>,
    last_listing: Gauge,
    /// By provider: the end of the last listing, of the scope with the oldest one.
    last_listings: Arc<Mutex<BTreeMap<&'static str, Timestamp>>>,
    lookups: Family<OutcomeLabel, Counter>,
    rate_limits: Counter,
    count_given_back: Counter,
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
    /// Registers the families. Every series starts at zero.
    pub fn register(registry: &mut Registry, subscriptions: &[&str]) -> Self {
        let metrics = Self {
            restarts: Family::default(),
            listings: Family::default(),
            scopes: ScopeStates::of_instances(),
            searches: Family::default(),
            operations: ScopeStates::of_operations(),
            operation_listings: Family::default(),
            last_listing: Gauge::default(),
            last_listings: Arc::default(),
            lookups: Family::default(),
            rate_limits: Counter::default(),
            count_given_back: Counter::default(),
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
            drop(metrics.listings.get_or_create(&outcome));
        }
        for outcome in [FOUND, MISSING, FAILED] {
            drop(metrics.lookups.get_or_create(&outcome));
        }
        registry.register(
            "spot_interruption_exporter_stream_restarts",
            "Times that the stream of a Pub/Sub subscription ended and was reopened",
            metrics.restarts.clone(),
        );
        registry.register(
            "spot_interruption_exporter_resyncs",
            "Listings of all instances of a scope, by outcome; a scope is a Google Cloud project or a region of an AWS account",
            metrics.listings.clone(),
        );
        registry.register(
            "spot_interruption_exporter_scopes",
            "Scopes whose instances are listed, by state of the last listing; partial if a zone did not respond",
            metrics.scopes.gauge(),
        );
        registry.register(
            "spot_interruption_exporter_discovery",
            "Searches for projects in folders and organisations, by outcome",
            metrics.searches.clone(),
        );
        registry.register(
            "spot_interruption_exporter_last_resync_timestamp_seconds",
            "Oldest of the times at which each scope's instances were last listed successfully, in seconds since 1970; 0 before the first",
            metrics.last_listing.clone(),
        );
        registry.register(
            "spot_interruption_exporter_operations_scopes",
            "Projects whose operations are listed, by state of the last listing; off if the permission is missing",
            metrics.operations.gauge(),
        );
        registry.register(
            "spot_interruption_exporter_operations_listings",
            "Listings of the operations of a project, by outcome",
            metrics.operation_listings.clone(),
        );
        registry.register(
            "spot_interruption_exporter_lookups",
            "Lookups of single instances that an event is about, by outcome",
            metrics.lookups.clone(),
        );
        registry.register(
            "spot_interruption_exporter_compute_rate_limits",
            "Responses of the Compute API that requested a delay before the next request",
            metrics.rate_limits.clone(),
        );
        registry.register(
            "spot_interruption_exporter_messages_given_back",
            "Messages of held events that were returned to their queue to make room for others; they are delivered again",
            metrics.count_given_back.clone(),
        );
        metrics.state.register(registry, "spot_interruption_exporter");
        metrics
    }

    /// Counts and logs the end of a stream.
    pub(crate) fn count_stream_restart(&self, subscription: &str, reason: &str) {
        self.restarts.get_or_create(&SubscriptionLabel { subscription: subscription.to_owned() }).inc();
        tracing::warn!(subscription, reason, "the stream ended and is reopened");
    }

    /// Counts a listing that did not fail.
    pub(crate) fn count_listing(&self, is_complete: bool) {
        self.listings.get_or_create(if is_complete { &SUCCESS } else { &PARTIAL }).inc();
    }

    /// Counts a failed listing.
    pub(crate) fn count_failed_listing(&self) {
        self.listings.get_or_create(&FAILURE).inc();
    }

    /// Sets the end of the last listing of a provider's scopes, of the scope with the oldest one.
    pub(crate) fn set_last_listing(&self, provider: &'static str, end: Timestamp) {
        // A poisoned lock is safe to use: each update is one assignment.
        let mut ends = self.last_listings.lock().unwrap_or_else(PoisonError::into_inner);
        ends.insert(provider, end);
        self.last_listing.set(ends.values().min().map_or(0, |oldest| oldest.as_second()));
    }

    /// Counts a search for scopes.
    pub(crate) fn count_search(&self, is_success: bool) {
        self.searches.get_or_create(if is_success { &SUCCESS } else { &FAILURE }).inc();
    }

    /// Counts an operations listing that did not fail.
    pub(crate) fn count_operations_listing(&self, is_complete: bool) {
        self.operation_listings.get_or_create(if is_complete { &SUCCESS } else { &PARTIAL }).inc();
    }

    /// Counts a failed operations listing.
    pub(crate) fn count_failed_operations_listing(&self) {
        self.operation_listings.get_or_create(&FAILURE).inc();
    }

    /// Counts a lookup by its outcome.
    pub(crate) fn count_lookup<E>(&self, result: &Result<Option<Instance<'static>>, E>) {
        let outcome = match result {
            Ok(Some(_)) => FOUND,
            Ok(None) => MISSING,
            Err(_) => FAILED,
        };
        self.lookups.get_or_create(&outcome).inc();
    }

    /// Counts a response of the API with `Retry-After`.
    pub(crate) fn count_rate_limit(&self) {
        self.rate_limits.inc();
    }

    /// Counts messages that are returned to their queue.
    pub(crate) fn count_given_back(&self, messages: usize) {
        self.count_given_back.inc_by(messages as u64);
    }
}
