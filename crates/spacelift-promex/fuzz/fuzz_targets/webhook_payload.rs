//! Webhook deliveries with any body: parsing never panics and is deterministic, and a repeated delivery changes no count.

#![no_main]

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use spacelift_promex::runs::{
    Counter, Counts, DedupStatus, Moment, RunLimits, RunUpdate, Timestamp, Tracker, TrackerRecord,
};
use spacelift_promex::webhook::payload::{Event, Payload, parse};

const LIMITS: RunLimits = RunLimits {
    max_stacks: 10,
    stack_ttl: Duration::from_secs(3_600),
    max_age: Duration::from_secs(3_600),
};

/// The time of receipt, the same for all deliveries.
static RECEIVED: LazyLock<Moment> = LazyLock::new(|| Moment {
    timestamp: Timestamp(1_757_500_000_000_000),
    instant: Instant::now(),
});

fuzz_target!(|bytes: &[u8]| {
    let parsed = parse(bytes);
    assert_eq!(parsed, parse(bytes), "parsing is not deterministic");
    if let Ok(Payload { event: Event::Run(update), .. }) = parsed {
        check_duplicate(&update);
    }
});

/// Applies a delivery twice. The second time is a duplicate and changes no count.
fn check_duplicate(update: &RunUpdate) {
    let mut tracker = Tracker::new(LIMITS, TrackerRecord::default());
    let mut counts = Counts::default();
    assert_eq!(tracker.apply(update, *RECEIVED, &mut counts), DedupStatus::New);
    let expected = without_limit(counts.clone());
    assert_eq!(tracker.apply(update, *RECEIVED, &mut counts), DedupStatus::Duplicate);
    assert_eq!(without_limit(counts), expected, "a duplicate was counted");
}

/// Removes the counter of deliveries beyond the stack limit, which also counts duplicates.
fn without_limit(mut counts: Counts) -> Counts {
    counts.counters.retain(|(counter, _), _| *counter != Counter::StackLimitExceeded);
    counts
}
