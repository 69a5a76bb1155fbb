//! Interruptions: their effect on an instance, and how long they are remembered.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::{InstanceKey, InstanceState, Inventory, Moment, ProfileId};
use crate::event::InterruptionReason;
use crate::instance::InstanceRef;

/// A listing that starts this long after an interruption shows the state after it. Stopping an instance takes some
/// seconds, and clocks differ.
const LISTING_MARGIN: Duration = Duration::from_secs(60);

/// The result of an interruption of a known instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interrupted {
    /// The labels to count it under.
    pub profile: ProfileId,
    /// Creation time of the instance. `None` also for the second interruption of an instance, because the time belongs
    /// to its first run.
    pub created_at: Option<Timestamp>,
}

/// The last interruption of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// The reason. `None` in a state written by version 0.1.0.
    pub reason: Option<InterruptionReason>,
    /// Time of the event.
    pub at: Option<Timestamp>,
}

/// The effect of an interruption on a known instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interruption {
    /// The interruption is to be counted.
    New(Interrupted),
    /// The same loss was reported by another method, and the instance was not seen running since.
    Repeated,
}

/// An interruption together with its times on this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RecordedLoss {
    pub(super) loss: Loss,
    /// When the event was received.
    pub(super) received_at: Instant,
    /// When the instance is removed.
    pub(super) until: Instant,
}

impl RecordedLoss {
    /// Whether a listing that started at this moment shows the state after the interruption.
    pub(super) fn is_before(&self, listing: Moment) -> bool {
        let by_event = self.loss.at.is_some_and(|at| {
            Duration::try_from(listing.timestamp.duration_since(at)).is_ok_and(|age| age >= LISTING_MARGIN)
        });
        by_event || listing.instant.saturating_duration_since(self.received_at) >= LISTING_MARGIN
    }
}

impl Inventory {
    /// Marks an instance as interrupted and returns the labels to count it under. Returns `None` if the instance is
    /// unknown.
    ///
    /// An instance can be interrupted more than once, because it can be started again under its id. An interruption by
    /// another method is a new one only if the instance was seen running in between.
    pub fn interrupt(
        &mut self,
        instance: &InstanceRef<'_>,
        loss: Loss,
        now: Instant,
    ) -> Option<Interruption> {
        let key = self.find(instance)?;
        self.set_id(key, instance.id);
        let tracked = self.at(key);
        let profile = tracked.profile;
        let created_at = tracked.created_at.and_then(|time| Timestamp::from_microsecond(time.get()).ok());
        if let Some(RecordedLoss { loss: before, until, .. }) = self.losses.get(key) {
            if before.reason.zip(loss.reason).is_some_and(|(before, now)| before != now) {
                return Some(Interruption::Repeated);
            }
            let loss = Loss { at: loss.at.max(before.at), ..loss };
            self.losses.insert(key, RecordedLoss { loss, received_at: now, until });
            self.mark_changed(key);
            return Some(Interruption::New(Interrupted { profile, created_at: None }));
        }
        self.update(key, |tracked| tracked.state = InstanceState::Interrupted);
        let until = now + self.tombstone_ttl;
        self.losses.insert(key, RecordedLoss { loss, received_at: now, until });
        self.tombstones.push(until, key);
        Some(Interruption::New(Interrupted { profile, created_at }))
    }

    /// Whether an instance was interrupted for this reason at about this time and was not seen running since. A missing
    /// time matches every time.
    #[must_use]
    pub fn is_same_loss(
        &self,
        instance: &InstanceRef<'_>,
        reason: InterruptionReason,
        at: Option<Timestamp>,
    ) -> bool {
        let Some(RecordedLoss { loss, .. }) = self.find(instance).and_then(|key| self.losses.get(key)) else {
            return false;
        };
        let is_near =
            loss.at.zip(at).is_none_or(|(lost, at)| lost.duration_since(at).unsigned_abs() <= LISTING_MARGIN);
        is_near && loss.reason.is_none_or(|known| known == reason)
    }

    /// Removes the tombstones that have expired, and instances in no scope without recent activity.
    pub fn expire(&mut self, now: Instant) {
        while let Some(key) = self.tombstones.pop_due(now) {
            if self.losses.get(key).is_some_and(|lost| lost.until <= now) {
                self.remove(key);
            }
        }
        let (tracked, scopes) = (&self.tracked, &mut self.scopes);
        scopes.record_activity(now, |key| {
            tracked.get(key as usize).map(|tracked| (tracked.profile.index(), tracked.is_project_known))
        });
        while let Some(key) = self.scopes.pop_due(now) {
            // A tombstone is removed when it expires.
            if self.at(key).state != InstanceState::Interrupted {
                self.remove(key);
            }
        }
    }

    /// When the next instance is removed.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Instant> {
        [self.tombstones.next_end(), self.scopes.next_due()].into_iter().flatten().min()
    }

    /// Marks an interrupted instance as running again.
    pub(super) fn mark_running(&mut self, key: InstanceKey) {
        self.losses.remove(key);
        self.update(key, |tracked| tracked.state = InstanceState::Running);
    }
}
