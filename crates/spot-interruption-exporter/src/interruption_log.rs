//! One log line for each interruption, with the name of the node.
//!
//! In a burst, only the first lines of each second are written, followed by one line with the number of omitted lines.
//! The metrics count all interruptions.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::attribution::{Counted, Outcome, UnattributedCause};
use crate::event::{Entry, Event, InterruptionReason, Reasons};
use crate::instance::{CompactRef, InstanceId};
use crate::inventory::{Inventory, Profile};

/// Maximum number of lines per second.
const LINES: u64 = 10;

const SECOND: Duration = Duration::from_secs(1);

/// Returns the instance of an interruption. Other events are logged without their instance.
pub(crate) fn subject(entry: &Entry<'_>) -> CompactRef {
    match &entry.event {
        Event::Interruption { instance, .. } => instance.into(),
        _ => CompactRef::default(),
    }
}

/// Writes the log lines.
#[derive(Debug)]
pub(crate) struct InterruptionLog {
    reasons: Reasons,
    /// Start of the current second.
    second: Option<Instant>,
    /// Number of interruptions in the current second.
    interruptions: u64,
}

impl InterruptionLog {
    /// Creates a log without lines.
    pub(crate) fn new(reasons: Reasons) -> Self {
        Self { reasons, second: None, interruptions: 0 }
    }

    /// Writes a line if the outcome is an interruption. `now` is the current time by both clocks.
    pub(crate) fn write(
        &mut self,
        subject: &CompactRef,
        outcome: &Outcome,
        inventory: &Inventory,
        now: (Instant, Timestamp),
    ) {
        let line = match *outcome {
            Outcome::Counted(Counted { profile, reason, at, lifetime }) => {
                Line { profile: Some(inventory.profile(profile)), reason, at, lifetime, cause: None }
            }
            Outcome::Unattributed { reason, at, cause } => {
                Line { profile: None, reason, at, lifetime: None, cause: Some(cause) }
            }
            _ => return,
        };
        self.flush(now.0);
        self.second.get_or_insert(now.0);
        self.interruptions += 1;
        if self.interruptions <= LINES {
            line.write(subject, &self.reasons, now.1);
        }
    }

    /// When [`flush`](Self::flush) has a line to write.
    pub(crate) fn next_flush(&self) -> Option<Instant> {
        self.second.filter(|_| self.interruptions > LINES).map(|second| second + SECOND)
    }

    /// Logs the number of omitted lines at the end of the second.
    pub(crate) fn flush(&mut self, now: Instant) {
        if self.second.is_some_and(|second| now.saturating_duration_since(second) >= SECOND) {
            self.finish();
        }
    }

    /// Logs the number of omitted lines.
    pub(crate) fn finish(&mut self) {
        let left_out = self.interruptions.saturating_sub(LINES);
        if left_out > 0 {
            tracing::info!(left_out, "further interruptions in this second were not logged individually");
        }
        self.second = None;
        self.interruptions = 0;
    }
}

/// Contents of a line, except the instance.
struct Line<'a> {
    profile: Option<&'a Profile>,
    reason: InterruptionReason,
    at: Option<Timestamp>,
    lifetime: Option<Duration>,
    /// Why the instance belongs to no known cluster.
    cause: Option<UnattributedCause>,
}

impl Line<'_> {
    fn write(&self, subject: &CompactRef, reasons: &Reasons, now: Timestamp) {
        let named = subject.get();
        let known = |field: fn(&Profile) -> &str| self.profile.map(field).filter(|text| !text.is_empty());
        let delay = self.at.map(|at| Duration::try_from(now.duration_since(at)).unwrap_or_default());
        // Fields without a value are omitted.
        tracing::info!(
            instance = named.name.as_deref(),
            id = named.id.map(InstanceId::get),
            project = named.project.as_deref().or(known(|profile| &profile.project)),
            // The source of an event may name only the region.
            zone = known(|profile| &profile.zone).or(named.zone.as_deref()),
            cluster = known(|profile| &profile.cluster),
            node_pool = known(|profile| &profile.node_pool),
            machine_type = known(|profile| &profile.machine_type),
            reason = reasons.label(self.reason),
            lifetime_seconds = self.lifetime.map(|lifetime| lifetime.as_secs_f64()),
            delay_seconds = delay.map(|delay| delay.as_secs_f64()),
            unattributed = self.cause.map(UnattributedCause::label),
            "an instance was interrupted"
        );
    }
}
