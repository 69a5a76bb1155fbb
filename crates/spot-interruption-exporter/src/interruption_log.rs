//! One log line for each interruption, so that an operator can tell which node it was.
//!
//! In a burst only the first lines of each second are written, then one line with the number of those left out: the
//! metrics have them all.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::attribution::{Counted, Outcome, Why};
use crate::event::{Entry, Event, InterruptionReason, Reasons};
use crate::instance::{CompactRef, InstanceId};
use crate::inventory::{Inventory, Profile};

/// Lines in one second.
const LINES: u64 = 10;

const SECOND: Duration = Duration::from_secs(1);

/// The instance that a message is about, if it is one about an interruption. Other messages are not logged with one.
pub(crate) fn subject(entry: &Entry<'_>) -> CompactRef {
    match &entry.event {
        Event::Interruption { instance, .. } => instance.into(),
        _ => CompactRef::default(),
    }
}

/// Writes the lines.
#[derive(Debug)]
pub(crate) struct InterruptionLog {
    reasons: Reasons,
    /// When the present second began.
    second: Option<Instant>,
    /// Interruptions in it.
    interruptions: u64,
}

impl InterruptionLog {
    /// Nothing is written yet.
    pub(crate) fn new(reasons: Reasons) -> Self {
        Self { reasons, second: None, interruptions: 0 }
    }

    /// Writes a line if the outcome is that of an interruption. `now` is one moment by both clocks.
    pub(crate) fn write(
        &mut self,
        subject: &CompactRef,
        outcome: &Outcome,
        inventory: &Inventory,
        now: (Instant, Timestamp),
    ) {
        let line = match *outcome {
            Outcome::Counted(Counted { profile, reason, at, lifetime }) => {
                Line { profile: Some(inventory.profile(profile)), reason, at, lifetime, why: None }
            }
            Outcome::Unattributed { reason, at, why } => {
                Line { profile: None, reason, at, lifetime: None, why: Some(why) }
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

    /// Says how many lines were left out, if the second is over.
    pub(crate) fn flush(&mut self, now: Instant) {
        if self.second.is_some_and(|second| now.saturating_duration_since(second) >= SECOND) {
            self.finish();
        }
    }

    /// Says how many lines were left out.
    pub(crate) fn finish(&mut self) {
        let left_out = self.interruptions.saturating_sub(LINES);
        if left_out > 0 {
            tracing::info!(left_out, "further interruptions within a second are not logged one by one");
        }
        self.second = None;
        self.interruptions = 0;
    }
}

/// What a line says beside the instance.
struct Line<'a> {
    profile: Option<&'a Profile>,
    reason: InterruptionReason,
    at: Option<Timestamp>,
    lifetime: Option<Duration>,
    /// Why it belongs to no known cluster.
    why: Option<Why>,
}

impl Line<'_> {
    fn write(&self, subject: &CompactRef, reasons: &Reasons, now: Timestamp) {
        let named = subject.get();
        let known = |field: fn(&Profile) -> &str| self.profile.map(field).filter(|text| !text.is_empty());
        let delay = self.at.map(|at| Duration::try_from(now.duration_since(at)).unwrap_or_default());
        // A field without a value is left out of the line.
        tracing::info!(
            instance = named.name.as_deref(),
            id = named.id.map(InstanceId::get),
            project = named.project.as_deref().or(known(|profile| &profile.project)),
            zone = named.zone.as_deref().or(known(|profile| &profile.zone)),
            cluster = known(|profile| &profile.cluster),
            node_pool = known(|profile| &profile.node_pool),
            machine_type = known(|profile| &profile.machine_type),
            reason = reasons.label(self.reason),
            lifetime_seconds = self.lifetime.map(|lifetime| lifetime.as_secs_f64()),
            delay_seconds = delay.map(|delay| delay.as_secs_f64()),
            unattributed = self.why.map(Why::label),
            "an instance was interrupted"
        );
    }
}
