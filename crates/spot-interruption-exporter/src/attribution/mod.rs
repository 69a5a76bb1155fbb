//! Decides the outcome of each event.
//!
//! Events, the inventory and the memory of past events meet here, in a state machine without IO and without a clock.
//! Inputs are events, listings and results of lookups, each with the current time. Outputs are returned by
//! [`poll_resolved`](Attribution::poll_resolved) and [`poll_lookup`](Attribution::poll_lookup).
//!
//! Every message has a token, such as its acknowledgement handle. The token is returned exactly once, together with an
//! [`Outcome`]. The caller records the outcome first and then acknowledges the message. A token that was not returned
//! belongs to an event without effect: dropping it causes a redelivery. Therefore a restart loses nothing.
//!
//! An interruption of an unknown instance is held, because the creation event may still arrive on the other
//! subscription, and the two subscriptions have no common order. It is resolved when the instance becomes known, or at
//! the end of the grace as unattributed. Further deliveries of a held event are held with it and resolved as
//! duplicates. Two different events about one instance count twice, because a preempted instance can be started again
//! under its id and be preempted again. But an event of another method about an instance that was not seen running in
//! between is the same loss: it is a duplicate.
//!
//! When held messages leave no room for others, they can be [given back](Attribution::give_back). They are delivered
//! again and then held only for the rest of their grace.

mod effect;
mod held;
mod listings;
mod lookups;
mod operations;
mod outcome;
mod record;
mod returned;

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use self::held::{EventKind, HeldKey, HeldMessage, HeldMessages, LookupState, Message, ReportedBy};
pub use self::lookups::LookupId;
pub use self::operations::OPERATION_LATENESS;
use self::operations::Operations;
pub use self::outcome::{Choice, Counted, Lookup, Outcome, Resolved, UnattributedCause};
pub use self::record::{Changes, Decided, Record};
use self::returned::ReturnedMessages;
use crate::dedup::{Dedup, DedupStatus, Fingerprint, HashKey};
use crate::event::{Entry, Event, Ignored, InterruptionReason, Invalid};
use crate::instance::InstanceRef;
use crate::inventory::{Inventory, Scope};
use crate::timeline::Timeline;

/// Time limits of the state machine.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The id of the project, for instances whose source does not contain it.
    pub project: String,
    /// How long an interruption of an unknown instance is held.
    pub attribution_grace: Duration,
    /// How long an event is recognized after its effect is safe.
    pub dedup_window: Duration,
    /// How long an interrupted instance is remembered.
    pub tombstone_ttl: Duration,
    /// Scopes that [`Attribution::set_scopes`] does not remove.
    pub fixed_scopes: Vec<Scope>,
    /// Maximum delay until a list reports an interruption whose message has arrived.
    pub lateness: Duration,
}

impl Settings {
    /// The scopes at the start: the fixed ones, and the configured project unless they contain it.
    fn initial_scopes(&self) -> Vec<Scope> {
        let mut scopes = self.fixed_scopes.clone();
        if !scopes.iter().any(|scope| scope.is_in(&self.project)) {
            scopes.push(Scope::project(self.project.as_str()));
        }
        scopes
    }
}

/// The state machine. `T` is the token of a message.
#[derive(Debug)]
pub struct Attribution<T> {
    settings: Settings,
    inventory: Inventory,
    /// One memory for each subscription: their message ids are unrelated.
    interruptions: Dedup<HeldKey>,
    creations: Dedup<HeldKey>,
    operations: Operations<T>,
    held: HeldMessages<T>,
    returned: ReturnedMessages,
    /// The latest losses of unknown instances, by hash of the instance, to recognize the same loss reported by another
    /// method.
    unattributed_losses: HashMap<u64, InterruptionReason>,
    unattributed_order: Timeline<u64>,
    resolved: VecDeque<Resolved<T>>,
    /// Everything decided before this moment is safe.
    safe_until: Option<Instant>,
    /// While messages wait in the input queue: the start of the backlog and the last moment at which messages waited.
    backlog: Option<(Instant, Instant)>,
    /// Scopes whose first listing has neither succeeded nor failed yet.
    not_yet_tried: HashSet<Scope>,
    /// Whether a search for further scopes is running.
    is_discovery_pending: bool,
    /// Whether the first listing of every scope has ended.
    is_initial_listing_done: bool,
}

impl<T> Attribution<T> {
    /// Creates an empty state machine without durable state.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let key = HashKey::random();
        let interruptions = Dedup::new(settings.dedup_window, key);
        let creations = Dedup::new(settings.dedup_window, key);
        let inventory = Inventory::new(&settings.project, settings.initial_scopes(), settings.tombstone_ttl);
        let operations = Operations::restore(settings.lateness, Timeline::default(), Timeline::default());
        Self::with(settings, inventory, interruptions, creations, operations)
    }

    fn with(
        settings: Settings,
        inventory: Inventory,
        interruptions: Dedup<HeldKey>,
        creations: Dedup<HeldKey>,
        operations: Operations<T>,
    ) -> Self {
        let not_yet_tried = settings.initial_scopes().into_iter().collect();
        Self {
            inventory,
            interruptions,
            creations,
            operations,
            held: HeldMessages::new(),
            returned: ReturnedMessages::default(),
            unattributed_losses: HashMap::new(),
            unattributed_order: Timeline::default(),
            resolved: VecDeque::new(),
            safe_until: None,
            backlog: None,
            not_yet_tried,
            is_discovery_pending: false,
            is_initial_listing_done: false,
            settings,
        }
    }

    /// The known instances and their labels.
    #[must_use]
    pub fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// Whether the first listing of every scope has ended, successfully or not.
    #[must_use]
    pub fn is_initial_listing_done(&self) -> bool {
        self.is_initial_listing_done
    }

    /// Number of held interruptions.
    #[must_use]
    pub fn held_interruptions(&self) -> usize {
        self.held.interruptions()
    }

    /// Processes a [decoded](crate::source::Decode) message.
    pub fn message(&mut self, message_id: &str, parsed: Result<Entry<'_>, Invalid>, token: T, now: Instant) {
        self.tick(now);
        let entry = match parsed {
            Ok(entry) => entry,
            Err(invalid) => return self.resolve(token, Outcome::Invalid(invalid)),
        };
        let fingerprint = |dedup: &Dedup<HeldKey>, instance: &InstanceRef<'_>| {
            let (insert_id, operation_id) = (entry.insert_id.as_deref(), entry.operation_id.as_deref());
            dedup.fingerprint(message_id, instance, insert_id, operation_id)
        };
        match &entry.event {
            Event::Interruption { instance, reason } => {
                self.note_project(instance);
                let kind = EventKind::Interruption {
                    reason: *reason,
                    at: entry.timestamp,
                    reported_by: ReportedBy::Message,
                };
                let fingerprint = fingerprint(&self.interruptions, instance);
                self.resolve_or_hold(instance, kind, fingerprint, token, now);
            }
            Event::UnlabelledCreation(instance) => {
                let fingerprint = fingerprint(&self.creations, instance);
                self.resolve_or_hold(instance, EventKind::Creation, fingerprint, token, now);
            }
            Event::Creation(instance) if instance.cluster.is_some() => {
                self.note_project(&instance.instance);
                let fingerprint = fingerprint(&self.creations, &instance.instance);
                if let Some(token) = self.admit(EventKind::Creation, &fingerprint, token) {
                    self.inventory.add(instance);
                    self.creations.commit(&fingerprint);
                    self.resolve(token, Outcome::Added);
                    self.resolve_held(&instance.instance, now);
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
                self.inventory.note_id(instance);
                self.resolve(token, Outcome::Ignored(Ignored::OperationEnd));
                self.resolve_held(instance, now);
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

    /// Expires graces, tombstones and remembered events. All methods that take the current time call this first, so a
    /// separate call is needed only when no other input arrives.
    pub fn tick(&mut self, now: Instant) {
        while let Some((held, lookup_state)) = self.held.pop_due(now) {
            let cause = if lookup_state == LookupState::NotFound {
                UnattributedCause::NotFound
            } else {
                UnattributedCause::Unknown
            };
            let outcome = self.outcome_without_cluster(&held.message, cause, now);
            self.finish(held, outcome);
        }
        while let Some(operation) = self.operations.pop_due(now) {
            self.take_operation(operation, now);
        }
        self.inventory.expire(now);
        self.returned.expire(now);
        while let Some(instance) = self.unattributed_order.pop_due(now) {
            self.unattributed_losses.remove(&instance);
        }
        if let Some(safe) = self.safe_until {
            self.interruptions.expire(safe.min(now));
            self.creations.expire(safe.min(now));
            self.operations.expire(safe, now);
        }
    }

    /// The next time at which [`tick`](Self::tick) or [`poll_lookup`](Self::poll_lookup) has something to do, if no
    /// other input arrives.
    #[must_use]
    pub fn next_deadline(&self, now: Instant) -> Option<Instant> {
        let lookup = self.held.next_lookup_deadline().filter(|by| !self.is_initial_listing_done && *by > now);
        let next =
            [self.held.next_deadline(), self.operations.next_due(), self.inventory.next_expiry(), lookup];
        next.into_iter().flatten().min()
    }

    /// Returns the next resolved message. Call after every input until it returns `None`.
    pub fn poll_resolved(&mut self) -> Option<Resolved<T>> {
        self.resolved.pop_front()
    }

    /// Drops the tokens of all held messages at the end of the process: the messages are delivered again.
    pub(crate) fn forget_held(&mut self) {
        self.held = HeldMessages::new();
        self.operations.forget_held();
    }

    /// Removes held messages chosen by `choose` and returns their tokens without an outcome. Dropping the tokens causes
    /// redeliveries. `choose` is called with the token of a message and those of its duplicates, the message with the
    /// earliest deadline first. Messages given back less than ten seconds ago, or five times, are skipped.
    pub fn give_back(&mut self, now: Instant, mut choose: impl FnMut(&T, &[T]) -> Choice) -> Vec<T> {
        let mut keys = Vec::new();
        for (key, held) in self.held.iter() {
            if !self.returned.allows(held.message.fingerprint.message(), now) {
                continue;
            }
            match choose(&held.message.token, &held.duplicates) {
                Choice::Return => keys.push(key),
                Choice::Keep => {}
                Choice::Stop => break,
            }
        }
        let mut tokens = Vec::with_capacity(keys.len());
        for key in keys {
            let Some((held, lookup_state)) = self.held.take(key) else { continue };
            let Message { kind, fingerprint, token, deadline } = held.message;
            let grace = self.settings.attribution_grace;
            self.returned.note(fingerprint.message(), deadline, lookup_state, grace, now);
            self.dedup(kind).release(&fingerprint);
            tokens.push(token);
            tokens.extend(held.duplicates);
        }
        tokens
    }

    fn note_project(&mut self, instance: &InstanceRef<'_>) {
        if let Some(project) = &instance.project {
            self.inventory.note_project(project);
        }
    }

    /// Resolves a message whose instance is known, and holds it otherwise.
    fn resolve_or_hold(
        &mut self,
        instance: &InstanceRef<'_>,
        kind: EventKind,
        fingerprint: Fingerprint,
        token: T,
        now: Instant,
    ) {
        let Some(token) = self.admit(kind, &fingerprint, token) else { return };
        if let Some(outcome) = self.effect(instance, kind, now) {
            self.commit(kind, &fingerprint);
            self.resolve(token, outcome);
            self.resolve_held(instance, now);
        } else {
            let grace = self.settings.attribution_grace;
            let before = self.returned.get(fingerprint.message()).copied();
            let deadline = before.map_or(now + grace, |before| before.deadline);
            let message = Message { kind, fingerprint, token, deadline };
            let lookup_state = before.map_or(LookupState::NotRequested, |before| before.lookup_state);
            let key = self.held.hold(instance, message, lookup_state, now + grace / 2);
            self.dedup(kind).reserve(&fingerprint, key);
            if deadline <= now {
                self.tick(now);
            }
        }
    }

    /// Returns the token if the event is new. The token of a duplicate is resolved immediately, or together with the
    /// held event.
    fn admit(&mut self, kind: EventKind, fingerprint: &Fingerprint, token: T) -> Option<T> {
        if let EventKind::Interruption { reported_by: ReportedBy::Message, .. } = kind
            && self.operations.has_counted(fingerprint)
        {
            self.resolve(token, Outcome::Duplicate);
            return None;
        }
        match self.dedup(kind).check(fingerprint) {
            DedupStatus::New => return Some(token),
            DedupStatus::Held(key) => self.held.join(key, token),
            DedupStatus::Duplicate => self.resolve(token, Outcome::Duplicate),
        }
        None
    }

    /// Resolves messages held for an instance that may have become known.
    fn resolve_held(&mut self, instance: &InstanceRef<'_>, now: Instant) {
        let mut groups = self.held.candidates(instance);
        while let Some(group) = groups.pop() {
            if !self.held.instance(group).is_some_and(|instance| self.inventory.contains(&instance)) {
                continue;
            }
            let Some((instance, messages)) = self.held.close(group) else { continue };
            let instance = instance.get();
            for held in messages {
                let outcome = match self.effect(&instance, held.message.kind, now) {
                    Some(outcome) => outcome,
                    None => self.outcome_without_cluster(&held.message, UnattributedCause::Unknown, now),
                };
                self.finish(held, outcome);
            }
            // An instance known by name may have received its id here, and other messages may be held for the id.
            groups.extend(self.held.candidates(&instance));
        }
    }

    fn finish(&mut self, held: HeldMessage<T>, outcome: Outcome) {
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

    /// Remembers an event whose outcome is decided.
    fn commit(&mut self, kind: EventKind, fingerprint: &Fingerprint) {
        self.dedup(kind).commit(fingerprint);
        match kind {
            EventKind::Interruption { reported_by: ReportedBy::Message, .. } => {
                self.operations.note_reported(fingerprint);
            }
            EventKind::Interruption { reported_by: ReportedBy::Operation, .. } => {
                self.operations.note_counted(fingerprint);
            }
            EventKind::Creation => {}
        }
    }

    fn dedup(&mut self, kind: EventKind) -> &mut Dedup<HeldKey> {
        match kind {
            EventKind::Interruption { .. } => &mut self.interruptions,
            EventKind::Creation => &mut self.creations,
        }
    }
}
