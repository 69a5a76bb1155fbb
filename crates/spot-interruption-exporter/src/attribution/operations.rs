//! Interruptions that the provider's API lists, in addition to messages.
//!
//! In this module an operation is any entry of a list that reports an interruption. A message and an operation report the
//! same event if the instance and the operation's name are equal. They can arrive in either order, so two sets of ids are
//! kept: events counted by a message, until the operations were listed well after the message, and events counted by an
//! operation, for as long as the message may still arrive.
//!
//! If operations only replace lost messages, each operation is first held for the grace, because its message is
//! probably about to arrive.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Attribution;
use super::held::{EventKind, ReportedBy};
use super::outcome::Outcome;
use super::record::Decided;
use crate::dedup::{Fingerprint, Ids};
use crate::event::{Entry, Event, Ignored};
use crate::timeline::{Timeline, TimelineChanges};

/// Maximum delay until Compute Engine lists an operation. Listings overlap by this time.
pub const OPERATION_LATENESS: Duration = Duration::from_secs(10 * 60);

/// How long the message of an operation can arrive late. Queues keep unacknowledged messages for up to two weeks.
const MESSAGE_RETENTION: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// Maximum number of ids of events counted by an operation. Each event has two ids.
const MAX_BY_OPERATION: usize = 2 * 100_000;

/// Maximum number of ids of events counted by a message.
const MAX_BY_MESSAGE: usize = 1_000_000;

#[derive(Debug)]
pub(super) struct Operations<T> {
    /// Whether operations are listed at all.
    are_watched: bool,
    /// Time up to which all operations were received; `None` before the first complete listing.
    received_until: Option<Instant>,
    /// Events counted by a message.
    by_message: Ids,
    /// Events counted by an operation.
    by_operation: Ids,
    held: BTreeMap<(Instant, u64), HeldOperation<T>>,
    numbers: u64,
}

/// An operation whose message may still arrive.
#[derive(Debug)]
pub(super) struct HeldOperation<T> {
    pub(super) entry: Entry<'static>,
    pub(super) token: T,
    /// When the operation was received.
    pub(super) since: Instant,
}

impl<T> Operations<T> {
    /// `lateness` is the maximum delay until an operation appears in a listing.
    pub(super) fn restore(
        lateness: Duration,
        by_message: Timeline<u64>,
        by_operation: Timeline<u64>,
    ) -> Self {
        Self {
            are_watched: false,
            received_until: None,
            by_message: Ids::restore(lateness, by_message),
            by_operation: Ids::restore(MESSAGE_RETENTION, by_operation),
            held: BTreeMap::new(),
            numbers: 0,
        }
    }

    /// Starts to remember events for comparison with operations.
    pub(super) fn watch(&mut self) {
        self.are_watched = true;
    }

    /// Notes that all operations up to a moment were received.
    pub(super) fn received_until(&mut self, moment: Instant) {
        self.received_until = self.received_until.max(Some(moment));
    }

    /// Whether the event of a message was counted by an operation.
    pub(super) fn has_counted(&self, fingerprint: &Fingerprint) -> bool {
        fingerprint.operation().is_some_and(|id| self.by_operation.contains(id))
    }

    /// Whether the event of an operation was counted already.
    pub(super) fn is_known(&self, fingerprint: &Fingerprint) -> bool {
        fingerprint.keys().any(|id| self.by_message.contains(id) || self.by_operation.contains(id))
    }

    /// Notes an event counted by a message.
    pub(super) fn note_reported(&mut self, fingerprint: &Fingerprint) {
        if let Some(id) = fingerprint.operation().filter(|_| self.are_watched) {
            self.by_message.add(id);
            self.by_message.remove_oldest(MAX_BY_MESSAGE);
        }
    }

    /// Notes an event counted by an operation.
    pub(super) fn note_counted(&mut self, fingerprint: &Fingerprint) {
        for id in fingerprint.keys() {
            self.by_operation.add(id);
        }
        self.by_operation.remove_oldest(MAX_BY_OPERATION);
    }

    pub(super) fn hold(&mut self, until: Instant, held: HeldOperation<T>) {
        self.numbers += 1;
        self.held.insert((until, self.numbers), held);
    }

    pub(super) fn pop_due(&mut self, now: Instant) -> Option<HeldOperation<T>> {
        let entry = self.held.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(entry.remove())
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.held.first_key_value().map(|((until, _), _)| *until)
    }

    pub(super) fn forget_held(&mut self) {
        self.held.clear();
    }

    /// Removes ids that are not needed at `now`. Everything before `safe` is safe.
    pub(super) fn expire(&mut self, safe: Instant, now: Instant) {
        // A held operation is compared with the ids at the end of its grace, so ids added since then must stay.
        let held = self.held.first_key_value().map_or(now, |(_, held)| held.since);
        if let Some(received) = self.received_until {
            self.by_message.expire(safe.min(now).min(received).min(held));
        }
        self.by_operation.expire(safe.min(now));
    }

    pub(super) fn total_added(&self) -> [u64; 2] {
        [self.by_message.total_added(), self.by_operation.total_added()]
    }

    pub(super) fn start_windows(&mut self, decided: &Decided, now: Instant) {
        let [by_message, by_operation] = decided.operations;
        self.by_message.start_window(by_message, now);
        self.by_operation.start_window(by_operation, now);
    }

    pub(super) fn take_changes(&mut self, now: Instant) -> [TimelineChanges<u64>; 2] {
        [self.by_message.take_changes(now), self.by_operation.take_changes(now)]
    }
}

impl<T> Attribution<T> {
    /// Processes an interruption or creation that Compute Engine lists as an operation. With `wait`, the operation is
    /// first held for the grace, because its message is probably about to arrive.
    pub fn operation(&mut self, entry: Entry<'static>, wait: bool, token: T, now: Instant) {
        self.tick(now);
        let operation = HeldOperation { entry, token, since: now };
        if wait && !self.is_reported(&operation.entry) {
            return self.operations.hold(now + self.settings.attribution_grace, operation);
        }
        self.take_operation(operation, now);
    }

    /// Starts to remember events of messages, so that their operations are recognized as duplicates.
    pub fn watch_operations(&mut self) {
        self.operations.watch();
    }

    /// Notes that all operations up to a moment were received.
    pub fn operations_received(&mut self, until: Instant) {
        self.operations.received_until(until);
    }

    /// Whether the interruption of an operation is already known.
    fn is_reported(&self, entry: &Entry<'_>) -> bool {
        let Event::Interruption { instance, .. } = &entry.event else { return false };
        let name = entry.operation_id.as_deref().unwrap_or_default();
        self.operations.is_known(&self.interruptions.fingerprint_of_operation(instance, name))
    }

    pub(super) fn take_operation(&mut self, operation: HeldOperation<T>, now: Instant) {
        let HeldOperation { entry, token, .. } = operation;
        let name = entry.operation_id.as_deref().unwrap_or_default();
        match &entry.event {
            Event::Interruption { instance, reason } => {
                self.note_project(instance);
                let fingerprint = self.interruptions.fingerprint_of_operation(instance, name);
                if self.operations.is_known(&fingerprint) {
                    return self.resolve(token, Outcome::Duplicate);
                }
                let kind = EventKind::Interruption {
                    reason: *reason,
                    at: entry.timestamp,
                    reported_by: ReportedBy::Operation,
                };
                self.resolve_or_hold(instance, kind, fingerprint, token, now);
            }
            Event::UnlabelledCreation(instance) => {
                let fingerprint = self.creations.fingerprint_of_operation(instance, name);
                self.resolve_or_hold(instance, EventKind::Creation, fingerprint, token, now);
            }
            _ => self.resolve(token, Outcome::Ignored(Ignored::OtherMethod)),
        }
    }
}
