//! Decides what each event amounts to.
//!
//! This is the place where events, the inventory and the memory of past events meet: a state machine without IO
//! and without a clock. Events, listings and results of look-ups go in, each with the present moment; what is to be
//! done about them comes out of [`poll_resolved`](Attribution::poll_resolved) and
//! [`poll_lookup`](Attribution::poll_lookup).
//!
//! Every message brings a token, such as the handle by which it is acknowledged, and gets it back exactly once,
//! together with an [`Outcome`]. Record the outcome first and acknowledge then. A token that has not come back
//! stands for an event that has had no effect: drop it and the message is delivered again. That is also how a
//! restart loses nothing.
//!
//! An interruption of an unknown instance is held, since the creation may be about to arrive on the other
//! subscription, which has no order with this one. It is settled by whatever makes the instance known, or at the
//! end of the grace as unattributed. Further deliveries of an event that is held join it and come back after it, as
//! duplicates. Two different events about one instance count twice: a preempted instance can be started again under
//! its id, and be preempted again.

mod waiting;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use self::waiting::{CaseId, Held, Kind, Message, Place, Waiting};
use crate::audit_log::{
    Event, FailedCreation, FailureReason, Ignored, InterruptionReason, Invalid, LogEntry,
};
use crate::dedup::{Acquaintance, Dedup, Fingerprint, HashKey};
use crate::instance::{Instance, InstanceRef};
use crate::inventory::{Interrupted, InvalidRecord, Inventory, InventoryChanges, InventoryRecord, ProfileId};
use crate::timeline::{Timeline, TimelineChanges};

/// How long things are waited for and remembered.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The id of the project, for instances whose source does not tell.
    pub project: String,
    /// How long an interruption of an unknown instance is held.
    pub attribution_grace: Duration,
    /// How long an event is recognised after it had its effect.
    pub dedup_window: Duration,
    /// How long an interrupted instance stays known.
    pub tombstone_ttl: Duration,
}

/// What a message amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// An interruption of an instance of a known cluster.
    Counted(Counted),
    /// An interruption of an instance that belongs to no known cluster.
    Unattributed {
        /// Why it was interrupted.
        reason: InterruptionReason,
        /// When.
        at: Option<Timestamp>,
        /// Why it belongs to none.
        why: Why,
    },
    /// A creation: its instance is in the inventory.
    Added,
    /// A creation that failed, of a spot node of a cluster.
    CreationFailed {
        /// The labels to count it under.
        profile: ProfileId,
        /// Why it failed.
        reason: FailureReason,
    },
    /// The same event has been here before.
    Duplicate,
    /// The message is of no consequence.
    Ignored(Ignored),
    /// The message cannot be read.
    Invalid(Invalid),
}

impl Outcome {
    /// The value of the `outcome` label.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Counted(_) => "counted",
            Self::Unattributed { .. } => "unattributed",
            Self::Added => "added",
            Self::Duplicate => "duplicate",
            // It has no effect on interruptions.
            Self::CreationFailed { .. } | Self::Ignored(_) => "ignored",
            Self::Invalid(_) => "invalid",
        }
    }
}

/// Why an interruption belongs to no known cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The instance exists, and is no node of a cluster.
    NotKubernetes,
    /// No creation event and no listing has made the instance known in time, and the Compute API has none of that
    /// name.
    NotFound,
    /// The same, but the Compute API has not answered, or could not be asked.
    Unknown,
}

impl Why {
    /// The word for log lines.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::NotKubernetes => "not_kubernetes",
            Self::NotFound => "not_found",
            Self::Unknown => "unknown",
        }
    }
}

/// One interruption, ready to be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// The labels to count it under; see [`Inventory::profile`].
    pub profile: ProfileId,
    /// Why it was interrupted.
    pub reason: InterruptionReason,
    /// When.
    pub at: Option<Timestamp>,
    /// How old the instance was, where both moments are known.
    pub lifetime: Option<Duration>,
}

/// A message that has had its effect, and can be acknowledged once the effect is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolved<T> {
    /// What came with the message.
    pub token: T,
    /// What it amounts to.
    pub outcome: Outcome,
}

/// A question to the Compute API: what is this instance?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// To be given back with the instance, if it is found.
    pub id: LookupId,
    /// The id of the project.
    pub project: String,
    /// The zone.
    pub zone: String,
    /// The name, or the id where the name is unknown: the API takes either.
    pub instance: String,
    /// From then on the answer comes too late.
    pub deadline: Instant,
}

/// Tells which look-up has found an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LookupId(CaseId);

impl Kind {
    fn outcome_if_unknown(self, is_missing: bool) -> Outcome {
        let why = if is_missing { Why::NotFound } else { Why::Unknown };
        match self {
            Self::Interruption { reason, at } => Outcome::Unattributed { reason, at, why },
            Self::Creation => Outcome::Ignored(Ignored::Unresolved),
        }
    }
}

/// The state machine. `T` is the token that each message brings.
#[derive(Debug)]
pub struct Attribution<T> {
    settings: Settings,
    inventory: Inventory,
    /// Two subscriptions, so two memories: the ids of their messages have nothing to do with each other.
    interruptions: Dedup<Place>,
    creations: Dedup<Place>,
    waiting: Waiting<T>,
    resolved: VecDeque<Resolved<T>>,
    is_seeded: bool,
}

/// What is known, as it is written down. What is held is not part of it: it has had no effect, so its messages come
/// again.
#[derive(Debug)]
pub struct Record {
    /// The key under which ids are remembered.
    pub key: HashKey,
    /// The instances.
    pub inventory: InventoryRecord,
    /// The ids of interruptions and of what brought them.
    pub interruptions: Timeline<u64>,
    /// The same of creations.
    pub creations: Timeline<u64>,
}

impl Record {
    /// Nothing is known.
    #[must_use]
    pub fn empty(key: HashKey) -> Self {
        Self {
            key,
            inventory: InventoryRecord::default(),
            interruptions: Timeline::default(),
            creations: Timeline::default(),
        }
    }
}

/// What has become different since it was last written down.
#[derive(Debug)]
pub struct Changes {
    /// The instances.
    pub inventory: InventoryChanges,
    /// The ids of interruptions and of what brought them.
    pub interruptions: TimelineChanges<u64>,
    /// The same of creations.
    pub creations: TimelineChanges<u64>,
}

impl<T> Attribution<T> {
    /// Knows nothing yet, and will not be written down.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let key = HashKey::random();
        let interruptions = Dedup::new(settings.dedup_window, key);
        let creations = Dedup::new(settings.dedup_window, key);
        let inventory = Inventory::new(&settings.project, settings.tombstone_ttl);
        Self::with(settings, inventory, interruptions, creations)
    }

    /// Knows what was written down, and notes what changes.
    ///
    /// # Errors
    ///
    /// The record contradicts itself.
    pub fn restore(settings: Settings, record: Record) -> Result<Self, InvalidRecord> {
        let dedup = |ids| Dedup::restore(settings.dedup_window, record.key, ids);
        let (interruptions, creations) = (dedup(record.interruptions), dedup(record.creations));
        let inventory = Inventory::restore(&settings.project, settings.tombstone_ttl, record.inventory)?;
        Ok(Self::with(settings, inventory, interruptions, creations))
    }

    /// What has become different since the last time that this was asked. It counts as written down from now on.
    pub fn take_changes(&mut self) -> Changes {
        Changes {
            inventory: self.inventory.take_changes(),
            interruptions: self.interruptions.take_changes(),
            creations: self.creations.take_changes(),
        }
    }

    fn with(
        settings: Settings,
        inventory: Inventory,
        interruptions: Dedup<Place>,
        creations: Dedup<Place>,
    ) -> Self {
        Self {
            inventory,
            interruptions,
            creations,
            waiting: Waiting::new(),
            resolved: VecDeque::new(),
            is_seeded: false,
            settings,
        }
    }

    /// The instances that are known, and the labels to count them under.
    #[must_use]
    pub fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// Whether a resync has been completed.
    #[must_use]
    pub fn is_seeded(&self) -> bool {
        self.is_seeded
    }

    /// How many interruptions are held.
    #[must_use]
    pub fn held_interruptions(&self) -> usize {
        self.waiting.interruptions()
    }

    /// Takes a message, as [`audit_log::parse`](crate::audit_log::parse) has read it.
    pub fn message(
        &mut self,
        message_id: &str,
        parsed: Result<LogEntry<'_>, Invalid>,
        token: T,
        now: Instant,
    ) {
        self.tick(now);
        let entry = match parsed {
            Ok(entry) => entry,
            Err(invalid) => return self.resolve(token, Outcome::Invalid(invalid)),
        };
        let fingerprint = |dedup: &Dedup<Place>| {
            dedup.fingerprint(message_id, entry.insert_id.as_deref(), entry.operation_id.as_deref())
        };
        match &entry.event {
            Event::Interruption { instance, reason } => {
                let kind = Kind::Interruption { reason: *reason, at: entry.timestamp };
                self.settle_or_hold(instance, kind, fingerprint(&self.interruptions), token, now);
            }
            Event::UnlabelledCreation(instance) => {
                self.settle_or_hold(instance, Kind::Creation, fingerprint(&self.creations), token, now);
            }
            Event::Creation(instance) if instance.cluster.is_some() => {
                let fingerprint = fingerprint(&self.creations);
                if let Some(token) = self.admit(Kind::Creation, &fingerprint, token) {
                    self.inventory.add(instance);
                    self.creations.commit(&fingerprint, now);
                    self.resolve(token, Outcome::Added);
                    self.settle(&instance.instance, now);
                }
            }
            Event::Creation(outsider) => {
                self.inventory.add(outsider);
                self.resolve(token, Outcome::Ignored(Ignored::NotKubernetes));
            }
            Event::BulkRequest { cluster } => {
                if let Some(cluster) = cluster {
                    self.inventory.add_cluster(cluster);
                }
                self.resolve(token, Outcome::Ignored(Ignored::BulkRequest));
            }
            Event::CreationFinished(instance) => {
                self.inventory.learn(instance);
                self.resolve(token, Outcome::Ignored(Ignored::OperationEnd));
                self.settle(instance, now);
            }
            Event::CreationFailed(failed) => {
                let fingerprint = self.creations.fingerprint_of_failure(
                    message_id,
                    entry.insert_id.as_deref(),
                    entry.operation_id.as_deref(),
                    &failed.instance.instance,
                );
                self.failed(failed, &fingerprint, token, now);
            }
            Event::Ignored(ignored) => self.resolve(token, Outcome::Ignored(*ignored)),
        }
    }

    /// A resync begins: every instance that exists is about to be passed to [`observe`](Self::observe). One that
    /// was begun before and broke off is forgotten; what it has observed stays.
    pub fn begin_resync(&mut self, now: Instant) {
        self.tick(now);
        self.inventory.begin_resync();
    }

    /// Takes an instance that a resync has listed.
    pub fn observe(&mut self, instance: &Instance<'_>, now: Instant) {
        self.tick(now);
        self.inventory.observe(instance);
        self.settle(&instance.instance, now);
    }

    /// The resync is complete. Says how many instances were dropped because neither it nor the one before it has
    /// listed them.
    pub fn finish_resync(&mut self, now: Instant) -> usize {
        self.tick(now);
        self.is_seeded = true;
        self.inventory.finish_resync()
    }

    /// The next instance to look up, if one is wanted now. Each is asked for once; whether to try again after an
    /// error, until its deadline, is the caller's affair.
    ///
    /// Before the first resync is complete there is no hurry, for it is likely to answer most questions at once.
    pub fn poll_lookup(&mut self, now: Instant) -> Option<Lookup> {
        loop {
            let (case, deadline) = self.waiting.next_lookup(now, self.is_seeded)?;
            let Some(instance) = self.waiting.instance(case) else { continue };
            // What has neither name nor id, or no zone, cannot be asked for, and was not queued.
            let name = instance.name.map(String::from).or(instance.id.map(|id| id.to_string()));
            let (Some(zone), Some(name)) = (instance.zone, name) else { continue };
            return Some(Lookup {
                id: LookupId(case),
                project: instance.project.as_deref().unwrap_or(&self.settings.project).to_owned(),
                zone: zone.into(),
                instance: name,
                deadline,
            });
        }
    }

    /// Notes that there is no instance of that name. Its creation event may still be on its way, so the grace goes on.
    pub fn not_found(&mut self, lookup: LookupId) {
        self.waiting.note_missing(lookup.0);
    }

    /// Takes an instance that was looked up and found, running or not. One that cannot be asked for is not reported:
    /// the grace goes on.
    pub fn found(&mut self, lookup: LookupId, found: &Instance<'_>, now: Instant) {
        self.tick(now);
        self.inventory.observe(found);
        self.settle(&found.instance, now);

        // An instance that belongs to no cluster will not come to belong to one. But the name that was asked for
        // may meanwhile be another instance's.
        let ids = (found.instance.id, self.waiting.instance(lookup.0).and_then(|asked| asked.id));
        let is_the_same = !matches!(ids, (Some(found), Some(asked)) if found != asked);
        if found.cluster.is_none() && is_the_same {
            for held in self.waiting.close(lookup.0).map(|(_, messages)| messages).unwrap_or_default() {
                let outcome = match held.message.kind {
                    Kind::Interruption { reason, at } => {
                        Outcome::Unattributed { reason, at, why: Why::NotKubernetes }
                    }
                    Kind::Creation => Outcome::Ignored(Ignored::NotKubernetes),
                };
                self.finish(held, outcome, now);
            }
        }
    }

    /// Does what time brings about: ends graces, tombstones and memories. Everything else that takes the moment
    /// does this first, so it is needed only when nothing else happens.
    pub fn tick(&mut self, now: Instant) {
        while let Some((held, is_missing)) = self.waiting.pop_due(now) {
            let outcome = held.message.kind.outcome_if_unknown(is_missing);
            self.finish(held, outcome, now);
        }
        self.inventory.expire(now);
        self.interruptions.expire(now);
        self.creations.expire(now);
    }

    /// When [`tick`](Self::tick) has something to do, or [`poll_lookup`](Self::poll_lookup) something to say, if
    /// nothing happens before.
    #[must_use]
    pub fn next_deadline(&self, now: Instant) -> Option<Instant> {
        let lookup = self.waiting.next_lookup_by().filter(|by| !self.is_seeded && *by > now);
        [self.waiting.next_deadline(), self.inventory.next_expiry(), lookup].into_iter().flatten().min()
    }

    /// The next message that has had its effect. To be asked until there is none, whenever anything was passed in.
    pub fn poll_resolved(&mut self) -> Option<Resolved<T>> {
        self.resolved.pop_front()
    }

    /// Drops the tokens of all that is held, as at the end of the process: the messages will come again.
    pub(crate) fn forget_held(&mut self) {
        self.waiting = Waiting::new();
    }

    /// Settles a message whose instance is known, and holds it otherwise.
    fn settle_or_hold(
        &mut self,
        instance: &InstanceRef<'_>,
        kind: Kind,
        fingerprint: Fingerprint,
        token: T,
        now: Instant,
    ) {
        let Some(token) = self.admit(kind, &fingerprint, token) else { return };
        if let Some(outcome) = self.effect(instance, kind, now) {
            self.dedup(kind).commit(&fingerprint, now);
            self.resolve(token, outcome);
            self.settle(instance, now);
        } else {
            let grace = self.settings.attribution_grace;
            let message = Message { kind, fingerprint, token, deadline: now + grace };
            let place = self.waiting.hold(instance, message, now + grace / 2);
            self.dedup(kind).reserve(&fingerprint, place);
        }
    }

    /// Counts a creation that failed, if it was to be a spot node of a cluster, and takes back the announcement of its
    /// instance.
    fn failed(&mut self, failed: &FailedCreation<'_>, fingerprint: &Fingerprint, token: T, now: Instant) {
        let FailedCreation { instance, is_described, on_demand, had_begun, reason } = failed;
        if *had_begun {
            self.inventory.withdraw(&instance.instance);
        }
        let Some(token) = self.admit(Kind::Creation, fingerprint, token) else { return };
        let profile = match is_described {
            // The last entry of an operation does not repeat the request; the first one told of the instance.
            false => self.inventory.spot_profile(&instance.instance),
            true if *on_demand || instance.cluster.is_none() => None,
            true => Some(self.inventory.profile_of_failure(instance)),
        };
        let Some(profile) = profile else {
            return self.resolve(token, Outcome::Ignored(Ignored::FailedCreation));
        };
        self.creations.commit(fingerprint, now);
        self.resolve(token, Outcome::CreationFailed { profile, reason: *reason });
    }

    /// Gives back the token of a new event. That of a known one comes back as a duplicate, but not before the event
    /// has had its effect.
    fn admit(&mut self, kind: Kind, fingerprint: &Fingerprint, token: T) -> Option<T> {
        match self.dedup(kind).check(fingerprint) {
            Acquaintance::New => return Some(token),
            Acquaintance::Waiting(place) => self.waiting.join(place, token),
            Acquaintance::Seen => self.resolve(token, Outcome::Duplicate),
        }
        None
    }

    /// What a message about a known instance does, or `None` when the instance is unknown.
    fn effect(&mut self, instance: &InstanceRef<'_>, kind: Kind, now: Instant) -> Option<Outcome> {
        match kind {
            Kind::Interruption { reason, at } => {
                let Interrupted { profile, created_at } = self.inventory.interrupt(instance, now)?;
                let lifetime = at.zip(created_at).and_then(|(at, created_at)| {
                    // Clocks disagree a little; an age below zero is none.
                    Duration::try_from(at.duration_since(created_at)).ok()
                });
                Some(Outcome::Counted(Counted { profile, reason, at, lifetime }))
            }
            Kind::Creation => self.inventory.knows(instance).then(|| {
                self.inventory.learn(instance);
                Outcome::Added
            }),
        }
    }

    /// Settles what has waited for an instance that may just have become known, or become known better.
    fn settle(&mut self, instance: &InstanceRef<'_>, now: Instant) {
        let mut cases = self.waiting.candidates(instance);
        while let Some(case) = cases.pop() {
            if !self.waiting.instance(case).is_some_and(|instance| self.inventory.knows(&instance)) {
                continue;
            }
            let Some((instance, messages)) = self.waiting.close(case) else { continue };
            let instance = instance.get();
            for held in messages {
                let kind = held.message.kind;
                let outcome = self.effect(&instance, kind, now).unwrap_or(kind.outcome_if_unknown(false));
                self.finish(held, outcome, now);
            }
            // An instance that was known by name may have learned its id here, for which others may be waiting.
            cases.extend(self.waiting.candidates(&instance));
        }
    }

    fn finish(&mut self, held: Held<T>, outcome: Outcome, now: Instant) {
        let Message { kind, fingerprint, token, .. } = held.message;
        self.dedup(kind).commit(&fingerprint, now);
        self.resolve(token, outcome);
        for token in held.duplicates {
            self.resolve(token, Outcome::Duplicate);
        }
    }

    fn resolve(&mut self, token: T, outcome: Outcome) {
        self.resolved.push_back(Resolved { token, outcome });
    }

    fn dedup(&mut self, kind: Kind) -> &mut Dedup<Place> {
        match kind {
            Kind::Interruption { .. } => &mut self.interruptions,
            Kind::Creation => &mut self.creations,
        }
    }
}
