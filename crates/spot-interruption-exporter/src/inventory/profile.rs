//! What instances have in common: a cluster has thousands of nodes and a handful of these.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::instance::Instance;

/// The labels that an instance's interruption is counted under. Unknown ones are empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Profile {
    /// The Kubernetes cluster.
    pub cluster: Box<str>,
    /// The region or zone of its control plane.
    pub location: Box<str>,
    /// The node pool.
    pub node_pool: Box<str>,
    /// The machine type.
    pub machine_type: Box<str>,
    /// The zone of the instance.
    pub zone: Box<str>,
    /// The id of the project.
    pub project: Box<str>,
}

/// A [`Profile`], by number. Numbers are given from zero upwards and never taken back, so that they can index a
/// list of metric handles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProfileId(u32);

impl ProfileId {
    /// The id of the profile at an index of [`Inventory::profiles`](super::Inventory::profiles).
    pub(crate) fn of(index: usize) -> Self {
        // There are never more profiles than ids: ids are what profiles are numbered with.
        Self(u32::try_from(index).unwrap_or(u32::MAX))
    }

    /// The number.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// All profiles ever seen. They only grow, as do the time series that are made of them.
#[derive(Debug, Default)]
pub(super) struct Profiles {
    list: Vec<Profile>,
    ids: HashMap<Profile, ProfileId>,
}

impl Profiles {
    pub(super) fn all(&self) -> &[Profile] {
        &self.list
    }

    pub(super) fn get(&self, id: ProfileId) -> &Profile {
        &self.list[id.index()]
    }

    /// The profile of a described instance. What the description leaves open is taken from what was `known` of the
    /// instance before, and a project that nobody has named is `project`.
    pub(super) fn intern(
        &mut self,
        instance: &Instance<'_>,
        known: Option<ProfileId>,
        project: &str,
    ) -> ProfileId {
        let known = known.map(|id| self.get(id));
        let told = |told: &Option<Cow<'_, str>>, field: fn(&Profile) -> &str, default: &str| {
            told.as_deref().or(known.map(field)).unwrap_or(default).into()
        };
        let profile = Profile {
            cluster: told(&instance.cluster, |profile| &profile.cluster, ""),
            location: told(&instance.location, |profile| &profile.location, ""),
            node_pool: told(&instance.node_pool, |profile| &profile.node_pool, ""),
            machine_type: told(&instance.machine_type, |profile| &profile.machine_type, ""),
            zone: told(&instance.instance.zone, |profile| &profile.zone, ""),
            project: told(&instance.instance.project, |profile| &profile.project, project),
        };
        match self.ids.get(&profile) {
            Some(id) => *id,
            None => self.push(profile),
        }
    }

    /// Adds a profile that is not there yet.
    pub(super) fn push(&mut self, profile: Profile) -> ProfileId {
        // Memory ends long before the numbers do.
        let id = ProfileId(self.list.len() as u32);
        self.ids.insert(profile.clone(), id);
        self.list.push(profile);
        id
    }
}
