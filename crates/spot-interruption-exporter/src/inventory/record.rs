//! The inventory in the form of the durable state.

use std::collections::HashMap;
use std::num::NonZeroI64;
use std::time::{Duration, Instant};

use slab::Slab;
use thiserror::Error;

use super::{
    InstanceKey, InstanceState, Inventory, ListingStatus, Loss, Profile, ProfileId, RecordedLoss, Scope,
    Tracked, Unwritten,
};
use crate::instance::InstanceId;
use crate::timeline::{Timeline, TimelineChanges};

/// One instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceRecord {
    /// The instance id.
    pub id: Option<InstanceId>,
    /// The name, or an empty text if only the id is known.
    pub name: Box<str>,
    /// Whether the name currently refers to this instance, not to a successor.
    pub has_name: bool,
    /// Creation time in microseconds since 1970.
    pub created_at: Option<NonZeroI64>,
    /// The labels.
    pub profile: ProfileId,
    /// Whether the instance is running, stopped or interrupted.
    pub state: InstanceState,
    /// Whether the instance can be preempted.
    pub spot: bool,
    /// Whether the project's id is from the source, not a default.
    pub is_project_known: bool,
    /// The interruption, if the instance is interrupted and the interruption was stored.
    pub loss: Option<Loss>,
}

/// The whole inventory.
#[derive(Debug, Default)]
pub struct InventoryRecord {
    /// All profiles, by number.
    pub profiles: Vec<Profile>,
    /// All clusters, in the order of discovery.
    pub clusters: Vec<String>,
    /// The instances, each with its key.
    pub instances: Vec<(InstanceKey, InstanceRecord)>,
    /// The tombstones: keys of instances that are or were interrupted.
    pub tombstones: Timeline<InstanceKey>,
}

/// Changes since the last commit.
#[derive(Debug)]
pub struct InventoryChanges {
    /// The number of the first new profile, and the new profiles.
    pub profiles: (usize, Vec<Profile>),
    /// The number of the first new cluster, and the new clusters.
    pub clusters: (usize, Vec<String>),
    /// Keys of changed instances; `None` for removed ones.
    pub instances: Vec<(InstanceKey, Option<InstanceRecord>)>,
    /// Changes of the tombstones.
    pub tombstones: TimelineChanges<InstanceKey>,
}

impl InventoryChanges {
    /// Whether nothing has changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.profiles.1.is_empty()
            && self.clusters.1.is_empty()
            && self.instances.is_empty()
            && self.tombstones.is_empty()
    }
}

/// The record is inconsistent, so it was not written by [`Inventory::take_changes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidRecord {
    /// An instance refers to a missing profile.
    #[error("an instance refers to a profile that is not recorded")]
    NoSuchProfile,
    /// Two instances have the same key.
    #[error("an instance is recorded twice")]
    Twice,
    /// An interrupted instance has no tombstone and would never be removed.
    #[error("an interrupted instance has no tombstone")]
    Tombstones,
}

impl Inventory {
    /// Restores the inventory from the durable state and starts to track changes. The time at which interruptions were
    /// received is not stored; `now` is used instead.
    ///
    /// # Errors
    ///
    /// Returns an error if the record is inconsistent.
    pub fn restore(
        project: &str,
        scopes: impl IntoIterator<Item = Scope>,
        tombstone_ttl: Duration,
        record: InventoryRecord,
        now: Instant,
    ) -> Result<Self, InvalidRecord> {
        let mut inventory = Self::new(project, scopes, tombstone_ttl);
        for profile in record.profiles {
            inventory.profiles.push(profile);
        }
        for cluster in &record.clusters {
            inventory.clusters.insert(cluster);
        }
        inventory.spot_running.resize(inventory.profiles().len(), 0);
        // The latest end of each key, if it was interrupted more than once.
        let ends: HashMap<InstanceKey, Instant> =
            record.tombstones.entries().map(|entry| (entry.value, entry.end)).collect();
        let mut holders = Vec::new();
        let mut instances = Vec::with_capacity(record.instances.len());
        for (key, instance) in record.instances {
            if instance.profile.index() >= inventory.profiles().len() {
                return Err(InvalidRecord::NoSuchProfile);
            }
            holders.extend(instance.has_name.then_some(key));
            if instance.state == InstanceState::Interrupted {
                let loss = instance.loss.unwrap_or(Loss { reason: None, at: None });
                let until = *ends.get(&key).ok_or(InvalidRecord::Tombstones)?;
                inventory.losses.insert(key, RecordedLoss { loss, received_at: now, until });
            }
            instances.push((key as usize, instance));
        }
        let number = instances.len();
        let ids: Vec<_> =
            instances.iter().map(|(key, instance)| (*key as InstanceKey, instance.id)).collect();
        inventory.tracked =
            instances.into_iter().map(|(key, instance)| (key, Tracked::from(instance))).collect::<Slab<_>>();
        if inventory.tracked.len() != number {
            return Err(InvalidRecord::Twice);
        }
        for (key, id) in ids {
            inventory.set_id(key, id);
            let tracked = inventory.at(key);
            let (profile, is_running) = (tracked.profile, tracked.is_running_spot());
            inventory.spot_running[profile.index()] += u32::from(is_running);
        }
        for key in holders {
            inventory.index_name(key);
        }
        inventory.scopes.add_profiles(inventory.profiles.all());
        inventory.members.add_profiles(inventory.profiles.all());
        for (key, tracked) in &inventory.tracked {
            inventory.members.insert(tracked.profile, key as InstanceKey);
            if !inventory.scopes.is_listed(tracked.profile.index(), tracked.is_project_known) {
                inventory.scopes.note_unlisted_activity(key as InstanceKey);
            }
        }
        inventory.tombstones = record.tombstones;
        inventory.unwritten = Some(Unwritten {
            profiles: inventory.profiles().len(),
            clusters: inventory.clusters().len(),
            ..Unwritten::default()
        });
        Ok(inventory)
    }

    /// Returns the changes since the last call, for a commit.
    pub fn take_changes(&mut self, now: Instant) -> InventoryChanges {
        let unwritten = self.unwritten.take().unwrap_or_default();
        let record = |key: InstanceKey| {
            let tracked = self.tracked.get(key as usize)?;
            Some(InstanceRecord {
                id: tracked.id,
                name: (&*tracked.name).into(),
                has_name: self.has_name(key),
                created_at: tracked.created_at,
                profile: tracked.profile,
                state: tracked.state,
                spot: tracked.spot,
                is_project_known: tracked.is_project_known,
                loss: self.losses.get(key).map(|lost| lost.loss),
            })
        };
        let changes = InventoryChanges {
            profiles: (unwritten.profiles, self.profiles()[unwritten.profiles..].to_vec()),
            clusters: (
                unwritten.clusters,
                self.clusters()[unwritten.clusters..].iter().map(|name| (**name).to_owned()).collect(),
            ),
            instances: unwritten.instances.iter().map(|&key| (key, record(key))).collect(),
            tombstones: self.tombstones.take_changes(now),
        };
        self.unwritten = Some(Unwritten {
            profiles: self.profiles().len(),
            clusters: self.clusters().len(),
            ..Unwritten::default()
        });
        changes
    }

    /// Whether [`take_changes`](Self::take_changes) would return more than expired entries.
    pub fn has_changes(&self) -> bool {
        self.unwritten.as_ref().is_some_and(|unwritten| {
            !unwritten.instances.is_empty()
                || unwritten.profiles < self.profiles().len()
                || unwritten.clusters < self.clusters().len()
        })
    }
}

impl From<InstanceRecord> for Tracked {
    fn from(record: InstanceRecord) -> Self {
        Self {
            // Set later by `set_id`, which also updates the index of ids.
            id: None,
            name: record.name.into(),
            created_at: record.created_at,
            profile: record.profile,
            state: record.state,
            listing_status: ListingStatus::Restored,
            spot: record.spot,
            is_project_known: record.is_project_known,
        }
    }
}
