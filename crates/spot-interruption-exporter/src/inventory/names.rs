//! By id and by name: which instance is meant.

use std::sync::Arc;

use super::{Inventory, Key, State, microseconds};
use crate::instance::{Instance, InstanceId, InstanceRef};

impl Inventory {
    /// Whether an instance is known.
    #[must_use]
    pub fn knows(&self, instance: &InstanceRef<'_>) -> bool {
        self.find(instance).is_some()
    }

    /// Takes note of the id of an instance that is known by name only.
    pub fn learn(&mut self, instance: &InstanceRef<'_>) {
        if let Some(key) = self.find(instance) {
            self.learn_id(key, instance.id);
        }
    }

    pub(super) fn find(&self, instance: &InstanceRef<'_>) -> Option<Key> {
        if let Some(key) = instance.id.and_then(|id| self.find_by_id(id)) {
            return Some(key);
        }
        // An instance of that name but with another id is another instance.
        self.find_by_name(instance).filter(|&key| self.at(key).id.is_none() || instance.id.is_none())
    }

    pub(super) fn find_by_id(&self, id: InstanceId) -> Option<Key> {
        self.by_id.get(&id).copied()
    }

    /// The instance that has this name now. Two projects can have one each; a reference that leaves the project
    /// open then means the newest.
    pub(super) fn find_by_name(&self, instance: &InstanceRef<'_>) -> Option<Key> {
        let (zone, name) = instance.zone_and_name()?;
        let is_meant = |key: &Key| {
            let tracked = self.at(*key);
            let profile = self.profiles.get(tracked.profile);
            *profile.zone == *zone
                && match instance.project.as_deref() {
                    Some(project) => !tracked.is_project_known || *profile.project == *project,
                    None => true,
                }
        };
        let from_first = self.by_name.range((Arc::from(name), Key::MIN)..);
        let named = from_first.take_while(|(other, _)| **other == *name).map(|(_, key)| *key);
        named.filter(is_meant).max_by_key(|&key| self.at(key).created_at)
    }

    pub(super) fn learn_id(&mut self, key: Key, id: Option<InstanceId>) {
        let Some(id) = id else { return };
        let tracked = &mut self.tracked[key as usize];
        if tracked.id.is_none() {
            tracked.id = Some(id);
            self.by_id.insert(id, key);
            self.touch(key);
        }
    }

    /// Makes an instance the one that is meant by its name, unless a newer one is.
    pub(super) fn claim_name(&mut self, key: Key) {
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
            Some(holder) if self.at(holder).is_newer_than(tracked.created_at) => return self.retire(key),
            Some(holder) => self.retire(holder),
            None => {}
        }
        self.give_name(key);
        self.touch(key);
    }

    /// An instance outside any cluster has taken a name.
    pub(super) fn pass_name_on(&mut self, outsider: &Instance<'_>) {
        if let Some(holder) = self.find_by_name(&outsider.instance) {
            let tracked = self.at(holder);
            if !tracked.has_same_id(&outsider.instance) && !tracked.is_newer_than(microseconds(outsider)) {
                self.retire(holder);
            }
        }
    }

    /// The name means another instance from now on, so this one runs no more. Events can still find it by its id.
    pub(super) fn retire(&mut self, key: Key) {
        self.unname(key);
        self.stop(key);
        let tracked = self.at(key);
        // A tombstone is removed in its own time: it has an appointment under this key.
        if tracked.id.is_none() && tracked.state != State::Interrupted {
            self.remove(key);
        }
    }

    pub(super) fn give_name(&mut self, key: Key) {
        self.by_name.insert((Arc::clone(&self.at(key).name), key));
    }

    pub(super) fn unname(&mut self, key: Key) {
        if self.by_name.remove(&(Arc::clone(&self.at(key).name), key)) {
            self.touch(key);
        }
    }

    pub(super) fn has_name(&self, key: Key) -> bool {
        self.by_name.contains(&(Arc::clone(&self.at(key).name), key))
    }
}
