//! The effect of an event whose instance is identified or cannot be identified.

use std::time::{Duration, Instant};

use super::held::{EventKind, Message, ReportedBy};
use super::{Attribution, Counted, Outcome, UnattributedCause};
use crate::dedup::Fingerprint;
use crate::event::{FailedCreation, Ignored};
use crate::instance::InstanceRef;
use crate::inventory::{Interrupted, Interruption, Loss};

impl<T> Attribution<T> {
    /// Applies an event about a known instance. Returns `None` if the instance is unknown.
    pub(super) fn effect(
        &mut self,
        instance: &InstanceRef<'_>,
        kind: EventKind,
        now: Instant,
    ) -> Option<Outcome> {
        match kind {
            EventKind::Interruption { reason, at, reported_by } => {
                if reported_by == ReportedBy::Operation && self.inventory.is_same_loss(instance, reason, at) {
                    return Some(Outcome::Duplicate);
                }
                let loss = Loss { reason: Some(reason), at };
                let Interrupted { profile, created_at } =
                    match self.inventory.interrupt(instance, loss, now)? {
                        Interruption::New(interrupted) => interrupted,
                        Interruption::Repeated => return Some(Outcome::Duplicate),
                    };
                let lifetime = at.zip(created_at).and_then(|(at, created_at)| {
                    // Clocks may differ: a negative age counts as unknown.
                    Duration::try_from(at.duration_since(created_at)).ok()
                });
                Some(Outcome::Counted(Counted { profile, reason, at, lifetime }))
            }
            EventKind::Creation => self.inventory.contains(instance).then(|| {
                self.inventory.note_id(instance);
                Outcome::Added
            }),
        }
    }

    /// Returns the outcome for a message whose instance belongs to no known cluster.
    pub(super) fn outcome_without_cluster(
        &mut self,
        message: &Message<T>,
        cause: UnattributedCause,
        now: Instant,
    ) -> Outcome {
        let EventKind::Interruption { reason, at, .. } = message.kind else {
            let is_outside_kubernetes = cause == UnattributedCause::NotKubernetes;
            return Outcome::Ignored(if is_outside_kubernetes {
                Ignored::NotKubernetes
            } else {
                Ignored::Unresolved
            });
        };
        let instance = message.fingerprint.instance();
        match self.unattributed_losses.insert(instance, reason) {
            Some(before) if before != reason => {
                self.unattributed_losses.insert(instance, before);
                return Outcome::Duplicate;
            }
            Some(_) => {}
            None => self.unattributed_order.push(now + self.settings.tombstone_ttl, instance),
        }
        Outcome::Unattributed { reason, at, cause }
    }

    /// Counts a failed creation, if it was for a spot node of a cluster, and marks an announced instance as not
    /// running.
    pub(super) fn failed(&mut self, failed: &FailedCreation<'_>, fingerprint: &Fingerprint, token: T) {
        let FailedCreation { instance, is_described, on_demand, had_begun, reason } = failed;
        if *had_begun {
            self.inventory.withdraw(&instance.instance);
        }
        let Some(token) = self.admit(EventKind::Creation, fingerprint, token) else { return };
        let profile = match is_described {
            // The last entry of an operation has no request; the instance is known from the first entry.
            false => self.inventory.spot_profile(&instance.instance),
            true if *on_demand || instance.cluster.is_none() => None,
            true => Some(self.inventory.profile_of_failure(instance)),
        };
        let Some(profile) = profile else {
            return self.resolve(token, Outcome::Ignored(Ignored::FailedCreation));
        };
        self.creations.commit(fingerprint);
        self.resolve(token, Outcome::CreationFailed { profile, reason: *reason });
    }
}
