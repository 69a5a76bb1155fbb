//! What an event does once it is clear which instance it is about, or that nobody knows it.

use std::time::{Duration, Instant};

use super::waiting::{Kind, Learnt, Message};
use super::{Attribution, Counted, Outcome, Why};
use crate::dedup::Fingerprint;
use crate::event::{FailedCreation, Ignored};
use crate::instance::InstanceRef;
use crate::inventory::{Interrupted, Interruption, Loss};

impl<T> Attribution<T> {
    /// What a message about a known instance does, or `None` when the instance is unknown.
    pub(super) fn effect(&mut self, instance: &InstanceRef<'_>, kind: Kind, now: Instant) -> Option<Outcome> {
        match kind {
            Kind::Interruption { reason, at, learnt } => {
                if learnt == Learnt::Operation && self.inventory.is_same_loss(instance, reason, at) {
                    return Some(Outcome::Duplicate);
                }
                let loss = Loss { reason: Some(reason), at };
                let Interrupted { profile, created_at } =
                    match self.inventory.interrupt(instance, loss, now)? {
                        Interruption::New(interrupted) => interrupted,
                        Interruption::Repeated => return Some(Outcome::Duplicate),
                    };
                let lifetime = at.zip(created_at).and_then(|(at, created_at)| {
                    // Clocks disagree a little; an age below zero is none.
                    Duration::try_from(at.duration_since(created_at)).ok()
                });
                Some(Outcome::Counted(Counted { profile, reason, at, lifetime }))
            }
            Kind::Creation => self.inventory.knows(instance).then(|| {
                self.inventory.learn(instance);
                Outcome::Added
            }),
        }
    }

    /// What a message amounts to whose instance belongs to no known cluster.
    pub(super) fn outcome_without_cluster(
        &mut self,
        message: &Message<T>,
        why: Why,
        now: Instant,
    ) -> Outcome {
        let Kind::Interruption { reason, at, .. } = message.kind else {
            let is_outsider = why == Why::NotKubernetes;
            return Outcome::Ignored(if is_outsider { Ignored::NotKubernetes } else { Ignored::Unresolved });
        };
        let instance = message.fingerprint.instance();
        match self.strangers.insert(instance, reason) {
            Some(before) if before != reason => {
                self.strangers.insert(instance, before);
                return Outcome::Duplicate;
            }
            Some(_) => {}
            None => self.strangers_order.push(now + self.settings.tombstone_ttl, instance),
        }
        Outcome::Unattributed { reason, at, why }
    }

    /// Counts a creation that failed, if it was to be a spot node of a cluster, and takes back the announcement of its
    /// instance.
    pub(super) fn failed(&mut self, failed: &FailedCreation<'_>, fingerprint: &Fingerprint, token: T) {
        let FailedCreation { instance, is_described, on_demand, had_begun, reason } = failed;
        if *had_begun {
            self.inventory.withdraw(&instance.instance);
        }
        let Some(token) = self.admit(Kind::Creation, fingerprint, token) else { return };
        let profile = match is_described {
            // The last entry of an operation does not repeat the request; the first one told of the instance.
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
