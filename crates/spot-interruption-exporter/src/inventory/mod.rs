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
//! [`Profile`], and the two indices hold nothing but positions.

mod profile;
mod record;
mod scope;

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroI64;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hashbrown::HashTable;
use jiff::Timestamp;
use slab::Slab;

use self::profile::Profiles;
pub use self::profile::{Profile, ProfileId};
pub use self::record::{InstanceRecord, InvalidRecord, InventoryChanges, InventoryRecord};
use self::scope::Scopes;
pub use self::scope::{Scope, UNLISTED_TTL, Unseen};
use crate::event::InterruptionReason;
use crate::instance::{Instance, InstanceId, InstanceRef};
use crate::timeline::Timeline;

/// A listing that begins so long after an interruption shows what came after it. Stopping an
/// instance takes some seconds, and clocks disagree.
const LISTING_MARGIN: Duration = Duration::from_secs(60);

/// All known instances.
#[derive(Debug)]
pub struct Inventory {
    /// Names the project of instances whose source did not.
    project: Box<str>,
    tombstone_ttl: Duration,
    tracked: Slab<Tracked>,
    by_id: HashTable<Key>,
    by_name: HashTable<Key>,
    hasher: RandomState,
    profiles: Profiles,
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

/// What an interruption is counted under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interrupted {
    /// The labels.
    pub profile: ProfileId,
    /// When the instance was created. Absent too when the instance had been interrupted before: its age belongs to
    /// the first time.
    pub created_at: Option<Timestamp>,
}

/// An interruption, as it is remembered of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// Why. Absent where a state that was written by version 0.1.0 does not tell.
    pub reason: Option<InterruptionReason>,
    /// When, according to the event.
    pub at: Option<Timestamp>,
}

/// What an interruption does to a known instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interruption {
    /// It is to be counted.
    New(Interrupted),
    /// The same loss was told by another method before, and the instance was not seen running since.
    Repeated,
}

/// A moment by the clock that decides, and by the clock that events are labelled with.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Monotonic.
    pub instant: Instant,
    /// Wall clock.
    pub timestamp: Timestamp,
}

#[derive(Debug)]
struct Lost {
    loss: Loss,
    /// When it was heard of.
    heard: Instant,
    /// When the instance is to be forgotten.
    until: Instant,
}

impl Lost {
    /// Whether a listing that began at a moment shows what came after the interruption.
    fn is_before(&self, listing: Moment) -> bool {
        let by_event = self.loss.at.is_some_and(|at| {
            Duration::try_from(listing.timestamp.duration_since(at)).is_ok_and(|age| age >= LISTING_MARGIN)
        });
        by_event || listing.instant.saturating_duration_since(self.heard) >= LISTING_MARGIN
    }
}

/// The position of an instance. Four bytes, since there are two or more of these for each.
pub type Key = u32;

/// One instance, in forty bytes and its name.
#[derive(Debug)]
struct Tracked {
    /// Given by the provider; hand-made events do without.
    id: Option<InstanceId>,
    /// Empty when only the id is known.
    name: Box<str>,
    /// In microseconds since 1970.
    created_at: Option<NonZeroI64>,
    profile: ProfileId,
    state: State,
    sighting: Sighting,
    spot: bool,
    /// Whether its source told the project's id. If not, the project is compatible with any.
    is_project_known: bool,
}

/// What is known of an instance's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// As far as is known.
    Running,
    /// Terminated, or succeeded by another instance of its name.
    Stopped,
    /// A tombstone.
    Interrupted,
}

/// What the resyncs say about an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sighting {
    /// Seen, or heard of, since the last resync began.
    Recent,
    /// Not yet seen by the resync that runs.
    Outstanding,
    /// Not seen by the last complete one.
    Missed,
    /// Not heard of since it was read from a record, which may be old.
    Recorded,
}

impl Tracked {
    fn is_running_spot(&self) -> bool {
        self.spot && self.state == State::Running
    }

    /// What changes and is written down, but for the names.
    fn written(&self) -> (Option<NonZeroI64>, ProfileId, State, bool, bool) {
        (self.created_at, self.profile, self.state, self.spot, self.is_project_known)
    }

    fn has_same_id(&self, instance: &InstanceRef<'_>) -> bool {
        self.id.is_some() && self.id == instance.id
    }

    /// As far as one can tell: hand-made events have no time.
    fn is_newer_than(&self, created_at: Option<NonZeroI64>) -> bool {
        self.created_at.zip(created_at).is_some_and(|(own, other)| own > other)
    }
}

impl Inventory {
    /// An empty inventory. Interrupted instances stay known for `tombstone_ttl`; instances whose source does not
    /// name the project's id are labelled with `project`.
    #[must_use]
    pub fn new(project: &str, tombstone_ttl: Duration) -> Self {
        Self {
            project: project.into(),
            tombstone_ttl,
            tracked: Slab::new(),
            by_id: HashTable::new(),
            by_name: HashTable::new(),
            hasher: RandomState::new(),
            profiles: Profiles::default(),
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

    /// Whether an instance is known.
    #[must_use]
    pub fn knows(&self, instance: &InstanceRef<'_>) -> bool {
        self.find(instance).is_some()
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

    /// Takes note of the id of an instance that is known by name only.
    pub fn learn(&mut self, instance: &InstanceRef<'_>) {
        if let Some(key) = self.find(instance) {
            self.learn_id(key, instance.id);
        }
    }

    /// An instance whose creation was announced and then failed does not run. Only an id says that it is really
    /// the same: the next attempt has the same name.
    pub fn withdraw(&mut self, instance: &InstanceRef<'_>) {
        if let Some(key) = instance.id.and_then(|id| self.find_by_id(id)) {
            self.stop(key);
        }
    }

    /// Marks an instance as interrupted and says what to count it under, or `None` when it is not known.
    ///
    /// An instance can be interrupted more than once: it may be started again under the same id. By another method it
    /// is another one only if the instance was seen running in between.
    pub fn interrupt(
        &mut self,
        instance: &InstanceRef<'_>,
        loss: Loss,
        now: Instant,
    ) -> Option<Interruption> {
        let key = self.find(instance)?;
        self.learn_id(key, instance.id);
        let tracked = self.at(key);
        let profile = tracked.profile;
        let created_at = tracked.created_at.and_then(|time| Timestamp::from_microsecond(time.get()).ok());
        if let Some(lost) = self.losses.get_mut(&key) {
            if lost.loss.reason.zip(loss.reason).is_some_and(|(before, now)| before != now) {
                return Some(Interruption::Repeated);
            }
            lost.loss = Loss { at: loss.at.max(lost.loss.at), ..loss };
            lost.heard = now;
            self.touch(key);
            return Some(Interruption::New(Interrupted { profile, created_at: None }));
        }
        self.update(key, |tracked| tracked.state = State::Interrupted);
        let until = now + self.tombstone_ttl;
        self.losses.insert(key, Lost { loss, heard: now, until });
        self.tombstones.push(until, key);
        Some(Interruption::New(Interrupted { profile, created_at }))
    }

    /// Whether an instance is known to have been interrupted for that reason at about that time, and was not seen running
    /// since. Absent times are compatible with any.
    #[must_use]
    pub fn is_same_loss(
        &self,
        instance: &InstanceRef<'_>,
        reason: InterruptionReason,
        at: Option<Timestamp>,
    ) -> bool {
        let Some(Lost { loss, .. }) = self.find(instance).and_then(|key| self.losses.get(&key)) else {
            return false;
        };
        let is_near =
            loss.at.zip(at).is_none_or(|(lost, at)| lost.duration_since(at).unsigned_abs() <= LISTING_MARGIN);
        is_near && loss.reason.is_none_or(|known| known == reason)
    }

    /// Removes the tombstones whose time has come.
    pub fn expire(&mut self, now: Instant) {
        while let Some(key) = self.tombstones.pop_due(now) {
            if self.losses.get(&key).is_some_and(|lost| lost.until <= now) {
                self.remove(key);
            }
        }
        let (tracked, scopes) = (&self.tracked, &mut self.scopes);
        scopes.stamp(now, |key| {
            tracked.get(key as usize).map(|tracked| (tracked.profile.index(), tracked.is_project_known))
        });
        while let Some(key) = self.scopes.pop_due(now) {
            // A tombstone is removed in its own time.
            if self.at(key).state != State::Interrupted {
                self.remove(key);
            }
        }
    }

    /// When the next instance is to be forgotten for want of news.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Instant> {
        [self.tombstones.next_end(), self.scopes.next_due()].into_iter().flatten().min()
    }

    /// Replaces the scopes. An instance in none of them is dropped [some time](UNLISTED_TTL) after the last sign of it.
    pub fn set_scopes(&mut self, scopes: impl IntoIterator<Item = Scope>) {
        self.scopes.set(scopes, self.profiles.all());
        for (key, tracked) in &mut self.tracked {
            let key = key as Key;
            let was_unlisted = self.scopes.is_unlisted(key);
            if !self.scopes.is_listed(tracked.profile.index(), tracked.is_project_known) {
                if !was_unlisted {
                    self.scopes.sign_of_unlisted(key);
                }
                self.scopes.meet(&self.profiles.get(tracked.profile).project);
            } else if was_unlisted {
                // No listing was asked for it so far.
                self.scopes.forget(key);
                tracked.sighting = Sighting::Recent;
            }
        }
    }

    /// Whether there is such a scope.
    #[must_use]
    pub fn is_scope(&self, scope: &Scope) -> bool {
        self.scopes.contains(scope.name())
    }

    /// Takes note that an event is about a project, which may be in no scope.
    pub fn meet(&mut self, project: &str) {
        self.scopes.meet(project);
    }

    /// The projects in no scope that were met since this was last asked.
    pub fn take_unlisted(&mut self) -> Vec<Scope> {
        self.scopes.take_news()
    }

    /// A resync of a scope begins: what exists in it is about to be [listed](Self::list). One that was begun before and
    /// not finished is void.
    pub fn begin_resync(&mut self, scope: &Scope, now: Moment) {
        if !self.scopes.begin(scope, now) {
            return;
        }
        let is_covered: Vec<bool> = self.profiles.all().iter().map(|profile| scope.covers(profile)).collect();
        for (_, tracked) in &mut self.tracked {
            if tracked.sighting == Sighting::Recent
                && is_covered[tracked.profile.index()]
                && self.scopes.is_listed(tracked.profile.index(), tracked.is_project_known)
            {
                tracked.sighting = Sighting::Outstanding;
            }
        }
    }

    /// Everything in a scope has been observed, except for what could not be seen. Drops the instances of the scope that
    /// neither this resync nor the one before it met, and says how many those were.
    pub fn finish_resync(&mut self, scope: &Scope, unseen: &Unseen) -> usize {
        if !self.scopes.end(scope) {
            return 0;
        }
        let is_seen = |profile: &Profile| scope.covers(profile) && !unseen.covers(&profile.zone);
        let is_seen: Vec<bool> = self.profiles.all().iter().map(is_seen).collect();
        let mut gone = Vec::new();
        let mut stale = Vec::new();
        for (key, tracked) in &mut self.tracked {
            if !is_seen[tracked.profile.index()]
                || !self.scopes.is_listed(tracked.profile.index(), tracked.is_project_known)
            {
                continue;
            }
            match tracked.sighting {
                _ if tracked.state == State::Interrupted => {}
                Sighting::Recent => {}
                Sighting::Outstanding => tracked.sighting = Sighting::Missed,
                Sighting::Missed => gone.push(key as Key),
                Sighting::Recorded => {
                    tracked.sighting = Sighting::Missed;
                    stale.push(key as Key);
                }
            }
        }
        for &key in &gone {
            self.remove(key);
        }
        // It went while nobody looked. Why, an event may yet tell, which finds it for one resync more.
        for key in stale {
            self.stop(key);
        }
        gone.len()
    }

    fn find(&self, instance: &InstanceRef<'_>) -> Option<Key> {
        if let Some(key) = instance.id.and_then(|id| self.find_by_id(id)) {
            return Some(key);
        }
        // An instance of that name but with another id is another instance.
        self.find_by_name(instance).filter(|&key| self.at(key).id.is_none() || instance.id.is_none())
    }

    fn find_by_id(&self, id: InstanceId) -> Option<Key> {
        self.by_id.find(self.hasher.hash_one(id), |&key| self.at(key).id == Some(id)).copied()
    }

    /// The instance that has this name now. Two projects can have one each; a reference that leaves the project
    /// open then means the newest.
    fn find_by_name(&self, instance: &InstanceRef<'_>) -> Option<Key> {
        let (zone, name) = instance.zone_and_name()?;
        let is_meant = |key: &Key| {
            let tracked = self.at(*key);
            let profile = self.profiles.get(tracked.profile);
            *tracked.name == *name
                && *profile.zone == *zone
                && match instance.project.as_deref() {
                    Some(project) => !tracked.is_project_known || *profile.project == *project,
                    None => true,
                }
        };
        let candidates = self.by_name.iter_hash(self.hasher.hash_one((zone, name))).copied();
        candidates.filter(is_meant).max_by_key(|&key| self.at(key).created_at)
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

    /// An instance in no scope shows that it exists.
    fn note_sign(&mut self, key: Key) {
        let tracked = self.at(key);
        if !self.scopes.is_listed(tracked.profile.index(), tracked.is_project_known) {
            self.scopes.sign_of_unlisted(key);
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
        }
        profile
    }

    /// Changes an instance and keeps the number of running spot instances right.
    fn update(&mut self, key: Key, change: impl FnOnce(&mut Tracked)) {
        let tracked = &mut self.tracked[key as usize];
        if tracked.is_running_spot() {
            self.spot_running[tracked.profile.index()] -= 1;
        }
        let before = tracked.written();
        change(tracked);
        let is_changed = tracked.written() != before;
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

    fn learn_id(&mut self, key: Key, id: Option<InstanceId>) {
        let Some(id) = id else { return };
        let tracked = &mut self.tracked[key as usize];
        if tracked.id.is_none() {
            tracked.id = Some(id);
            let (tracked, hasher) = (&self.tracked, &self.hasher);
            // The index holds only instances that have an id.
            let hash = |key: &Key| tracked[*key as usize].id.map_or(0, |id| hasher.hash_one(id));
            self.by_id.insert_unique(hash(&key), key, hash);
            self.touch(key);
        }
    }

    /// Makes an instance the one that is meant by its name, unless a newer one is.
    fn claim_name(&mut self, key: Key) {
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
        let (tracked, profiles, hasher) = (&self.tracked, &self.profiles, &self.hasher);
        let hash = |key: &Key| name_hash(hasher, profiles, &tracked[*key as usize]);
        self.by_name.insert_unique(hash(&key), key, hash);
        self.touch(key);
    }

    /// An instance outside any cluster has taken a name.
    fn pass_name_on(&mut self, outsider: &Instance<'_>) {
        if let Some(holder) = self.find_by_name(&outsider.instance) {
            let tracked = self.at(holder);
            if !tracked.has_same_id(&outsider.instance) && !tracked.is_newer_than(microseconds(outsider)) {
                self.retire(holder);
            }
        }
    }

    /// The name means another instance from now on, so this one runs no more. Events can still find it by its id.
    fn retire(&mut self, key: Key) {
        self.unname(key);
        self.stop(key);
        let tracked = self.at(key);
        // A tombstone is removed in its own time: it has an appointment under this key.
        if tracked.id.is_none() && tracked.state != State::Interrupted {
            self.remove(key);
        }
    }

    fn stop(&mut self, key: Key) {
        self.update(key, |tracked| {
            if tracked.state == State::Running {
                tracked.state = State::Stopped;
            }
        });
    }

    /// An interrupted instance runs again.
    fn revive(&mut self, key: Key) {
        self.losses.remove(&key);
        self.update(key, |tracked| tracked.state = State::Running);
    }

    fn unname(&mut self, key: Key) {
        let hash = name_hash(&self.hasher, &self.profiles, self.at(key));
        if let Ok(entry) = self.by_name.find_entry(hash, |&other| other == key) {
            entry.remove();
            self.touch(key);
        }
    }

    fn has_name(&self, key: Key) -> bool {
        let hash = name_hash(&self.hasher, &self.profiles, self.at(key));
        self.by_name.find(hash, |&other| other == key).is_some()
    }

    fn remove(&mut self, key: Key) {
        self.unname(key);
        self.stop(key);
        self.touch(key);
        self.losses.remove(&key);
        self.scopes.forget(key);
        let tracked = self.tracked.remove(key as usize);
        if let Some(id) = tracked.id
            && let Ok(entry) = self.by_id.find_entry(self.hasher.hash_one(id), |&other| other == key)
        {
            entry.remove();
        }
    }
}

fn name_hash(hasher: &RandomState, profiles: &Profiles, tracked: &Tracked) -> u64 {
    hasher.hash_one((&*profiles.get(tracked.profile).zone, &*tracked.name))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A hundred thousand instances have to fit into 40 MiB together with everything else.
    #[test]
    fn an_instance_takes_forty_bytes_and_its_name() {
        assert_eq!(size_of::<Tracked>(), 40);
    }
}
