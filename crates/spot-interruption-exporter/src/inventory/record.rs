//! The inventory as it is written down and read back.

use std::collections::HashMap;
use std::num::NonZeroI64;
use std::time::{Duration, Instant};

use slab::Slab;
use thiserror::Error;

use super::{Inventory, Key, Loss, Lost, Profile, ProfileId, Sighting, State, Tracked, Unwritten};
use crate::instance::InstanceId;
use crate::timeline::{Timeline, TimelineChanges};

/// One instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceRecord {
    /// Its id.
    pub id: Option<InstanceId>,
    /// Its name, or nothing when only the id is known.
    pub name: Box<str>,
    /// Whether the name means this instance, rather than a successor.
    pub has_name: bool,
    /// Its creation, in microseconds since 1970.
    pub created_at: Option<NonZeroI64>,
    /// Its labels.
    pub profile: ProfileId,
    /// Whether it runs.
    pub state: State,
    /// Whether it can be preempted.
    pub spot: bool,
    /// Whether its source told the project's id.
    pub is_project_known: bool,
    /// Its interruption, if that is its state and was written down.
    pub loss: Option<Loss>,
}

/// Everything.
#[derive(Debug, Default)]
pub struct InventoryRecord {
    /// Every profile, in the order of their numbers.
    pub profiles: Vec<Profile>,
    /// Every cluster, in the order in which they became known.
    pub clusters: Vec<String>,
    /// The instances, each with its position.
    pub instances: Vec<(Key, InstanceRecord)>,
    /// The tombstones: positions of instances that are or were interrupted.
    pub tombstones: Timeline<Key>,
}

/// What has become different since the inventory was last written down.
#[derive(Debug)]
pub struct InventoryChanges {
    /// New profiles, the first of which has this number.
    pub profiles: (usize, Vec<Profile>),
    /// New clusters, the first of which has this number.
    pub clusters: (usize, Vec<String>),
    /// Positions whose instance is another now, or is no more.
    pub instances: Vec<(Key, Option<InstanceRecord>)>,
    /// Tombstones, by the position of their instance.
    pub tombstones: TimelineChanges<Key>,
}

impl InventoryChanges {
    /// Whether nothing has become different.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.profiles.1.is_empty()
            && self.clusters.1.is_empty()
            && self.instances.is_empty()
            && self.tombstones.is_empty()
    }
}

/// A record contradicts itself, so it was not written by [`Inventory::take_changes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidRecord {
    /// An instance has a profile that is not there.
    #[error("an instance has a profile that is not recorded")]
    NoSuchProfile,
    /// Two instances have one position.
    #[error("an instance is recorded twice")]
    Twice,
    /// An interrupted instance has no tombstone, and would never be forgotten.
    #[error("an interrupted instance has no tombstone")]
    Tombstones,
}

impl Inventory {
    /// The inventory that was written down. From now on it notes what changes. Of interruptions it is known when they
    /// were, not when they were heard of: that is taken to be `now`.
    ///
    /// # Errors
    ///
    /// The record contradicts itself.
    pub fn restore(
        project: &str,
        tombstone_ttl: Duration,
        record: InventoryRecord,
        now: Instant,
    ) -> Result<Self, InvalidRecord> {
        let mut inventory = Self::new(project, tombstone_ttl);
        for profile in record.profiles {
            inventory.profiles.push(profile);
        }
        for cluster in &record.clusters {
            inventory.clusters.insert(cluster);
        }
        inventory.spot_running.resize(inventory.profiles().len(), 0);
        // The last one of each, if it was interrupted more than once.
        let ends: HashMap<Key, Instant> =
            record.tombstones.entries().map(|entry| (entry.value, entry.end)).collect();
        let mut holders = Vec::new();
        let mut instances = Vec::with_capacity(record.instances.len());
        for (key, instance) in record.instances {
            if instance.profile.index() >= inventory.profiles().len() {
                return Err(InvalidRecord::NoSuchProfile);
            }
            holders.extend(instance.has_name.then_some(key));
            if instance.state == State::Interrupted {
                let loss = instance.loss.unwrap_or(Loss { reason: None, at: None });
                let until = *ends.get(&key).ok_or(InvalidRecord::Tombstones)?;
                inventory.losses.insert(key, Lost { loss, heard: now, until });
            }
            instances.push((key as usize, instance));
        }
        let number = instances.len();
        let ids: Vec<_> = instances.iter().map(|(key, instance)| (*key as Key, instance.id)).collect();
        inventory.tracked =
            instances.into_iter().map(|(key, instance)| (key, Tracked::from(instance))).collect::<Slab<_>>();
        if inventory.tracked.len() != number {
            return Err(InvalidRecord::Twice);
        }
        for (key, id) in ids {
            inventory.learn_id(key, id);
            let tracked = inventory.at(key);
            let (profile, is_running) = (tracked.profile, tracked.is_running_spot());
            inventory.spot_running[profile.index()] += u32::from(is_running);
        }
        for key in holders {
            inventory.give_name(key);
        }
        inventory.scopes.add_profiles(inventory.profiles.all());
        inventory.members.add_profiles(inventory.profiles.all());
        for (key, tracked) in &inventory.tracked {
            inventory.members.insert(tracked.profile, key as Key);
            if !inventory.scopes.is_listed(tracked.profile.index(), tracked.is_project_known) {
                inventory.scopes.sign_of_unlisted(key as Key);
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

    /// What has become different since the last time that this was asked. It counts as written down from now on.
    pub fn take_changes(&mut self, now: Instant) -> InventoryChanges {
        let unwritten = self.unwritten.take().unwrap_or_default();
        let record = |key: Key| {
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
                loss: self.losses.get(&key).map(|lost| lost.loss),
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

    /// Whether [`take_changes`](Self::take_changes) has more to tell than what time brings about by itself.
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
            // The index of ids gets to know it when it is learned.
            id: None,
            name: record.name.into(),
            created_at: record.created_at,
            profile: record.profile,
            state: record.state,
            sighting: Sighting::Recorded,
            spot: record.spot,
            is_project_known: record.is_project_known,
        }
    }
}
