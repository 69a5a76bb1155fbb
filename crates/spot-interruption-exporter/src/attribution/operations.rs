//! Interruptions that the provider's API lists as operations, beside the messages.
//!
//! An operation and a message tell of the same event by the instance and the operation's name, in either order. So two
//! sets of ids are kept. Those of messages, for as long as their operation may still be offered: until the operations were
//! listed well after the message counted. And those of operations that counted, for as long as the message may still come.
//!
//! Where operations only stand in for messages that are lost, each is held for the grace first, since its message is likely
//! to be on its way.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Attribution;
use super::outcome::Outcome;
use super::record::Decided;
use super::waiting::{Kind, Learnt};
use crate::dedup::{Fingerprint, Ids};
use crate::event::{Entry, Event, Ignored};
use crate::timeline::{Timeline, TimelineChanges};

/// How late an operation may appear in a listing, at most. Listings overlap by so much.
pub const OPERATION_LATENESS: Duration = Duration::from_secs(10 * 60);

/// How long the message of an operation that counted may still come: queues keep what is not acknowledged for up to two
/// weeks or so.
const MESSAGE_RETENTION: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// Operations that counted without their message and are remembered, with two ids each.
const MOST_COUNTED: usize = 2 * 100_000;

/// Messages that counted and whose operation was not offered yet.
const MOST_TOLD: usize = 1_000_000;

#[derive(Debug)]
pub(super) struct Operations<T> {
    /// Whether operations are listed at all.
    are_watched: bool,
    /// Up to when all were offered; `None` before that is known.
    offered_until: Option<Instant>,
    /// Events that a message told of.
    told: Ids,
    /// Events that an operation counted.
    counted: Ids,
    held: BTreeMap<(Instant, u64), HeldOperation<T>>,
    numbers: u64,
}

/// An operation whose message may be on its way.
#[derive(Debug)]
pub(super) struct HeldOperation<T> {
    pub(super) entry: Entry<'static>,
    pub(super) token: T,
    /// Since when it is held.
    pub(super) since: Instant,
}

impl<T> Operations<T> {
    pub(super) fn restore(told: Timeline<u64>, counted: Timeline<u64>) -> Self {
        Self {
            are_watched: false,
            offered_until: None,
            told: Ids::restore(OPERATION_LATENESS, told),
            counted: Ids::restore(MESSAGE_RETENTION, counted),
            held: BTreeMap::new(),
            numbers: 0,
        }
    }

    /// Operations are listed.
    pub(super) fn watch(&mut self) {
        self.are_watched = true;
    }

    /// All operations up to a moment were offered.
    pub(super) fn offered_until(&mut self, moment: Instant) {
        self.offered_until = self.offered_until.max(Some(moment));
    }

    /// Whether an operation has counted the event of a message.
    pub(super) fn has_counted(&self, fingerprint: &Fingerprint) -> bool {
        fingerprint.operation().is_some_and(|id| self.counted.contains(id))
    }

    /// Whether a message or another listing has told of the event of an operation.
    pub(super) fn is_known(&self, fingerprint: &Fingerprint) -> bool {
        fingerprint.keys().any(|id| self.told.contains(id) || self.counted.contains(id))
    }

    /// A message has told of an event.
    pub(super) fn note_told(&mut self, fingerprint: &Fingerprint) {
        if let Some(id) = fingerprint.operation().filter(|_| self.are_watched) {
            self.told.add(id);
            self.told.bound(MOST_TOLD);
        }
    }

    /// An operation has counted an event.
    pub(super) fn note_counted(&mut self, fingerprint: &Fingerprint) {
        for id in fingerprint.keys() {
            self.counted.add(id);
        }
        self.counted.bound(MOST_COUNTED);
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

    /// Forgets what had to be remembered until `now`; everything before `safe` is safe.
    pub(super) fn expire(&mut self, safe: Instant, now: Instant) {
        // A held operation is compared with these ids when its grace ends, so ids added since it is held must stay.
        let held = self.held.first_key_value().map_or(now, |(_, held)| held.since);
        if let Some(offered) = self.offered_until {
            self.told.expire(safe.min(now).min(offered).min(held));
        }
        self.counted.expire(safe.min(now));
    }

    pub(super) fn added(&self) -> [u64; 2] {
        [self.told.added(), self.counted.added()]
    }

    pub(super) fn settle(&mut self, decided: &Decided, now: Instant) {
        let [told, counted] = decided.operations;
        self.told.settle(told, now);
        self.counted.settle(counted, now);
    }

    pub(super) fn take_changes(&mut self, now: Instant) -> [TimelineChanges<u64>; 2] {
        [self.told.take_changes(now), self.counted.take_changes(now)]
    }
}

impl<T> Attribution<T> {
    /// Takes an event that the provider's API lists as an operation. With `wait` it is held for the grace first, since its
    /// message is likely to be on its way.
    pub fn operation(&mut self, entry: Entry<'static>, wait: bool, token: T, now: Instant) {
        self.tick(now);
        let operation = HeldOperation { entry, token, since: now };
        if wait && !self.is_told(&operation.entry) {
            return self.operations.hold(now + self.settings.attribution_grace, operation);
        }
        self.take_operation(operation, now);
    }

    /// Operations are going to be listed. From now on it is remembered what messages tell, for their operations to be
    /// recognised.
    pub fn watch_operations(&mut self) {
        self.operations.watch();
    }

    /// All operations up to a moment were passed in.
    pub fn operations_offered(&mut self, until: Instant) {
        self.operations.offered_until(until);
    }

    /// Whether the interruption that an operation tells of is known.
    fn is_told(&self, entry: &Entry<'_>) -> bool {
        let Event::Interruption { instance, .. } = &entry.event else { return false };
        let name = entry.operation_id.as_deref().unwrap_or_default();
        self.operations.is_known(&self.interruptions.fingerprint_of_operation(instance, name))
    }

    pub(super) fn take_operation(&mut self, operation: HeldOperation<T>, now: Instant) {
        let HeldOperation { entry, token, .. } = operation;
        let name = entry.operation_id.as_deref().unwrap_or_default();
        match &entry.event {
            Event::Interruption { instance, reason } => {
                self.meet_project(instance);
                let fingerprint = self.interruptions.fingerprint_of_operation(instance, name);
                if self.operations.is_known(&fingerprint) {
                    return self.resolve(token, Outcome::Duplicate);
                }
                let kind =
                    Kind::Interruption { reason: *reason, at: entry.timestamp, learnt: Learnt::Operation };
                self.settle_or_hold(instance, kind, fingerprint, token, now);
            }
            Event::UnlabelledCreation(instance) => {
                let fingerprint = self.creations.fingerprint_of_operation(instance, name);
                self.settle_or_hold(instance, Kind::Creation, fingerprint, token, now);
            }
            _ => self.resolve(token, Outcome::Ignored(Ignored::OtherMethod)),
        }
    }
}
