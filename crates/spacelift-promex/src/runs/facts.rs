//! Rows of the landing page about webhooks and runs.

use std::time::Duration;

use exporter_common::http::{Fact, ago};

use super::counts::{Counter, Counts};
use super::state::{DeliveryResult, SharedRuns};
use super::tracker::Moment;

/// Results that need the operator's attention.
const PROBLEMS: [DeliveryResult; 5] = [
    DeliveryResult::Invalid,
    DeliveryResult::BadSignature,
    DeliveryResult::WrongAccount,
    DeliveryResult::TooLarge,
    DeliveryResult::Overloaded,
];

/// Returns the rows: the last delivery, the numbers of accepted and rejected deliveries, and the active runs.
pub(crate) fn facts(state: &SharedRuns) -> Vec<Fact> {
    let now = Moment::now().timestamp;
    state.view(|tracker, counts, last_delivery| {
        let last = last_delivery.map_or_else(
            || "none yet".to_owned(),
            |last| ago(Duration::from_secs_f64(now.seconds_since(last))),
        );
        let running: u64 = tracker.active().runs.values().sum();
        let problems: Vec<String> = PROBLEMS
            .iter()
            .map(|result| (result.label(), deliveries(counts, *result)))
            .filter(|(_, count)| *count > 0.0)
            .map(|(label, count)| format!("{label}: {count}"))
            .collect();
        let shown = if problems.is_empty() { "none".to_owned() } else { problems.join(", ") };
        vec![
            Fact::new("Last delivery of a webhook", last),
            Fact::new("Deliveries accepted", deliveries(counts, DeliveryResult::Accepted)),
            Fact::new("Deliveries not counted", shown).problem_if(!problems.is_empty()),
            Fact::new("Runs that have not ended", running),
        ]
    })
}

fn deliveries(counts: &Counts, result: DeliveryResult) -> f64 {
    let labels = [Box::from(result.label())].into();
    counts.counters.get(&(Counter::Deliveries, labels)).copied().unwrap_or_default()
}
