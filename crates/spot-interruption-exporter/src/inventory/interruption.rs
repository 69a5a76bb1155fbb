//! Interruptions: what one does to an instance, and how long it is remembered.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::{Inventory, Key, Moment, ProfileId, State};
use crate::event::InterruptionReason;
use crate::instance::InstanceRef;

/// A listing that begins so long after an interruption shows what came after it. Stopping an
/// instance takes some seconds, and clocks disagree.
const LISTING_MARGIN: Duration = Duration::from_secs(60);

/// What an interruption is counted under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interrupted {
    /// The labels.
    pub profile: ProfileId,
    /// When the instance was created. Absent too when the instance had been interrupted before: its age belongs to
    /// the first time.
    pub created_at: Option<Timestamp>,
}

/// An interruption, as it is remembered of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// Why. Absent where a state that was written by version 0.1.0 does not tell.
    pub reason: Option<InterruptionReason>,
    /// When, according to the event.
    pub at: Option<Timestamp>,
}

/// What an interruption does to a known instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interruption {
    /// It is to be counted.
    New(Interrupted),
    /// The same loss was told by another method before, and the instance was not seen running since.
    Repeated,
}

#[derive(Debug)]
pub(super) struct Lost {
    pub(super) loss: Loss,
    /// When it was heard of.
    pub(super) heard: Instant,
    /// When the instance is to be forgotten.
    pub(super) until: Instant,
}

impl Lost {
    /// Whether a listing that began at a moment shows what came after the interruption.
    pub(super) fn is_before(&self, listing: Moment) -> bool {
        let by_event = self.loss.at.is_some_and(|at| {
            Duration::try_from(listing.timestamp.duration_since(at)).is_ok_and(|age| age >= LISTING_MARGIN)
        });
        by_event || listing.instant.saturating_duration_since(self.heard) >= LISTING_MARGIN
    }
}

impl Inventory {
    /// Marks an instance as interrupted and says what to count it under, or `None` when it is not known.
    ///
    /// An instance can be interrupted more than once: it may be started again under the same id. By another method it
    /// is another one only if the instance was seen running in between.
    pub fn interrupt(
        &mut self,
        instance: &InstanceRef<'_>,
        loss: Loss,
        now: Instant,
    ) -> Option<Interruption> {
        let key = self.find(instance)?;
        self.learn_id(key, instance.id);
        let tracked = self.at(key);
        let profile = tracked.profile;
        let created_at = tracked.created_at.and_then(|time| Timestamp::from_microsecond(time.get()).ok());
        if let Some(lost) = self.losses.get_mut(&key) {
            if lost.loss.reason.zip(loss.reason).is_some_and(|(before, now)| before != now) {
                return Some(Interruption::Repeated);
            }
            lost.loss = Loss { at: loss.at.max(lost.loss.at), ..loss };
            lost.heard = now;
            self.touch(key);
            return Some(Interruption::New(Interrupted { profile, created_at: None }));
        }
        self.update(key, |tracked| tracked.state = State::Interrupted);
        let until = now + self.tombstone_ttl;
        self.losses.insert(key, Lost { loss, heard: now, until });
        self.tombstones.push(until, key);
        Some(Interruption::New(Interrupted { profile, created_at }))
    }

    /// Whether an instance is known to have been interrupted for that reason at about that time, and was not seen running
    /// since. Absent times are compatible with any.
    #[must_use]
    pub fn is_same_loss(
        &self,
        instance: &InstanceRef<'_>,
        reason: InterruptionReason,
        at: Option<Timestamp>,
    ) -> bool {
        let Some(Lost { loss, .. }) = self.find(instance).and_then(|key| self.losses.get(&key)) else {
            return false;
        };
        let is_near =
            loss.at.zip(at).is_none_or(|(lost, at)| lost.duration_since(at).unsigned_abs() <= LISTING_MARGIN);
        is_near && loss.reason.is_none_or(|known| known == reason)
    }

    /// Removes the tombstones whose time has come.
    pub fn expire(&mut self, now: Instant) {
        while let Some(key) = self.tombstones.pop_due(now) {
            if self.losses.get(&key).is_some_and(|lost| lost.until <= now) {
                self.remove(key);
            }
        }
        let (tracked, scopes) = (&self.tracked, &mut self.scopes);
        scopes.stamp(now, |key| {
            tracked.get(key as usize).map(|tracked| (tracked.profile.index(), tracked.is_project_known))
        });
        while let Some(key) = self.scopes.pop_due(now) {
            // A tombstone is removed in its own time.
            if self.at(key).state != State::Interrupted {
                self.remove(key);
            }
        }
    }

    /// When the next instance is to be forgotten for want of news.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Instant> {
        [self.tombstones.next_end(), self.scopes.next_due()].into_iter().flatten().min()
    }

    /// An interrupted instance runs again.
    pub(super) fn revive(&mut self, key: Key) {
        self.losses.remove(&key);
        self.update(key, |tracked| tracked.state = State::Running);
    }
}
