//! Finds instances by id and by name.

use std::sync::Arc;

use super::{InstanceKey, InstanceState, Inventory, microseconds};
use crate::instance::{Instance, InstanceId, InstanceRef};

impl Inventory {
    /// Whether an instance is known.
    #[must_use]
    pub fn contains(&self, instance: &InstanceRef<'_>) -> bool {
        self.find(instance).is_some()
    }

    /// Stores the id of an instance that was known only by name.
    pub fn note_id(&mut self, instance: &InstanceRef<'_>) {
        if let Some(key) = self.find(instance) {
            self.set_id(key, instance.id);
        }
    }

    pub(super) fn find(&self, instance: &InstanceRef<'_>) -> Option<InstanceKey> {
        if let Some(key) = instance.id.and_then(|id| self.find_by_id(id)) {
            return Some(key);
        }
        // An instance with the same name and another id is a different instance.
        self.find_by_name(instance).filter(|&key| self.at(key).id.is_none() || instance.id.is_none())
    }

    pub(super) fn find_by_id(&self, id: InstanceId) -> Option<InstanceKey> {
        self.by_id.get(&id).copied()
    }

    /// The instance that currently has this name. Two projects can each have one; a reference without a project means
    /// the newest.
    pub(super) fn find_by_name(&self, instance: &InstanceRef<'_>) -> Option<InstanceKey> {
        let (zone, name) = instance.zone_and_name()?;
        let is_meant = |key: &InstanceKey| {
            let tracked = self.at(*key);
            let profile = self.profiles.get(tracked.profile);
            *profile.zone == *zone
                && match instance.project.as_deref() {
                    Some(project) => !tracked.is_project_known || *profile.project == *project,
                    None => true,
                }
        };
        let from_first = self.by_name.range((Arc::from(name), InstanceKey::MIN)..);
        let named = from_first.take_while(|(other, _)| **other == *name).map(|(_, key)| *key);
        named.filter(is_meant).max_by_key(|&key| self.at(key).created_at)
    }

    pub(super) fn set_id(&mut self, key: InstanceKey, id: Option<InstanceId>) {
        let Some(id) = id else { return };
        let tracked = &mut self.tracked[key as usize];
        if tracked.id.is_none() {
            tracked.id = Some(id);
            self.by_id.insert(id, key);
            self.mark_changed(key);
        }
    }

    /// Assigns an instance's name to it, unless a newer instance has the name.
    pub(super) fn claim_name(&mut self, key: InstanceKey) {
        let tracked = self.at(key);
        if tracked.name.is_empty() {
            return;
        }
        let profile = self.profile(tracked.profile);
        let holder = self.find_by_name(&InstanceRef {
            id: None,
            project: tracked.is_project_known.then_some((&*profile.project).into()),
            zone: Some((&*profile.zone).into()),
            name: Some((&*tracked.name).into()),
        });
        match holder {
            Some(holder) if holder == key => return,
            Some(holder) if self.at(holder).is_newer_than(tracked.created_at) => return self.supersede(key),
            Some(holder) => self.supersede(holder),
            None => {}
        }
        self.index_name(key);
        self.mark_changed(key);
    }

    /// Supersedes the holder of a name that an instance outside any cluster has taken.
    pub(super) fn supersede_holder(&mut self, other: &Instance<'_>) {
        if let Some(holder) = self.find_by_name(&other.instance) {
            let tracked = self.at(holder);
            if !tracked.has_same_id(&other.instance) && !tracked.is_newer_than(microseconds(other)) {
                self.supersede(holder);
            }
        }
    }

    /// Marks an instance as not running, because another instance has taken its name. Events can still find it by id.
    pub(super) fn supersede(&mut self, key: InstanceKey) {
        self.unindex_name(key);
        self.mark_stopped(key);
        let tracked = self.at(key);
        // A tombstone is removed when it expires: its expiry refers to this key.
        if tracked.id.is_none() && tracked.state != InstanceState::Interrupted {
            self.remove(key);
        }
    }

    pub(super) fn index_name(&mut self, key: InstanceKey) {
        self.by_name.insert((Arc::clone(&self.at(key).name), key));
    }

    pub(super) fn unindex_name(&mut self, key: InstanceKey) {
        if self.by_name.remove(&(Arc::clone(&self.at(key).name), key)) {
            self.mark_changed(key);
        }
    }

    pub(super) fn has_name(&self, key: InstanceKey) -> bool {
        self.by_name.contains(&(Arc::clone(&self.at(key).name), key))
    }
}
