//! Metrics and logs about the exporter's requests to the API.

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

/// The outcome of a successful operation.
const SUCCESS: &str = "success";

/// The operation of a token exchange; the others are named after their collector.
pub(crate) const TOKEN_EXCHANGE: &str = "token_exchange";

fn outcomes() -> impl Iterator<Item = &'static str> {
    [SUCCESS].into_iter().chain(Failure::OUTCOMES)
}

/// Handles of the metrics about requests, and the state of the log.
#[derive(Debug, Clone)]
pub struct Telemetry {
    requests: Family<RequestLabels, Counter>,
    durations: Family<OperationLabels, Histogram, fn() -> Histogram>,
    exchanges: Family<ExchangeLabels, Counter>,
    logs: Arc<Mutex<LogState>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    operation: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabels {
    operation: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ExchangeLabels {
    outcome: &'static str,
}

/// What was logged of repeated events.
#[derive(Debug, Default)]
struct LogState {
    collectors: HashMap<&'static str, FailureLog>,
    exchange: FailureLog,
    /// When a successful exchange was last logged.
    exchange_logged: Option<Instant>,
}

/// Bucket bounds of the request duration in seconds, from a local proxy to twice the default timeout.
const BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

impl Telemetry {
    /// Registers the metrics. Every series starts at 0, so that Prometheus sees its first increase.
    pub fn register(registry: &mut Registry, collectors: &[&'static Collector]) -> Self {
        let telemetry = Self {
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            exchanges: Family::default(),
            logs: Arc::default(),
        };
        registry.register(
            "spacelift_promex_api_requests",
            "Requests to the Spacelift API by operation and outcome",
            telemetry.requests.clone(),
        );
        registry.register(
            "spacelift_promex_api_request_duration_seconds",
            "Time from a request to the Spacelift API to the end of its response, by operation",
            telemetry.durations.clone(),
        );
        registry.register(
            "spacelift_promex_token_exchanges",
            "Exchanges of the API key for a token by outcome",
            telemetry.exchanges.clone(),
        );
        for operation in collectors.iter().map(|collector| collector.name).chain([TOKEN_EXCHANGE]) {
            for outcome in outcomes() {
                drop(telemetry.requests.get_or_create(&RequestLabels { operation, outcome }));
            }
        }
        for outcome in outcomes() {
            drop(telemetry.exchanges.get_or_create(&ExchangeLabels { outcome }));
        }
        telemetry
    }

    /// Counts and logs one request to the API.
    pub(crate) fn requested(&self, operation: &'static str, failure: Option<&Failure>, duration: Duration) {
        let outcome = failure.map_or(SUCCESS, Failure::outcome);
        self.requests.get_or_create(&RequestLabels { operation, outcome }).inc();
        self.durations.get_or_create(&OperationLabels { operation }).observe(duration.as_secs_f64());
        tracing::debug!(operation, outcome, seconds = duration.as_secs_f64(), "requested the API");
    }

    /// Logs the outcome of a collector if it differs from the previous round, or as a reminder.
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

    /// Counts a token exchange, and logs it if its result is new.
    pub(crate) fn exchanged(&self, failure: Option<&Failure>) {
        let outcome = failure.map_or(SUCCESS, Failure::outcome);
        self.exchanges.get_or_create(&ExchangeLabels { outcome }).inc();
        let now = Instant::now();
        let mut logs = self.logs();
        let line = logs.exchange.note(failure);
        let Some(error) = failure else {
            // A clock that is ahead of the API's causes an exchange in every scrape.
            let is_new = line.is_some() || logs.exchange_logged.is_none_or(|last| now - last >= REMINDER);
            if is_new {
                logs.exchange_logged = Some(now);
                tracing::info!("exchanged the API key for a token");
            } else {
                tracing::debug!("exchanged the API key for a token");
            }
            return;
        };
        // "cannot reach" is the text to search for, also if the API does not respond at all.
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

    fn logs(&self) -> MutexGuard<'_, LogState> {
        // Only counts and times for rate-limiting log lines, so a state left by a panic is good enough.
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes results in a [`FailureLog`].
trait NoteResult {
    fn note(&mut self, failure: Option<&Failure>) -> Option<LogLine>;
}

impl NoteResult for FailureLog {
    fn note(&mut self, failure: Option<&Failure>) -> Option<LogLine> {
        match failure {
            Some(failure) => self.failed(&failure.reason(), Instant::now()),
            None => self.succeeded(Instant::now()),
        }
    }
}
