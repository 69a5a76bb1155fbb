//! The counts.
//!
//! An interruption is counted once, by profile and reason. The metrics are sums of these counts, so they are always
//! consistent.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::attribution::{Counted, Outcome};
use crate::event::{FailureReason, InterruptionReason};
use crate::inventory::ProfileId;
use crate::source::Queue;

/// Buckets of the age at interruption, in seconds: from minutes to a week.
pub const LIFETIME: Bounds = [
    60.0, 300.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0, 28_800.0, 43_200.0, 86_400.0, 259_200.0,
    604_800.0,
];

/// Buckets of the time from an event until it is counted, in seconds.
pub const DELIVERY: Bounds = [0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 3_600.0];

/// The upper bounds of a histogram's buckets, except the last, which is infinite.
pub type Bounds = [f64; 12];

/// The values of the `outcome` label of messages.
pub const OUTCOMES: [&str; 6] = ["counted", "unattributed", "added", "duplicate", "ignored", "invalid"];

/// The observations of a histogram.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Tally {
    /// Sum of all observed values.
    pub sum: f64,
    /// Number of observations in each bucket, not cumulative.
    pub buckets: [u64; 13],
}

impl Tally {
    /// Adds an observation.
    pub fn observe(&mut self, bounds: &Bounds, value: f64) {
        let bucket = bounds.iter().position(|bound| value <= *bound).unwrap_or(bounds.len());
        self.sum += value;
        self.buckets[bucket] += 1;
    }

    /// Adds another tally with the same bounds.
    pub fn add(&mut self, other: &Self) {
        self.sum += other.sum;
        for (own, other) in self.buckets.iter_mut().zip(other.buckets) {
            *own += other;
        }
    }

    /// Number of observations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

/// The interruptions of one profile and reason.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Interruptions {
    /// Number of interruptions.
    pub count: u64,
    /// Ages of the instances in seconds, where known.
    pub lifetimes: Tally,
}

impl Interruptions {
    /// Adds other counts.
    pub fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.lifetimes.add(&other.lifetimes);
    }
}

/// Counts, in total or of one batch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ledger {
    /// Interruptions of instances of a known cluster.
    pub interruptions: HashMap<(ProfileId, InterruptionReason), Interruptions>,
    /// Interruptions of other instances.
    pub unattributed: u64,
    /// Failed creations of spot nodes.
    pub creation_failures: HashMap<(ProfileId, FailureReason), u64>,
    /// Times from events until they are counted, in seconds.
    pub delivery: Tally,
    /// Messages by [`Queue`] and outcome, in the order of [`OUTCOMES`].
    pub messages: [[u64; OUTCOMES.len()]; Queue::COUNT],
}

impl Ledger {
    /// Counts the outcome of a message. `now` is wall-clock time.
    pub fn record(&mut self, queue: Queue, outcome: &Outcome, now: Timestamp) {
        if let Some(index) = OUTCOMES.iter().position(|name| *name == outcome.label()) {
            self.messages[queue.number()][index] += 1;
        }
        match outcome {
            Outcome::Counted(counted) => self.count(counted, now),
            Outcome::Unattributed { at, .. } => {
                self.unattributed += 1;
                self.delivered(*at, now);
            }
            Outcome::CreationFailed { profile, reason } => {
                *self.creation_failures.entry((*profile, *reason)).or_default() += 1;
            }
            Outcome::Added | Outcome::Duplicate | Outcome::Ignored(_) | Outcome::Invalid(_) => {}
        }
    }

    /// Adds the counts of a batch.
    pub fn add(&mut self, batch: &Self) {
        for (kind, interruptions) in &batch.interruptions {
            self.interruptions.entry(*kind).or_default().add(interruptions);
        }
        for (kind, count) in &batch.creation_failures {
            *self.creation_failures.entry(*kind).or_default() += count;
        }
        self.unattributed += batch.unattributed;
        self.delivery.add(&batch.delivery);
        for (own, other) in self.messages.iter_mut().flatten().zip(batch.messages.iter().flatten()) {
            *own += other;
        }
    }

    /// Interruptions that were reported by an operation only and whose message was lost, attributed or not.
    #[must_use]
    pub fn reconciled(&self) -> u64 {
        let counts = OUTCOMES.iter().zip(&self.messages[Queue::Reconciled.number()]);
        counts
            .filter(|(outcome, _)| ["counted", "unattributed"].contains(outcome))
            .map(|(_, count)| count)
            .sum()
    }

    /// All interruptions, attributed or not.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.interruptions.values().map(|interruptions| interruptions.count).sum::<u64>() + self.unattributed
    }

    fn count(&mut self, counted: &Counted, now: Timestamp) {
        let interruptions = self.interruptions.entry((counted.profile, counted.reason)).or_default();
        interruptions.count += 1;
        if let Some(lifetime) = counted.lifetime {
            interruptions.lifetimes.observe(&LIFETIME, lifetime.as_secs_f64());
        }
        self.delivered(counted.at, now);
    }

    fn delivered(&mut self, at: Option<Timestamp>, now: Timestamp) {
        if let Some(at) = at {
            // Clocks may differ: a delay below zero counts as zero.
            let delay = Duration::try_from(now.duration_since(at)).unwrap_or_default();
            self.delivery.observe(&DELIVERY, delay.as_secs_f64());
        }
    }
}
