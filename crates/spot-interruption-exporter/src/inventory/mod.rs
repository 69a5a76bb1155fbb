//! Which instances are known, and what of: the answer to "whose instance was that?".
//!
//! Instances become known by creation events, by resyncs (listings of everything that exists) and by look-ups, in
//! any order and more than once. An instance is found by its id where both sides have one, else by zone and name.
//! Managed instance groups give the name of a deleted instance to its successor, so a name belongs to one instance
//! at a time, the newest; its predecessors remain known by id.
//!
//! An instance leaves in two ways. Interrupted, it stays for a while as a tombstone, so that what else is said of
//! it still finds it; if it is created again meanwhile, or listed as running later than it was interrupted, it runs
//! again. Otherwise it leaves when two resyncs of its [`Scope`] in a row have not listed it: one can miss an
//! instance that is just being made. One in no scope leaves a day after the last sign of it.
//!
//! There can be a hundred thousand instances, so each costs little: what they have in common is kept once, as a
//! [`Profile`], and so is the name, which the instance and the index share.

mod interruption;
mod members;
mod names;
mod profile;
mod record;
mod resync;
mod scope;
mod tracked;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::num::NonZeroI64;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use slab::Slab;

use self::interruption::Lost;
pub use self::interruption::{Interrupted, Interruption, Loss};
use self::members::Members;
use self::profile::Profiles;
pub use self::profile::{Profile, ProfileId};
pub use self::record::{InstanceRecord, InvalidRecord, InventoryChanges, InventoryRecord};
use self::scope::Scopes;
pub use self::scope::{Scope, UNLISTED_TTL, Unseen};
pub use self::tracked::State;
use self::tracked::{Sighting, Tracked};
use crate::instance::{Instance, InstanceId, InstanceRef};
use crate::timeline::Timeline;

/// All known instances.
#[derive(Debug)]
pub struct Inventory {
    /// Names the project of instances whose source did not.
    project: Box<str>,
    tombstone_ttl: Duration,
    tracked: Slab<Tracked>,
    by_id: HashMap<InstanceId, Key>,
    /// Instances of one name are in different zones or projects.
    by_name: BTreeSet<(Arc<str>, Key)>,
    profiles: Profiles,
    /// The instances by project.
    members: Members,
    /// By profile: how many spot instances run.
    spot_running: Vec<u32>,
    clusters: Clusters,
    /// Of the interrupted instances.
    losses: HashMap<Key, Lost>,
    /// Appointments to look whether an interrupted instance is to be forgotten. Those of an instance that runs again
    /// stay behind and mean nothing.
    tombstones: Timeline<Key>,
    /// What is listed.
    scopes: Scopes,
    /// What is not written down as it is now, where it is written down at all.
    unwritten: Option<Unwritten>,
}

#[derive(Debug, Default)]
struct Unwritten {
    instances: HashSet<Key>,
    /// The first profile and the first cluster.
    profiles: usize,
    clusters: usize,
}

/// A moment by the clock that decides, and by the clock that events are labelled with.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Monotonic.
    pub instant: Instant,
    /// Wall clock.
    pub timestamp: Timestamp,
}

/// The position of an instance. Four bytes, since there are two or more of these for each.
pub type Key = u32;

impl Inventory {
    /// An empty inventory. Interrupted instances stay known for `tombstone_ttl`; instances whose source does not
    /// name the project's id are labelled with `project`.
    #[must_use]
    pub fn new(project: &str, tombstone_ttl: Duration) -> Self {
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
            losses: HashMap::new(),
            tombstones: Timeline::default(),
            scopes: Scopes::one(project),
            unwritten: None,
        }
    }

    /// How many instances are known, tombstones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tracked.len()
    }

    /// Whether no instance is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tracked.is_empty()
    }

    /// Every cluster that was ever known, in the order in which they became so. It only grows.
    #[must_use]
    pub fn clusters(&self) -> &[Arc<str>] {
        &self.clusters.list
    }

    /// Every profile that was ever known, by its number. It only grows.
    #[must_use]
    pub fn profiles(&self) -> &[Profile] {
        self.profiles.all()
    }

    /// One profile.
    ///
    /// # Panics
    ///
    /// When the id is another inventory's.
    #[must_use]
    pub fn profile(&self, id: ProfileId) -> &Profile {
        self.profiles.get(id)
    }

    /// By the profile's number: how many spot instances run.
    #[must_use]
    pub fn spot_running(&self) -> &[u32] {
        &self.spot_running
    }

    /// Notes that a cluster exists, before any of its instances is known.
    pub fn add_cluster(&mut self, cluster: &str) {
        self.clusters.insert(cluster);
    }

    /// Adds an instance that was created. One that is known already is completed instead, so that the order in
    /// which events and listings arrive does not matter. One outside any cluster is not kept, but takes the name.
    pub fn add(&mut self, instance: &Instance<'_>) {
        if instance.cluster.is_none() {
            return self.pass_name_on(instance);
        }
        match self.find(&instance.instance) {
            // A name that was interrupted and is created again is a successor's, unless the id says otherwise.
            Some(key)
                if self.at(key).state == State::Interrupted
                    && !self.at(key).has_same_id(&instance.instance) =>
            {
                self.insert(instance);
            }
            Some(key) => {
                let lost_at = self.losses.get(&key).map(|lost| lost.loss.at);
                // Hand-made events have no time, and come in any order.
                let is_later = |at: Option<Timestamp>| {
                    at.zip(instance.created_at).is_some_and(|(lost, created)| created > lost)
                };
                if instance.running && lost_at.is_some_and(is_later) {
                    self.revive(key);
                }
                self.complete(key, instance);
            }
            None => self.insert(instance),
        }
    }

    /// Adds an instance that was looked up: it exists at this moment, and whether it runs is known.
    pub fn observe(&mut self, instance: &Instance<'_>) {
        self.observe_at(instance, None);
    }

    /// Adds an instance that the resync of a scope has listed. One that runs although it was interrupted well before
    /// the listing began was started again.
    pub fn list(&mut self, scope: &Scope, instance: &Instance<'_>) {
        self.observe_at(instance, self.scopes.begun(scope));
    }

    fn observe_at(&mut self, instance: &Instance<'_>, listing: Option<Moment>) {
        if instance.cluster.is_none() {
            return self.pass_name_on(instance);
        }
        let Some(key) = self.find(&instance.instance) else { return self.insert(instance) };
        let lost = self.losses.get(&key);
        if instance.running && listing.zip(lost).is_some_and(|(listing, lost)| lost.is_before(listing)) {
            self.revive(key);
        }
        self.update(key, |tracked| {
            // What is observed may be older than the interruption.
            if tracked.state != State::Interrupted {
                tracked.state = if instance.running { State::Running } else { State::Stopped };
            }
        });
        self.complete(key, instance);
        // What exists has its name, even if events had it that the name was passed on.
        self.claim_name(key);
    }

    /// An instance whose creation was announced and then failed does not run. Only an id says that it is really
    /// the same: the next attempt has the same name.
    pub fn withdraw(&mut self, instance: &InstanceRef<'_>) {
        if let Some(key) = instance.id.and_then(|id| self.find_by_id(id)) {
            self.stop(key);
        }
    }

    /// The instance at a position. Positions come from the indices, which [`Self::remove`] keeps free of those
    /// that are no more.
    fn at(&self, key: Key) -> &Tracked {
        &self.tracked[key as usize]
    }

    fn insert(&mut self, instance: &Instance<'_>) {
        let profile = self.intern(instance, None);
        let tracked = Tracked {
            id: None,
            name: instance.instance.name.as_deref().unwrap_or_default().into(),
            created_at: microseconds(instance),
            profile,
            state: if instance.running { State::Running } else { State::Stopped },
            sighting: Sighting::Recent,
            spot: instance.spot,
            is_project_known: instance.instance.project.is_some(),
        };
        if tracked.is_running_spot() {
            self.spot_running[profile.index()] += 1;
        }
        // Left alone, the slab would double, and up to half of the largest allocation would lie idle.
        if self.tracked.len() == self.tracked.capacity() {
            self.tracked.reserve_exact((self.tracked.len() / 8).max(64));
        }
        let key = self.tracked.insert(tracked) as Key;
        self.members.insert(profile, key);
        self.touch(key);
        self.note_sign(key);
        self.learn_id(key, instance.instance.id);
        self.claim_name(key);
    }

    /// Adds to a known instance what a description says of it.
    fn complete(&mut self, key: Key, instance: &Instance<'_>) {
        self.learn_id(key, instance.instance.id);
        let known = self.at(key).profile;
        let profile = self.intern(instance, Some(known));
        let name = instance.instance.name.as_deref().filter(|name| *self.at(key).name != **name);
        let is_renamed = name.is_some() || self.profile(profile).zone != self.profile(known).zone;
        if is_renamed {
            self.unname(key);
            self.touch(key);
        }
        self.update(key, |tracked| {
            if let Some(name) = name {
                tracked.name = name.into();
            }
            tracked.created_at = microseconds(instance).or(tracked.created_at);
            tracked.profile = profile;
            tracked.sighting = Sighting::Recent;
            tracked.spot |= instance.spot;
            tracked.is_project_known |= instance.instance.project.is_some();
        });
        self.note_sign(key);
        if is_renamed {
            self.claim_name(key);
        }
    }

    fn intern(&mut self, instance: &Instance<'_>, known: Option<ProfileId>) -> ProfileId {
        let profile = self.profile_of(instance, known);
        self.clusters.insert(&self.profiles.get(profile).cluster);
        profile
    }

    /// The profile of an instance that was not created: it makes no cluster known.
    pub fn profile_of_failure(&mut self, instance: &Instance<'_>) -> ProfileId {
        self.profile_of(instance, None)
    }

    /// The profile of a spot instance that is known.
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

    /// Changes an instance and keeps the number of running spot instances right.
    fn update(&mut self, key: Key, change: impl FnOnce(&mut Tracked)) {
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
            self.touch(key);
        }
    }

    /// Notes that an instance is to be written down anew.
    fn touch(&mut self, key: Key) {
        if let Some(unwritten) = &mut self.unwritten {
            unwritten.instances.insert(key);
        }
    }

    fn stop(&mut self, key: Key) {
        self.update(key, |tracked| {
            if tracked.state == State::Running {
                tracked.state = State::Stopped;
            }
        });
    }

    fn remove(&mut self, key: Key) {
        self.unname(key);
        self.stop(key);
        self.touch(key);
        self.losses.remove(&key);
        self.scopes.forget(key);
        let tracked = self.tracked.remove(key as usize);
        self.members.remove(tracked.profile, key);
        if let Some(id) = tracked.id {
            self.by_id.remove(&id);
        }
    }
}

/// Half the size of a timestamp, and the start of 1970 can stand for "unknown".
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
