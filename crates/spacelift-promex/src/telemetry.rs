//! What the exporter says of its own dealings with the API.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::collectors::Collector;
use crate::failure::Failure;

/// The outcome of an operation that brought what was asked for.
const SUCCESS: &str = "success";

/// The operation of a token exchange; the others are named after their collector.
pub(crate) const TOKEN_EXCHANGE: &str = "token_exchange";

fn outcomes() -> impl Iterator<Item = &'static str> {
    [SUCCESS].into_iter().chain(Failure::OUTCOMES)
}

/// Handles of the exporter's own families.
#[derive(Debug, Clone)]
pub struct Telemetry {
    requests: Family<Request, Counter>,
    durations: Family<Operation, Histogram, fn() -> Histogram>,
    exchanges: Family<Outcome, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    operation: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Operation {
    operation: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

/// From a fast local proxy to the default deadline and beyond, in seconds.
const BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

impl Telemetry {
    /// Registers the families. Every series starts at 0, so that a rate sees its first
    /// increment.
    pub fn register(registry: &mut Registry, collectors: &[&'static Collector]) -> Self {
        let telemetry = Self {
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            exchanges: Family::default(),
        };
        registry.register(
            "spacelift_promex_api_requests",
            "Operations asked of the Spacelift API, by operation and outcome",
            telemetry.requests.clone(),
        );
        registry.register(
            "spacelift_promex_api_request_duration_seconds",
            "Time from asking the Spacelift API to the whole answer, by operation",
            telemetry.durations.clone(),
        );
        registry.register(
            "spacelift_promex_token_exchanges",
            "Exchanges of the API key for a token, by outcome",
            telemetry.exchanges.clone(),
        );
        for operation in collectors.iter().map(|collector| collector.name).chain([TOKEN_EXCHANGE]) {
            for outcome in outcomes() {
                drop(telemetry.requests.get_or_create(&Request { operation, outcome }));
            }
        }
        for outcome in outcomes() {
            drop(telemetry.exchanges.get_or_create(&Outcome { outcome }));
        }
        telemetry
    }

    /// Counts and logs one request to the API.
    pub(crate) fn requested(&self, operation: &'static str, failure: Option<&Failure>, duration: Duration) {
        let outcome = failure.map_or(SUCCESS, Failure::outcome);
        self.requests.get_or_create(&Request { operation, outcome }).inc();
        self.durations.get_or_create(&Operation { operation }).observe(duration.as_secs_f64());
        tracing::debug!(operation, outcome, seconds = duration.as_secs_f64(), "asked the API");
    }

    /// Counts and logs one exchange of the key for a token.
    pub(crate) fn exchanged(&self, failure: Option<&Failure>) {
        let outcome = failure.map_or(SUCCESS, Failure::outcome);
        self.exchanges.get_or_create(&Outcome { outcome }).inc();
        match failure {
            None => tracing::info!("exchanged the API key for a token"),
            Some(error) => tracing::warn!(%error, "cannot exchange the API key for a token"),
        }
    }
}
