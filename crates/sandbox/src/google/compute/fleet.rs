//! The instances that there are.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

use crate::google::{
    filter::Filter,
    instance::{Instance, Status},
};

/// The instances in the order in which they are listed: by zone and name.
#[derive(Default)]
pub(super) struct Fleet {
    instances: BTreeMap<(String, String), Instance>,
    /// Zones whose instances cannot be told at the moment.
    pub(super) unreachable: BTreeSet<String>,
}

/// Some of the instances, and whether there are more.
pub(super) struct Page<'a> {
    pub(super) instances: Vec<&'a Instance>,
    pub(super) is_last: bool,
}

impl Fleet {
    /// Adds an instance in the place of the one with the same zone and name.
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

    /// Up to `count` instances that pass the filter and come after a zone and name.
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
