//! What the landing page says of webhooks and runs.

use std::time::Duration;

use exporter_common::http::{Fact, ago};

use super::counts::{Counter, Counts};
use super::state::{DeliveryResult, Shared};
use super::tracker::Moment;

/// Results that somebody has to do something about.
const PROBLEMS: [DeliveryResult; 5] = [
    DeliveryResult::Invalid,
    DeliveryResult::BadSignature,
    DeliveryResult::WrongAccount,
    DeliveryResult::TooLarge,
    DeliveryResult::Overloaded,
];

/// The last delivery, how many came, and what runs now.
pub(crate) fn facts(state: &Shared) -> Vec<Fact> {
    let now = Moment::now().timestamp;
    state.view(|tracker, counts, last_delivery| {
        let last = last_delivery.map_or_else(
            || "none yet".to_owned(),
            |last| ago(Duration::from_secs_f64(now.seconds_since(last))),
        );
        let running: u64 = tracker.active().runs.values().sum();
        let refused: Vec<String> = PROBLEMS
            .iter()
            .map(|result| (result.label(), deliveries(counts, *result)))
            .filter(|(_, count)| *count > 0.0)
            .map(|(label, count)| format!("{label}: {count}"))
            .collect();
        let shown = if refused.is_empty() { "none".to_owned() } else { refused.join(", ") };
        vec![
            Fact::new("Last delivery of a webhook", last),
            Fact::new("Deliveries accepted", deliveries(counts, DeliveryResult::Accepted)),
            Fact::new("Deliveries not counted", shown).problem_if(!refused.is_empty()),
            Fact::new("Runs that have not ended", running),
        ]
    })
}

fn deliveries(counts: &Counts, result: DeliveryResult) -> f64 {
    let labels = [Box::from(result.label())].into();
    counts.counters.get(&(Counter::Deliveries, labels)).copied().unwrap_or_default()
}
