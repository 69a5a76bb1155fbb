//! The known instances and their labels.
//!
//! Instances become known by creation events, listings and lookups, in any order and more than once. An instance is
//! identified by its id if both sides have one, otherwise by zone and name. Managed instance groups reuse the name of a
//! deleted instance, so a name refers to one instance at a time, the newest. Its predecessors are still found by id.
//!
//! An instance is removed in one of two ways. An interrupted instance stays known for a while as a tombstone, so that
//! later messages about it still find it. If it is created again in this time, or listed as running after the
//! interruption, it is running again. Any other instance is removed when two listings of its [`Scope`] in a row did not
//! contain it, because one listing can miss an instance that is just being created. An instance in no scope is removed
//! a day after the last event about it.
//!
//! There can be 100,000 instances, so each must be small: common labels are stored once, as a [`Profile`], and the
//! instance and the index share the name.

mod interruption;
mod listings;
mod losses;
mod members;
mod names;
mod profile;
mod record;
mod scope;
mod tracked;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::num::NonZeroI64;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use slab::Slab;

use self::interruption::RecordedLoss;
pub use self::interruption::{Interrupted, Interruption, Loss};
use self::losses::Losses;
use self::members::Members;
use self::profile::Profiles;
pub use self::profile::{Profile, ProfileId};
pub use self::record::{InstanceRecord, InvalidRecord, InventoryChanges, InventoryRecord};
use self::scope::Scopes;
pub use self::scope::{Scope, UNLISTED_TTL, Unseen};
pub use self::tracked::InstanceState;
use self::tracked::{ListingStatus, Tracked};
use crate::instance::{Instance, InstanceId, InstanceRef};
use crate::timeline::Timeline;

/// All known instances.
#[derive(Debug)]
pub struct Inventory {
    /// Project of instances whose source does not contain it.
    project: Box<str>,
    tombstone_ttl: Duration,
    tracked: Slab<Tracked>,
    by_id: HashMap<InstanceId, InstanceKey>,
    /// Instances with the same name are in different zones or projects.
    by_name: BTreeSet<(Arc<str>, InstanceKey)>,
    profiles: Profiles,
    /// Instances by project.
    members: Members,
    /// Number of running spot instances by profile.
    spot_running: Vec<u32>,
    clusters: Clusters,
    /// The losses of interrupted instances.
    losses: Losses,
    /// When to check whether a tombstone has expired. Entries of instances that run again are ignored.
    tombstones: Timeline<InstanceKey>,
    /// The listed scopes.
    scopes: Scopes,
    /// Changes since the last commit, if the state is durable.
    unwritten: Option<Unwritten>,
}

#[derive(Debug, Default)]
struct Unwritten {
    instances: HashSet<InstanceKey>,
    /// Number of profiles and clusters that are already written.
    profiles: usize,
    clusters: usize,
}

/// The current time by the monotonic clock, which is used for deadlines, and by the wall clock, which is compared with
/// event times.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Monotonic time.
    pub instant: Instant,
    /// Wall-clock time.
    pub timestamp: Timestamp,
}

/// Index of an instance. Four bytes, because each instance is stored in several indexes.
pub type InstanceKey = u32;

impl Inventory {
    /// Creates an empty inventory. Interrupted instances stay known for `tombstone_ttl`. Instances whose source does
    /// not contain the project's id are labelled with `project`.
    #[must_use]
    pub fn new(project: &str, scopes: impl IntoIterator<Item = Scope>, tombstone_ttl: Duration) -> Self {
        Self {
            project: project.into(),
            tombstone_ttl,
            tracked: Slab::new(),
            by_id: HashMap::new(),
            by_name: BTreeSet::new(),
            profiles: Profiles::default(),
            members: Members::default(),
            spot_running: Vec::new(),
            clusters: Clusters::default(),
            losses: Losses::default(),
            tombstones: Timeline::default(),
            scopes: Scopes::new(scopes),
            unwritten: None,
        }
    }

    /// Number of known instances, tombstones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tracked.len()
    }

    /// Whether no instance is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tracked.is_empty()
    }

    /// All clusters ever known, in the order of discovery. Clusters are never removed.
    #[must_use]
    pub fn clusters(&self) -> &[Arc<str>] {
        &self.clusters.list
    }

    /// All profiles ever known, by number. Profiles are never removed.
    #[must_use]
    pub fn profiles(&self) -> &[Profile] {
        self.profiles.all()
    }

    /// Returns a profile.
    ///
    /// # Panics
    ///
    /// If the id belongs to another inventory.
    #[must_use]
    pub fn profile(&self, id: ProfileId) -> &Profile {
        self.profiles.get(id)
    }

    /// Number of running spot instances, by profile number.
    #[must_use]
    pub fn spot_running(&self) -> &[u32] {
        &self.spot_running
    }

    /// Adds a cluster before any of its instances is known.
    pub fn add_cluster(&mut self, cluster: &str) {
        self.clusters.insert(cluster);
    }

    /// Adds a created instance. A known instance is completed, so the order of events and listings does not matter. An
    /// instance outside any cluster is not stored, but takes over its name.
    pub fn add(&mut self, instance: &Instance<'_>) {
        if instance.cluster.is_none() {
            return self.supersede_holder(instance);
        }
        match self.find(&instance.instance) {
            // If the name of an interrupted instance is created again, it is a new instance, unless the ids are equal.
            Some(key)
                if self.at(key).state == InstanceState::Interrupted
                    && !self.at(key).has_same_id(&instance.instance) =>
            {
                self.insert(instance);
            }
            Some(key) => {
                let lost_at = self.losses.get(key).map(|lost| lost.loss.at);
                // Hand-made events have no time and arrive in any order.
                let is_later = |at: Option<Timestamp>| {
                    at.zip(instance.created_at).is_some_and(|(lost, created)| created > lost)
                };
                if instance.running && lost_at.is_some_and(is_later) {
                    self.mark_running(key);
                }
                self.complete(key, instance);
            }
            None => self.insert(instance),
        }
    }

    /// Adds an instance that was looked up: it exists now, and its status is current.
    pub fn observe(&mut self, instance: &Instance<'_>) {
        self.observe_at(instance, None);
    }

    /// Adds an instance from the listing of a scope. If it runs although it was interrupted well before the listing
    /// started, it was started again.
    pub fn list(&mut self, scope: &Scope, instance: &Instance<'_>) {
        self.observe_at(instance, self.scopes.listing_started(scope));
    }

    fn observe_at(&mut self, instance: &Instance<'_>, listing: Option<Moment>) {
        if instance.cluster.is_none() {
            return self.supersede_holder(instance);
        }
        let Some(key) = self.find(&instance.instance) else { return self.insert(instance) };
        let lost = self.losses.get(key);
        if instance.running && listing.zip(lost).is_some_and(|(listing, lost)| lost.is_before(listing)) {
            self.mark_running(key);
        }
        self.update(key, |tracked| {
            // The observation may be older than the interruption.
            if tracked.state != InstanceState::Interrupted {
                tracked.state =
                    if instance.running { InstanceState::Running } else { InstanceState::Stopped };
            }
        });
        self.complete(key, instance);
        // An existing instance has its name, even if events suggested that another instance has taken it.
        self.claim_name(key);
    }

    /// Marks an instance as not running whose announced creation has failed. Only an id identifies it, because the next
    /// attempt uses the same name.
    pub fn withdraw(&mut self, instance: &InstanceRef<'_>) {
        if let Some(key) = instance.id.and_then(|id| self.find_by_id(id)) {
            self.mark_stopped(key);
        }
    }

    /// Returns the instance at an index. The callers take the index from maps, from which [`Self::remove`] deletes
    /// removed instances.
    fn at(&self, key: InstanceKey) -> &Tracked {
        &self.tracked[key as usize]
    }

    fn insert(&mut self, instance: &Instance<'_>) {
        let profile = self.intern(instance, None);
        let tracked = Tracked {
            id: None,
            name: instance.instance.name.as_deref().unwrap_or_default().into(),
            created_at: microseconds(instance),
            profile,
            state: if instance.running { InstanceState::Running } else { InstanceState::Stopped },
            listing_status: ListingStatus::Seen,
            spot: instance.spot,
            is_project_known: instance.instance.project.is_some(),
        };
        if tracked.is_running_spot() {
            self.spot_running[profile.index()] += 1;
        }
        // By default the slab doubles, which would leave up to half of the largest allocation unused.
        if self.tracked.len() == self.tracked.capacity() {
            self.tracked.reserve_exact((self.tracked.len() / 8).max(64));
        }
        let key = self.tracked.insert(tracked) as InstanceKey;
        self.members.insert(profile, key);
        self.mark_changed(key);
        self.note_activity(key);
        self.set_id(key, instance.instance.id);
        self.claim_name(key);
    }

    /// Completes a known instance with the fields of a description.
    fn complete(&mut self, key: InstanceKey, instance: &Instance<'_>) {
        self.set_id(key, instance.instance.id);
        let known = self.at(key).profile;
        let profile = self.intern(instance, Some(known));
        let name = instance.instance.name.as_deref().filter(|name| *self.at(key).name != **name);
        let is_renamed = name.is_some() || self.profile(profile).zone != self.profile(known).zone;
        if is_renamed {
            self.unindex_name(key);
            self.mark_changed(key);
        }
        self.update(key, |tracked| {
            if let Some(name) = name {
                tracked.name = name.into();
            }
            tracked.created_at = microseconds(instance).or(tracked.created_at);
            tracked.profile = profile;
            tracked.listing_status = ListingStatus::Seen;
            tracked.spot |= instance.spot;
            tracked.is_project_known |= instance.instance.project.is_some();
        });
        self.note_activity(key);
        if is_renamed {
            self.claim_name(key);
        }
    }

    fn intern(&mut self, instance: &Instance<'_>, known: Option<ProfileId>) -> ProfileId {
        let profile = self.profile_of(instance, known);
        self.clusters.insert(&self.profiles.get(profile).cluster);
        profile
    }

    /// The profile of an instance that was not created. It makes no cluster known.
    pub fn profile_of_failure(&mut self, instance: &Instance<'_>) -> ProfileId {
        self.profile_of(instance, None)
    }

    /// The profile of a known spot instance.
    #[must_use]
    pub fn spot_profile(&self, instance: &InstanceRef<'_>) -> Option<ProfileId> {
        let tracked = self.at(self.find(instance)?);
        tracked.spot.then_some(tracked.profile)
    }

    fn profile_of(&mut self, instance: &Instance<'_>, known: Option<ProfileId>) -> ProfileId {
        let profile = self.profiles.intern(instance, known, &self.project);
        if profile.index() >= self.spot_running.len() {
            self.spot_running.resize(profile.index() + 1, 0);
            self.scopes.add_profiles(self.profiles.all());
            self.members.add_profiles(self.profiles.all());
        }
        profile
    }

    /// Changes an instance and updates the number of running spot instances.
    fn update(&mut self, key: InstanceKey, change: impl FnOnce(&mut Tracked)) {
        let tracked = &mut self.tracked[key as usize];
        if tracked.is_running_spot() {
            self.spot_running[tracked.profile.index()] -= 1;
        }
        let (before, profile) = (tracked.written(), tracked.profile);
        change(tracked);
        let is_changed = tracked.written() != before;
        self.members.change(profile, tracked.profile, key);
        if tracked.is_running_spot() {
            self.spot_running[tracked.profile.index()] += 1;
        }
        if is_changed {
            self.mark_changed(key);
        }
    }

    /// Notes that an instance has changed since the last commit.
    fn mark_changed(&mut self, key: InstanceKey) {
        if let Some(unwritten) = &mut self.unwritten {
            unwritten.instances.insert(key);
        }
    }

    fn mark_stopped(&mut self, key: InstanceKey) {
        self.update(key, |tracked| {
            if tracked.state == InstanceState::Running {
                tracked.state = InstanceState::Stopped;
            }
        });
    }

    fn remove(&mut self, key: InstanceKey) {
        self.unindex_name(key);
        self.mark_stopped(key);
        self.mark_changed(key);
        self.losses.remove(key);
        self.scopes.forget(key);
        let tracked = self.tracked.remove(key as usize);
        self.members.remove(tracked.profile, key);
        if let Some(id) = tracked.id {
            self.by_id.remove(&id);
        }
    }
}

/// Half the size of a timestamp. Zero, the start of 1970, represents an unknown time.
fn microseconds(instance: &Instance<'_>) -> Option<NonZeroI64> {
    instance.created_at.and_then(|time| NonZeroI64::new(time.as_microsecond()))
}

#[derive(Debug, Default)]
struct Clusters {
    list: Vec<Arc<str>>,
    set: HashSet<Arc<str>>,
}

impl Clusters {
    fn insert(&mut self, cluster: &str) {
        if !self.set.contains(cluster) {
            let cluster: Arc<str> = cluster.into();
            self.list.push(Arc::clone(&cluster));
            self.set.insert(cluster);
        }
    }
}
