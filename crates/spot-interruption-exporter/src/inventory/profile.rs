//! Labels shared by many instances: a cluster has thousands of nodes and few profiles.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::instance::Instance;

/// The labels of an interruption of an instance. Unknown labels are empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Profile {
    /// The Kubernetes cluster.
    pub cluster: Box<str>,
    /// The region or zone of the cluster's control plane.
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

/// Number of a [`Profile`]. Numbers start at zero and are never reused, so they can index a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProfileId(u32);

impl ProfileId {
    /// The id of the profile at an index of [`Inventory::profiles`](super::Inventory::profiles).
    pub(crate) fn of(index: usize) -> Self {
        // Profiles are numbered with `u32`, so there are never more.
        Self(u32::try_from(index).unwrap_or(u32::MAX))
    }

    /// The number.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// All profiles ever known. Profiles are never removed, like the time series that they label.
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

    /// Returns the profile of a described instance. Missing fields are taken from the `known` profile of the instance,
    /// and a missing project is `project`.
    pub(super) fn intern(
        &mut self,
        instance: &Instance<'_>,
        known: Option<ProfileId>,
        project: &str,
    ) -> ProfileId {
        let known = known.map(|id| self.get(id));
        let value_of = |value_of: &Option<Cow<'_, str>>, field: fn(&Profile) -> &str, default: &str| {
            value_of.as_deref().or(known.map(field)).unwrap_or(default).into()
        };
        let profile = Profile {
            cluster: value_of(&instance.cluster, |profile| &profile.cluster, ""),
            location: value_of(&instance.location, |profile| &profile.location, ""),
            node_pool: value_of(&instance.node_pool, |profile| &profile.node_pool, ""),
            machine_type: value_of(&instance.machine_type, |profile| &profile.machine_type, ""),
            zone: value_of(&instance.instance.zone, |profile| &profile.zone, ""),
            project: value_of(&instance.instance.project, |profile| &profile.project, project),
        };
        match self.ids.get(&profile) {
            Some(id) => *id,
            None => self.push(profile),
        }
    }

    /// Adds a new profile.
    pub(super) fn push(&mut self, profile: Profile) -> ProfileId {
        // Memory is exhausted long before `u32`.
        let id = ProfileId(self.list.len() as u32);
        self.ids.insert(profile.clone(), id);
        self.list.push(profile);
        id
    }
}
