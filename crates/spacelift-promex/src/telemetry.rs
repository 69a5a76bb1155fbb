//! What the exporter says of its own dealings with the API.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use exporter_common::failure_log::{FailureLog, LogLine, REMINDER};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use tokio::time::Instant;

use crate::collectors::Collector;
use crate::failure::Failure;
use crate::round::Outcome;

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
    exchanges: Family<Exchange, Counter>,
    logs: Arc<Mutex<Logs>>,
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
struct Exchange {
    outcome: &'static str,
}

/// What was logged of things that repeat.
#[derive(Debug, Default)]
struct Logs {
    collectors: HashMap<&'static str, FailureLog>,
    exchange: FailureLog,
    /// When an exchange that succeeded was logged.
    exchanged: Option<Instant>,
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
            logs: Arc::default(),
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
            drop(telemetry.exchanges.get_or_create(&Exchange { outcome }));
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

    /// Logs what is new in what a collector brought in a round.
    pub(crate) fn completed(&self, outcome: &Outcome) {
        let collector = outcome.collector.name;
        if let Err(Failure::Unsupported(reason)) = &outcome.result {
            tracing::debug!(collector, reason, "not supported");
        }
        let error = outcome.result.as_ref().err().filter(|_| !outcome.is_success());
        let line = self.logs().collectors.entry(collector).or_default().note(error);
        let error = error.map(tracing::field::display);
        match line {
            None => {}
            Some(LogLine::Failed) => tracing::warn!(collector, error, "the collector failed"),
            Some(LogLine::OtherReason { failures }) => {
                tracing::warn!(collector, error, failures, "the collector failed for another reason");
            }
            Some(LogLine::StillFailing { failures, since }) => {
                let seconds = since.as_secs();
                tracing::warn!(collector, error, failures, seconds, "the collector still fails");
            }
            Some(LogLine::Recovered { failures, since }) => {
                tracing::info!(collector, failures, seconds = since.as_secs(), "the collector recovered");
            }
        }
    }

    /// Counts one exchange of the key for a token, and logs it if it is news.
    pub(crate) fn exchanged(&self, failure: Option<&Failure>) {
        let outcome = failure.map_or(SUCCESS, Failure::outcome);
        self.exchanges.get_or_create(&Exchange { outcome }).inc();
        let now = Instant::now();
        let mut logs = self.logs();
        let line = logs.exchange.note(failure);
        let Some(error) = failure else {
            // A clock that is ahead of the API's leads to an exchange in every scrape.
            let is_news = line.is_some() || logs.exchanged.is_none_or(|last| now - last >= REMINDER);
            if is_news {
                logs.exchanged = Some(now);
                tracing::info!("exchanged the API key for a token");
            } else {
                tracing::debug!("exchanged the API key for a token");
            }
            return;
        };
        // Whoever looks for an API that does not answer looks for this.
        let cannot_reach = if matches!(error, Failure::Timeout(_)) { "cannot reach the API: " } else { "" };
        let error = format!("{cannot_reach}{error}");
        match line {
            None => {}
            Some(LogLine::OtherReason { failures } | LogLine::StillFailing { failures, .. }) => {
                tracing::warn!(error, failures, "cannot exchange the API key for a token");
            }
            Some(_) => tracing::warn!(error, "cannot exchange the API key for a token"),
        }
    }

    fn logs(&self) -> MutexGuard<'_, Logs> {
        // Counts and moments; whatever a panic left is good enough for deciding about a log line.
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes a result in a log.
trait Note {
    fn note(&mut self, failure: Option<&Failure>) -> Option<LogLine>;
}

impl Note for FailureLog {
    fn note(&mut self, failure: Option<&Failure>) -> Option<LogLine> {
        match failure {
            Some(failure) => self.failed(&failure.reason(), Instant::now()),
            None => self.succeeded(Instant::now()),
        }
    }
}
