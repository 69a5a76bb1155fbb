//! What instances have in common: a cluster has thousands of nodes and a handful of these.

use std::borrow::Cow;
use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use crate::instance::Instance;

/// The labels that an instance's interruption is counted under. Unknown ones are empty.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    table: Vec<Profile>,
    index: HashTable<ProfileId>,
    hasher: RandomState,
}

impl Profiles {
    pub(super) fn all(&self) -> &[Profile] {
        &self.table
    }

    pub(super) fn get(&self, id: ProfileId) -> &Profile {
        &self.table[id.index()]
    }

    /// The profile of a described instance. What the description leaves open is taken from what was `known` of the
    /// instance before, and a project that nobody has named is `project`.
    pub(super) fn intern(
        &mut self,
        instance: &Instance<'_>,
        known: Option<ProfileId>,
        project: &str,
    ) -> ProfileId {
        let before = known.map(|id| View::from(self.get(id)));
        let wanted = View::of(instance, before.as_ref(), project);
        // Most descriptions of a known instance tell nothing new.
        if let (Some(id), true) = (known, before.as_ref() == Some(&wanted)) {
            return id;
        }
        let hash = self.hasher.hash_one(&wanted);
        if let Some(id) = self.index.find(hash, |id| wanted == View::from(self.get(*id))) {
            return *id;
        }
        self.push(Profile::from(wanted))
    }

    /// Adds a profile that is not there yet.
    pub(super) fn push(&mut self, profile: Profile) -> ProfileId {
        // Memory ends long before the numbers do.
        let id = ProfileId(self.table.len() as u32);
        self.table.push(profile);
        let (table, hasher) = (&self.table, &self.hasher);
        let hash = |id: &ProfileId| hasher.hash_one(View::from(&table[id.index()]));
        self.index.insert_unique(hash(&id), id, hash);
        id
    }
}

/// A profile whose text belongs to somebody else.
#[derive(PartialEq, Hash)]
struct View<'a> {
    cluster: &'a str,
    location: &'a str,
    node_pool: &'a str,
    machine_type: &'a str,
    zone: &'a str,
    project: &'a str,
}

impl<'a> View<'a> {
    fn of(instance: &'a Instance<'_>, known: Option<&View<'a>>, project: &'a str) -> Self {
        let or_known = |told: &'a Option<Cow<'_, str>>, field: fn(&View<'a>) -> &'a str| {
            told.as_deref().or(known.map(field)).unwrap_or_default()
        };
        Self {
            cluster: or_known(&instance.cluster, |view| view.cluster),
            location: or_known(&instance.location, |view| view.location),
            node_pool: or_known(&instance.node_pool, |view| view.node_pool),
            machine_type: or_known(&instance.machine_type, |view| view.machine_type),
            zone: or_known(&instance.instance.zone, |view| view.zone),
            project: instance
                .instance
                .project
                .as_deref()
                .or(known.map(|view| view.project))
                .unwrap_or(project),
        }
    }
}

impl<'a> From<&'a Profile> for View<'a> {
    fn from(profile: &'a Profile) -> Self {
        Self {
            cluster: &profile.cluster,
            location: &profile.location,
            node_pool: &profile.node_pool,
            machine_type: &profile.machine_type,
            zone: &profile.zone,
            project: &profile.project,
        }
    }
}

impl From<View<'_>> for Profile {
    fn from(view: View<'_>) -> Self {
        Self {
            cluster: view.cluster.into(),
            location: view.location.into(),
            node_pool: view.node_pool.into(),
            machine_type: view.machine_type.into(),
            zone: view.zone.into(),
            project: view.project.into(),
        }
    }
}
