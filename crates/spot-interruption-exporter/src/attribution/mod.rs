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
//! its id, and be preempted again. But an event of another method, about an instance that was not seen running since,
//! tells of the same loss: it is a duplicate.
//!
//! Where what is held leaves no room for others, it can be [given back](Attribution::give_back): its message comes again,
//! and is held for the rest of its time.

mod effect;
mod lookups;
mod operations;
mod outcome;
mod record;
mod resync;
mod returned;
mod waiting;

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

pub use self::lookups::LookupId;
pub use self::operations::OPERATION_LATENESS;
use self::operations::Operations;
pub use self::outcome::{Choice, Counted, Lookup, Outcome, Resolved, Why};
pub use self::record::{Changes, Decided, Record};
use self::returned::Returned;
use self::waiting::{Asked, Held, Kind, Learnt, Message, Place, Waiting};
use crate::dedup::{Acquaintance, Dedup, Fingerprint, HashKey};
use crate::event::{Entry, Event, Ignored, InterruptionReason, Invalid};
use crate::instance::InstanceRef;
use crate::inventory::{Inventory, Scope};
use crate::timeline::Timeline;

/// How long things are waited for and remembered.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The id of the project, for instances whose source does not tell.
    pub project: String,
    /// How long an interruption of an unknown instance is held.
    pub attribution_grace: Duration,
    /// How long an event is recognised after its effect is safe.
    pub dedup_window: Duration,
    /// How long an interrupted instance stays known.
    pub tombstone_ttl: Duration,
}

/// The state machine. `T` is the token that each message brings.
#[derive(Debug)]
pub struct Attribution<T> {
    settings: Settings,
    inventory: Inventory,
    /// Two subscriptions, so two memories: the ids of their messages have nothing to do with each other.
    interruptions: Dedup<Place>,
    creations: Dedup<Place>,
    operations: Operations<T>,
    waiting: Waiting<T>,
    returned: Returned,
    /// The latest losses of unknown instances, by the hash of the instance: another method may tell of them too.
    strangers: HashMap<u64, InterruptionReason>,
    strangers_order: Timeline<u64>,
    resolved: VecDeque<Resolved<T>>,
    /// Everything that was decided before this moment is safe.
    safe_until: Option<Instant>,
    /// Messages wait to be taken: when that began, and when it was so last.
    backlog: Option<(Instant, Instant)>,
    /// Scopes that were not listed yet, nor was it tried in vain.
    untried: HashSet<Scope>,
    /// More scopes are about to become known.
    are_scopes_pending: bool,
    /// Whether every scope was tried once.
    is_seeded: bool,
}

impl<T> Attribution<T> {
    /// Knows nothing yet, and will not be written down.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let key = HashKey::random();
        let interruptions = Dedup::new(settings.dedup_window, key);
        let creations = Dedup::new(settings.dedup_window, key);
        let inventory = Inventory::new(&settings.project, settings.tombstone_ttl);
        let operations = Operations::restore(Timeline::default(), Timeline::default());
        Self::with(settings, inventory, interruptions, creations, operations)
    }

    fn with(
        settings: Settings,
        inventory: Inventory,
        interruptions: Dedup<Place>,
        creations: Dedup<Place>,
        operations: Operations<T>,
    ) -> Self {
        let untried = HashSet::from([Scope::project(settings.project.as_str())]);
        Self {
            inventory,
            interruptions,
            creations,
            operations,
            waiting: Waiting::new(),
            returned: Returned::default(),
            strangers: HashMap::new(),
            strangers_order: Timeline::default(),
            resolved: VecDeque::new(),
            safe_until: None,
            backlog: None,
            untried,
            are_scopes_pending: false,
            is_seeded: false,
            settings,
        }
    }

    /// The instances that are known, and the labels to count them under.
    #[must_use]
    pub fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// Whether a resync of each scope has ended, complete or not.
    #[must_use]
    pub fn is_seeded(&self) -> bool {
        self.is_seeded
    }

    /// How many interruptions are held.
    #[must_use]
    pub fn held_interruptions(&self) -> usize {
        self.waiting.interruptions()
    }

    /// Takes a message, as it was [decoded](crate::source::Decode).
    pub fn message(&mut self, message_id: &str, parsed: Result<Entry<'_>, Invalid>, token: T, now: Instant) {
        self.tick(now);
        let entry = match parsed {
            Ok(entry) => entry,
            Err(invalid) => return self.resolve(token, Outcome::Invalid(invalid)),
        };
        let fingerprint = |dedup: &Dedup<Place>, instance: &InstanceRef<'_>| {
            let (insert_id, operation_id) = (entry.insert_id.as_deref(), entry.operation_id.as_deref());
            dedup.fingerprint(message_id, instance, insert_id, operation_id)
        };
        match &entry.event {
            Event::Interruption { instance, reason } => {
                self.meet_project(instance);
                let kind =
                    Kind::Interruption { reason: *reason, at: entry.timestamp, learnt: Learnt::Message };
                let fingerprint = fingerprint(&self.interruptions, instance);
                self.settle_or_hold(instance, kind, fingerprint, token, now);
            }
            Event::UnlabelledCreation(instance) => {
                let fingerprint = fingerprint(&self.creations, instance);
                self.settle_or_hold(instance, Kind::Creation, fingerprint, token, now);
            }
            Event::Creation(instance) if instance.cluster.is_some() => {
                self.meet_project(&instance.instance);
                let fingerprint = fingerprint(&self.creations, &instance.instance);
                if let Some(token) = self.admit(Kind::Creation, &fingerprint, token) {
                    self.inventory.add(instance);
                    self.creations.commit(&fingerprint);
                    self.resolve(token, Outcome::Added);
                    self.settle_waiting(&instance.instance, now);
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
                self.settle_waiting(instance, now);
            }
            Event::CreationFailed(failed) => {
                let fingerprint = self.creations.fingerprint_of_failure(
                    message_id,
                    entry.insert_id.as_deref(),
                    entry.operation_id.as_deref(),
                    &failed.instance.instance,
                );
                self.failed(failed, &fingerprint, token);
            }
            Event::Ignored(ignored) => self.resolve(token, Outcome::Ignored(*ignored)),
        }
    }

    /// Does what time brings about: ends graces, tombstones and memories. Everything else that takes the moment
    /// does this first, so it is needed only when nothing else happens.
    pub fn tick(&mut self, now: Instant) {
        while let Some((held, asked)) = self.waiting.pop_due(now) {
            let why = if asked == Asked::Missing { Why::NotFound } else { Why::Unknown };
            let outcome = self.outcome_without_cluster(&held.message, why, now);
            self.finish(held, outcome);
        }
        while let Some(operation) = self.operations.pop_due(now) {
            self.take_operation(operation, now);
        }
        self.inventory.expire(now);
        self.returned.expire(now);
        while let Some(stranger) = self.strangers_order.pop_due(now) {
            self.strangers.remove(&stranger);
        }
        if let Some(safe) = self.safe_until {
            self.interruptions.expire(safe.min(now));
            self.creations.expire(safe.min(now));
            self.operations.expire(safe, now);
        }
    }

    /// When [`tick`](Self::tick) has something to do, or [`poll_lookup`](Self::poll_lookup) something to say, if
    /// nothing happens before.
    #[must_use]
    pub fn next_deadline(&self, now: Instant) -> Option<Instant> {
        let lookup = self.waiting.next_lookup_by().filter(|by| !self.is_seeded && *by > now);
        let next =
            [self.waiting.next_deadline(), self.operations.next_due(), self.inventory.next_expiry(), lookup];
        next.into_iter().flatten().min()
    }

    /// The next message that has had its effect. To be asked until there is none, whenever anything was passed in.
    pub fn poll_resolved(&mut self) -> Option<Resolved<T>> {
        self.resolved.pop_front()
    }

    /// Drops the tokens of all that is held, as at the end of the process: the messages will come again.
    pub(crate) fn forget_held(&mut self) {
        self.waiting = Waiting::new();
        self.operations.forget_held();
    }

    /// Takes out held messages and gives their tokens back without an outcome: dropped, they come again. The message
    /// that waits longest is asked for first, by its token and those of its other deliveries. Those that went back
    /// less than ten seconds ago, or five times, stay.
    pub fn give_back(&mut self, now: Instant, mut choose: impl FnMut(&T, &[T]) -> Choice) -> Vec<T> {
        let mut places = Vec::new();
        for (place, held) in self.waiting.iter() {
            if !self.returned.allows(held.message.fingerprint.message(), now) {
                continue;
            }
            match choose(&held.message.token, &held.duplicates) {
                Choice::Return => places.push(place),
                Choice::Keep => {}
                Choice::Stop => break,
            }
        }
        let mut tokens = Vec::with_capacity(places.len());
        for place in places {
            let Some((held, asked)) = self.waiting.take(place) else { continue };
            let Message { kind, fingerprint, token, deadline } = held.message;
            let grace = self.settings.attribution_grace;
            self.returned.note(fingerprint.message(), deadline, asked, grace, now);
            self.dedup(kind).release(&fingerprint);
            tokens.push(token);
            tokens.extend(held.duplicates);
        }
        tokens
    }

    fn meet_project(&mut self, instance: &InstanceRef<'_>) {
        if let Some(project) = &instance.project {
            self.inventory.meet(project);
        }
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
            self.commit(kind, &fingerprint);
            self.resolve(token, outcome);
            self.settle_waiting(instance, now);
        } else {
            let grace = self.settings.attribution_grace;
            let before = self.returned.get(fingerprint.message()).copied();
            let deadline = before.map_or(now + grace, |before| before.deadline);
            let message = Message { kind, fingerprint, token, deadline };
            let asked = before.map_or(Asked::NotYet, |before| before.asked);
            let place = self.waiting.hold(instance, message, asked, now + grace / 2);
            self.dedup(kind).reserve(&fingerprint, place);
            if deadline <= now {
                self.tick(now);
            }
        }
    }

    /// Gives back the token of a new event. That of a known one comes back as a duplicate, but not before the event
    /// has had its effect.
    fn admit(&mut self, kind: Kind, fingerprint: &Fingerprint, token: T) -> Option<T> {
        if let Kind::Interruption { learnt: Learnt::Message, .. } = kind
            && self.operations.has_counted(fingerprint)
        {
            self.resolve(token, Outcome::Duplicate);
            return None;
        }
        match self.dedup(kind).check(fingerprint) {
            Acquaintance::New => return Some(token),
            Acquaintance::Waiting(place) => self.waiting.join(place, token),
            Acquaintance::Seen => self.resolve(token, Outcome::Duplicate),
        }
        None
    }

    /// Settles what has waited for an instance that may just have become known, or become known better.
    fn settle_waiting(&mut self, instance: &InstanceRef<'_>, now: Instant) {
        let mut cases = self.waiting.candidates(instance);
        while let Some(case) = cases.pop() {
            if !self.waiting.instance(case).is_some_and(|instance| self.inventory.knows(&instance)) {
                continue;
            }
            let Some((instance, messages)) = self.waiting.close(case) else { continue };
            let instance = instance.get();
            for held in messages {
                let outcome = match self.effect(&instance, held.message.kind, now) {
                    Some(outcome) => outcome,
                    None => self.outcome_without_cluster(&held.message, Why::Unknown, now),
                };
                self.finish(held, outcome);
            }
            // An instance that was known by name may have learned its id here, for which others may be waiting.
            cases.extend(self.waiting.candidates(&instance));
        }
    }

    fn finish(&mut self, held: Held<T>, outcome: Outcome) {
        let Message { kind, fingerprint, token, .. } = held.message;
        self.commit(kind, &fingerprint);
        self.resolve(token, outcome);
        for token in held.duplicates {
            self.resolve(token, Outcome::Duplicate);
        }
    }

    fn resolve(&mut self, token: T, outcome: Outcome) {
        self.resolved.push_back(Resolved { token, outcome });
    }

    /// Remembers an event whose effect is decided.
    fn commit(&mut self, kind: Kind, fingerprint: &Fingerprint) {
        self.dedup(kind).commit(fingerprint);
        match kind {
            Kind::Interruption { learnt: Learnt::Message, .. } => self.operations.note_told(fingerprint),
            Kind::Interruption { learnt: Learnt::Operation, .. } => self.operations.note_counted(fingerprint),
            Kind::Creation => {}
        }
    }

    fn dedup(&mut self, kind: Kind) -> &mut Dedup<Place> {
        match kind {
            Kind::Interruption { .. } => &mut self.interruptions,
            Kind::Creation => &mut self.creations,
        }
    }
}
