//! Recognises an event that has been here before.
//!
//! Queues deliver at least once, and a log entry can be written twice. An event is the same when it is about the
//! same instance and of the same operation (without one: has the same `insertId`), whatever message brought it, or when
//! the message's id agrees. So the first and the last entry of one operation are one event, and two instances under one
//! `insertId` are two.
//!
//! An event is met in steps. [`check`](Dedup::check) tells whether it is new; [`commit`](Dedup::commit)
//! remembers it, once its effect is decided. An event that has to wait in between is
//! [`reserve`](Dedup::reserve)d under a ticket, so that a second delivery finds the first one instead of being
//! counted beside it. Reservations never outlive the process, and need not: what had not been committed had not been
//! acknowledged either. When its effect is [safe](Dedup::settle), and no sooner, the window begins: until then the
//! message may come again at any time, for it is not acknowledged.
//!
//! Ids are kept as 64-bit SipHash values under a key drawn at random, so nobody can aim for a collision. One that
//! happens by chance would swallow an event: with a million ids in the window, that befalls one event in 18
//! million millions.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::time::{Duration, Instant};

use siphasher::sip::SipHasher13;

use crate::instance::InstanceRef;
use crate::timeline::{Timeline, TimelineChanges, shrunk_capacity};

/// Remembers events for a window of time.
#[derive(Debug)]
pub struct Dedup<Ticket> {
    key: HashKey,
    ids: Ids,
    waiting: HashMap<u64, Ticket, BuildHasherDefault<AlreadyHashed>>,
}

/// Ids that are forgotten a window of time after it is safe that they were met.
#[derive(Debug)]
pub(crate) struct Ids {
    window: Duration,
    seen: HashSet<u64, BuildHasherDefault<AlreadyHashed>>,
    order: Timeline<u64>,
}

impl Ids {
    /// Remembers what was written down.
    pub(crate) fn restore(window: Duration, order: Timeline<u64>) -> Self {
        Self { window, seen: order.values().collect(), order }
    }

    pub(crate) fn contains(&self, id: u64) -> bool {
        self.seen.contains(&id)
    }

    pub(crate) fn add(&mut self, id: u64) {
        if self.seen.insert(id) {
            self.order.append(id);
        }
    }

    /// How many ids were ever added.
    pub(crate) fn added(&self) -> u64 {
        self.order.next_number()
    }

    /// The first so many ids are safe: their window begins, unless it began before.
    pub(crate) fn settle(&mut self, added: u64, now: Instant) {
        self.order.set_end(added, now + self.window);
    }

    /// Forgets the ids whose window had passed at a moment.
    pub(crate) fn expire(&mut self, moment: Instant) {
        while let Some(id) = self.order.pop_due(moment) {
            self.forget(id);
        }
    }

    /// Forgets the oldest ids that are safe until there are no more than so many.
    pub(crate) fn bound(&mut self, most: usize) {
        while self.len() > most
            && let Some(end) = self.order.next_end()
            && let Some(id) = self.order.pop_due(end)
        {
            self.forget(id);
        }
    }

    /// What came and went since the last time that this was asked. It is about to be written down, so the window of
    /// what is not safe yet begins now.
    pub(crate) fn take_changes(&mut self, now: Instant) -> TimelineChanges<u64> {
        self.order.take_changes(now + self.window)
    }

    pub(crate) fn len(&self) -> usize {
        self.seen.len()
    }

    fn forget(&mut self, id: u64) {
        self.seen.remove(&id);
        if let Some(capacity) = shrunk_capacity(self.seen.capacity(), self.seen.len()) {
            self.seen.shrink_to(capacity);
        }
    }
}

/// The key of the hash function. Ids that are written down can be recognised by whoever has the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashKey(pub u64, pub u64);

impl HashKey {
    /// A key of one's own: the standard library seeds each hasher state at random.
    #[must_use]
    pub fn random() -> Self {
        let random = || RandomState::new().build_hasher().finish();
        Self(random(), random())
    }

    /// The hash of texts, absent ones included. It depends on nothing but them and the key.
    fn hash(self, parts: &[Option<&[u8]>]) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.0, self.1);
        for part in parts {
            let length = part.map_or(u64::MAX, |text| text.len() as u64);
            hasher.write(&length.to_le_bytes());
            hasher.write(part.unwrap_or_default());
        }
        hasher.finish()
    }

    /// The hash of an instance: of its id, or of zone and name where there is none.
    fn hash_instance(self, instance: &InstanceRef<'_>) -> u64 {
        match (instance.id, instance.zone_and_name()) {
            (Some(id), _) => self.hash(&[Some(id.get().to_le_bytes().as_slice())]),
            (None, named) => {
                let (zone, name) = named.unzip();
                self.hash(&[zone.map(str::as_bytes), name.map(str::as_bytes)])
            }
        }
    }
}

/// What tells an event from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    message: u64,
    event: Option<u64>,
    instance: u64,
    /// The event, where an operation tells it from others.
    operation: Option<u64>,
}

/// What is known of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acquaintance<Ticket> {
    /// Nothing.
    New,
    /// It has been here, and waits for its effect.
    Waiting(Ticket),
    /// Its effect is decided.
    Seen,
}

impl<Ticket: Copy> Dedup<Ticket> {
    /// Remembers nothing yet, and later each event for `window` after its effect is safe.
    #[must_use]
    pub fn new(window: Duration, key: HashKey) -> Self {
        Self::restore(window, key, Timeline::default())
    }

    /// Remembers what was written down under the same key.
    #[must_use]
    pub fn restore(window: Duration, key: HashKey, order: Timeline<u64>) -> Self {
        Self { key, ids: Ids::restore(window, order), waiting: HashMap::default() }
    }

    /// What is remembered and forgotten since the last time that this was asked. It is about to be written down, so
    /// the window of what is not safe yet begins now.
    pub fn take_changes(&mut self, now: Instant) -> TimelineChanges<u64> {
        self.ids.take_changes(now)
    }

    /// The fingerprint of an event about an instance. Without an operation and an `insertId`, the message that brought
    /// it is all there is to go by.
    #[must_use]
    pub fn fingerprint(
        &self,
        message_id: &str,
        instance: &InstanceRef<'_>,
        insert_id: Option<&str>,
        operation_id: Option<&str>,
    ) -> Fingerprint {
        let instance = self.key.hash_instance(instance);
        let operation = operation_id.filter(|id| !id.is_empty()).map(str::as_bytes);
        let insert = insert_id.filter(|id| !id.is_empty() && operation.is_none()).map(str::as_bytes);
        let event = operation.or(insert).map(|_| {
            let instance = instance.to_le_bytes();
            self.key.hash(&[Some(instance.as_slice()), operation, insert])
        });
        Fingerprint {
            message: self.key.hash(&[Some(message_id.as_bytes())]),
            event,
            instance,
            operation: event.filter(|_| operation.is_some()),
        }
    }

    /// The fingerprint of an interruption that the provider's API lists as an operation. It is the same event as one that
    /// a message tells of by the instance's id and the operation, or by its name and the operation.
    #[must_use]
    pub fn fingerprint_of_operation(&self, instance: &InstanceRef<'_>, operation: &str) -> Fingerprint {
        let by_id = InstanceRef { id: instance.id, ..InstanceRef::default() };
        let by_name = InstanceRef { id: None, ..instance.clone() };
        let event = |instance: &InstanceRef<'_>| {
            instance
                .identifies()
                .then(|| self.fingerprint("", instance, None, Some(operation)).event)
                .flatten()
        };
        let (by_id, by_name) = (event(&by_id), event(&by_name));
        Fingerprint {
            message: by_id.or(by_name).unwrap_or_default(),
            event: by_name,
            instance: self.key.hash_instance(instance),
            operation: by_id.or(by_name),
        }
    }

    /// The fingerprint of a creation that failed: an operation fails once, however many entries say so. Apart from
    /// the creation itself, which may have been announced under the same ids before.
    #[must_use]
    pub fn fingerprint_of_failure(
        &self,
        message_id: &str,
        insert_id: Option<&str>,
        operation_id: Option<&str>,
        instance: &InstanceRef<'_>,
    ) -> Fingerprint {
        let (zone, name) = (instance.zone.as_deref(), instance.name.as_deref());
        let hash = |id| {
            let parts = [Some("failed creation"), Some(id), zone, name];
            self.key.hash(&parts.map(|part| part.map(str::as_bytes)))
        };
        Fingerprint {
            message: self.key.hash(&[Some(message_id.as_bytes())]),
            event: operation_id.or(insert_id).map(hash),
            instance: self.key.hash_instance(instance),
            operation: None,
        }
    }

    /// Whether an event is new.
    #[must_use]
    pub fn check(&self, fingerprint: &Fingerprint) -> Acquaintance<Ticket> {
        let keys = fingerprint.keys();
        if keys.clone().any(|key| self.ids.contains(key)) {
            return Acquaintance::Seen;
        }
        let waiting = keys.into_iter().find_map(|key| self.waiting.get(&key));
        waiting.map_or(Acquaintance::New, |ticket| Acquaintance::Waiting(*ticket))
    }

    /// Notes that an event waits under `ticket`.
    pub fn reserve(&mut self, fingerprint: &Fingerprint, ticket: Ticket) {
        for key in fingerprint.keys() {
            self.waiting.insert(key, ticket);
        }
    }

    /// Forgets that an event waits: its message goes back.
    pub fn release(&mut self, fingerprint: &Fingerprint) {
        for key in fingerprint.keys() {
            self.waiting.remove(&key);
        }
    }

    /// Remembers an event whose effect is decided.
    pub fn commit(&mut self, fingerprint: &Fingerprint) {
        for key in fingerprint.keys() {
            self.waiting.remove(&key);
            self.ids.add(key);
        }
    }

    /// How many ids were ever committed: tells later which of them [are safe](Self::settle).
    #[must_use]
    pub fn committed(&self) -> u64 {
        self.ids.added()
    }

    /// The effect of the first so many ids is safe: their window begins, unless it began before.
    pub fn settle(&mut self, committed: u64, now: Instant) {
        self.ids.settle(committed, now);
    }

    /// Forgets the events whose window had passed at a moment.
    pub fn expire(&mut self, moment: Instant) {
        self.ids.expire(moment);
    }

    /// How many ids are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len() + self.waiting.len()
    }

    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Fingerprint {
    /// Tells the message from others.
    pub(crate) fn message(&self) -> u64 {
        self.message
    }

    /// Tells the instance from others.
    pub(crate) fn instance(&self) -> u64 {
        self.instance
    }

    /// Tells the event from others, where it is known by its operation.
    pub(crate) fn operation(&self) -> Option<u64> {
        self.operation
    }

    /// Both hashes are of the same keyed function, but of differently shaped data, so they can share a table.
    pub(crate) fn keys(&self) -> impl Iterator<Item = u64> + Clone + use<> {
        [Some(self.message), self.event].into_iter().flatten()
    }
}

/// Passes on a hash as its own hash.
#[derive(Debug, Default)]
pub(crate) struct AlreadyHashed(u64);

impl Hasher for AlreadyHashed {
    /// The keys are hashes, so this is not called; it has to be there all the same.
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprint(dedup: &Dedup<()>, message_id: &str) -> Fingerprint {
        dedup.fingerprint(message_id, &InstanceRef::default(), None, None)
    }

    #[test]
    fn what_a_storm_took_is_given_back() {
        let (now, window) = (Instant::now(), Duration::from_secs(60));
        let mut dedup = Dedup::<()>::new(window, HashKey(1, 2));
        for message in 0..100_000 {
            let fingerprint = fingerprint(&dedup, &message.to_string());
            dedup.commit(&fingerprint);
        }
        dedup.settle(dedup.committed(), now);
        let late = fingerprint(&dedup, "late");
        dedup.commit(&late);
        assert!(dedup.ids.seen.capacity() >= 100_000);
        dedup.expire(now + window);
        assert!(dedup.ids.seen.capacity() <= 4_096, "{}", dedup.ids.seen.capacity());
        assert_eq!((dedup.len(), dedup.check(&late)), (1, Acquaintance::Seen));
    }

    #[test]
    fn the_window_begins_when_the_effect_is_safe() {
        let (now, window) = (Instant::now(), Duration::from_secs(60));
        let mut dedup = Dedup::<()>::new(window, HashKey(1, 2));
        let (first, second) = (fingerprint(&dedup, "first"), fingerprint(&dedup, "second"));
        dedup.commit(&first);
        let committed = dedup.committed();
        dedup.commit(&second);
        dedup.expire(now + 10 * window);
        assert_eq!(dedup.check(&first), Acquaintance::Seen);
        dedup.settle(committed, now + 10 * window);
        dedup.settle(committed, now + 11 * window);
        dedup.expire(now + 10 * window + window / 2);
        assert_eq!(dedup.check(&first), Acquaintance::Seen);
        dedup.expire(now + 11 * window);
        assert_eq!([dedup.check(&first), dedup.check(&second)], [Acquaintance::New, Acquaintance::Seen]);
    }

    #[test]
    fn an_event_is_told_by_instance_and_operation_or_insert_id() {
        let dedup = Dedup::<()>::new(Duration::ZERO, HashKey(1, 2));
        let named = |id, zone: &'static str, name: &'static str| InstanceRef {
            id: crate::instance::InstanceId::new(id),
            zone: Some(zone.into()),
            name: Some(name.into()),
            project: None,
        };
        let event = |instance: InstanceRef<'_>, insert, operation| {
            dedup.fingerprint("m", &instance, insert, operation).event
        };
        let known = event(named(1, "z", "n"), Some("i"), Some("o"));
        assert_eq!(known, event(named(1, "", ""), Some("other"), Some("o")), "one operation is one event");
        let others = [
            event(named(2, "z", "n"), Some("i"), Some("o")),
            event(named(0, "z", "n"), Some("i"), Some("o")),
            event(named(1, "z", "n"), Some("i"), Some("other")),
            event(named(1, "z", "n"), Some("o"), None),
            event(named(1, "z", "n"), Some("i"), None),
        ];
        for (place, other) in others.iter().enumerate() {
            assert!(*other != known && !others[..place].contains(other), "{place}");
        }
        assert_eq!(event(named(1, "z", "n"), None, None), None);
        assert_eq!(event(named(1, "z", "n"), Some(""), Some("")), None);
        assert_ne!(event(named(0, "z", "n"), Some("i"), None), event(named(0, "z", "m"), Some("i"), None));
    }
}
