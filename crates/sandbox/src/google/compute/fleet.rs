//! The instances of a project.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

use crate::google::{
    filter::Filter,
    instance::{Instance, Status},
};

/// The instances, sorted by zone and name, which is the order of lists.
#[derive(Default)]
pub(super) struct Fleet {
    instances: BTreeMap<(String, String), Instance>,
    /// Zones whose instances are unreachable.
    pub(super) unreachable: BTreeSet<String>,
}

/// A page of instances.
pub(super) struct Page<'a> {
    pub(super) instances: Vec<&'a Instance>,
    pub(super) is_last: bool,
}

impl Fleet {
    /// Adds an instance or replaces the instance with the same zone and name.
    pub(super) fn insert(&mut self, instance: Instance) {
        self.instances.insert((instance.zone.clone(), instance.name.clone()), instance);
    }

    pub(super) fn remove(&mut self, zone: &str, name: &str) -> Option<Instance> {
        self.instances.remove(&key(zone, name))
    }

    pub(super) fn set_status(&mut self, zone: &str, name: &str, status: Status) {
        if let Some(instance) = self.instances.get_mut(&key(zone, name)) {
            instance.status = status;
        }
    }

    pub(super) fn clear(&mut self) {
        self.instances.clear();
    }

    pub(super) fn get(&self, zone: &str, name: &str) -> Option<&Instance> {
        self.instances.get(&key(zone, name))
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Instance> {
        self.instances.values()
    }

    /// Returns up to `count` instances that match the filter and follow a zone and name.
    pub(super) fn page(&self, after: Option<(String, String)>, count: usize, filter: &Filter) -> Page<'_> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut instances = self
            .instances
            .range((from, Bound::Unbounded))
            .map(|(_, instance)| instance)
            .filter(|instance| !self.unreachable.contains(&instance.zone) && filter.matches(*instance));
        let page = instances.by_ref().take(count).collect();
        Page { instances: page, is_last: instances.next().is_none() }
    }
}

fn key(zone: &str, name: &str) -> (String, String) {
    (zone.to_owned(), name.to_owned())
}
