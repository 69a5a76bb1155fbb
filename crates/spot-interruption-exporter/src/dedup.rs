//! Recognizes duplicate events.
//!
//! Queues deliver at least once, and a log entry can be written twice. Two messages are the same event if they are
//! about the same instance and the same operation (without an operation: the same `insertId`), or if their message ids
//! are equal. So the first and the last entry of an operation are one event, and entries about two instances with one
//! `insertId` are two events.
//!
//! [`check`](Dedup::check) returns whether an event is new. [`commit`](Dedup::commit) remembers an event after its
//! outcome is decided. An event that is held in between is [reserved](Dedup::reserve) under a handle, so that a second
//! delivery finds the first one instead of being counted as well. Reservations are not persisted: a held event is not
//! acknowledged, so it is delivered again after a restart. The window of an event starts when its effect is
//! [safe](Dedup::start_window). Until then the message is not acknowledged and can be delivered again at any time.
//!
//! Ids are stored as 64-bit SipHash values with a random key, so nobody can construct collisions. An accidental
//! collision would drop an event. With a million ids in the window the probability is one in 18 million million for
//! each event.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::time::{Duration, Instant};

use siphasher::sip::SipHasher13;

use crate::instance::InstanceRef;
use crate::timeline::{Timeline, TimelineChanges, shrunk_capacity};

/// Remembers events for a time window.
#[derive(Debug)]
pub struct Dedup<Handle> {
    key: HashKey,
    ids: Ids,
    held: HashMap<u64, Handle, BuildHasherDefault<AlreadyHashed>>,
}

/// Set of ids. Each is removed a fixed time after its event is safe.
#[derive(Debug)]
pub(crate) struct Ids {
    window: Duration,
    seen: HashSet<u64, BuildHasherDefault<AlreadyHashed>>,
    order: Timeline<u64>,
}

impl Ids {
    /// Restores the ids from the durable state.
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

    /// Number of ids ever added.
    pub(crate) fn total_added(&self) -> u64 {
        self.order.next_number()
    }

    /// Starts the window of the first `added` ids, where it has not started yet.
    pub(crate) fn start_window(&mut self, total_added: u64, now: Instant) {
        self.order.set_end(total_added, now + self.window);
    }

    /// Removes the ids whose window has ended.
    pub(crate) fn expire(&mut self, moment: Instant) {
        while let Some(id) = self.order.pop_due(moment) {
            self.forget(id);
        }
    }

    /// Removes the oldest ids that are safe until at most `max` remain.
    pub(crate) fn remove_oldest(&mut self, max: usize) {
        while self.len() > max
            && let Some(end) = self.order.next_end()
            && let Some(id) = self.order.pop_due(end)
        {
            self.forget(id);
        }
    }

    /// Returns the changes since the last call, for a commit. The window of ids that are not safe yet starts now.
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

/// The key of the hash function. Stored hashes can be compared only under the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashKey(pub u64, pub u64);

impl HashKey {
    /// Returns a random key. The standard library seeds each hasher state at random.
    #[must_use]
    pub fn random() -> Self {
        let random = || RandomState::new().build_hasher().finish();
        Self(random(), random())
    }

    /// Hashes a list of optional texts. The result depends only on the texts and the key.
    fn hash(self, parts: &[Option<&[u8]>]) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.0, self.1);
        for part in parts {
            let length = part.map_or(u64::MAX, |text| text.len() as u64);
            hasher.write(&length.to_le_bytes());
            hasher.write(part.unwrap_or_default());
        }
        hasher.finish()
    }

    /// Hashes an instance: its id, or zone and name if it has no id.
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

/// Hashes that identify an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    message: u64,
    event: Option<u64>,
    instance: u64,
    /// Hash of the event, if the event has an operation.
    operation: Option<u64>,
}

/// Result of [`Dedup::check`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DedupStatus<Handle> {
    /// The event was not seen before.
    New,
    /// The event was received before and is held under this handle.
    Held(Handle),
    /// The outcome of the event is already decided.
    Duplicate,
}

impl<Handle: Copy> Dedup<Handle> {
    /// Creates an empty memory that keeps each event for `window` after its effect is safe.
    #[must_use]
    pub fn new(window: Duration, key: HashKey) -> Self {
        Self::restore(window, key, Timeline::default())
    }

    /// Restores the ids that were stored under the same key.
    #[must_use]
    pub fn restore(window: Duration, key: HashKey, order: Timeline<u64>) -> Self {
        Self { key, ids: Ids::restore(window, order), held: HashMap::default() }
    }

    /// Returns the ids added and removed since the last call, for a commit. The window of ids that are not safe yet
    /// starts now.
    pub fn take_changes(&mut self, now: Instant) -> TimelineChanges<u64> {
        self.ids.take_changes(now)
    }

    /// Returns the fingerprint of an event about an instance. Without an operation and an `insertId`, only the message
    /// id identifies the event.
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

    /// Returns the fingerprint of an interruption that Compute Engine lists as an operation. It equals the event of a
    /// message about the same operation that contains the instance's id, or only its name.
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

    /// Returns the fingerprint of a failed creation. All entries of an operation about the failure are one event. The
    /// event differs from the creation itself, which can have been announced under the same ids.
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

    /// Returns whether an event is new, held or a duplicate.
    #[must_use]
    pub fn check(&self, fingerprint: &Fingerprint) -> DedupStatus<Handle> {
        let keys = fingerprint.keys();
        if keys.clone().any(|key| self.ids.contains(key)) {
            return DedupStatus::Duplicate;
        }
        let held = keys.into_iter().find_map(|key| self.held.get(&key));
        held.map_or(DedupStatus::New, |handle| DedupStatus::Held(*handle))
    }

    /// Notes that an event is held under `handle`.
    pub fn reserve(&mut self, fingerprint: &Fingerprint, handle: Handle) {
        for key in fingerprint.keys() {
            self.held.insert(key, handle);
        }
    }

    /// Removes a reservation, because the message is returned to its queue.
    pub fn release(&mut self, fingerprint: &Fingerprint) {
        for key in fingerprint.keys() {
            self.held.remove(&key);
        }
    }

    /// Remembers an event whose outcome is decided.
    pub fn commit(&mut self, fingerprint: &Fingerprint) {
        for key in fingerprint.keys() {
            self.held.remove(&key);
            self.ids.add(key);
        }
    }

    /// Number of ids ever committed, to be passed to [`start_window`](Self::start_window) when they are safe.
    #[must_use]
    pub fn committed(&self) -> u64 {
        self.ids.total_added()
    }

    /// Starts the window of the first `committed` ids, whose effect is safe. A window that has started is not changed.
    pub fn start_window(&mut self, committed: u64, now: Instant) {
        self.ids.start_window(committed, now);
    }

    /// Removes the events whose window has ended.
    pub fn expire(&mut self, moment: Instant) {
        self.ids.expire(moment);
    }

    /// Number of remembered ids.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len() + self.held.len()
    }

    /// Whether no id is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Fingerprint {
    /// Identifies the message.
    pub(crate) fn message(&self) -> u64 {
        self.message
    }

    /// Identifies the instance.
    pub(crate) fn instance(&self) -> u64 {
        self.instance
    }

    /// Identifies the event, if it has an operation.
    pub(crate) fn operation(&self) -> Option<u64> {
        self.operation
    }

    /// The keys in the set of ids. Both hashes use one keyed function on differently shaped data, so one set can hold
    /// both.
    pub(crate) fn keys(&self) -> impl Iterator<Item = u64> + Clone + use<> {
        [Some(self.message), self.event].into_iter().flatten()
    }
}

/// Hasher for keys that are hashes already.
#[derive(Debug, Default)]
pub(crate) struct AlreadyHashed(u64);

impl Hasher for AlreadyHashed {
    /// Required by the trait, but unused: the keys are `u64`.
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
    fn frees_memory_after_a_burst() {
        let (now, window) = (Instant::now(), Duration::from_secs(60));
        let mut dedup = Dedup::<()>::new(window, HashKey(1, 2));
        for message in 0..100_000 {
            let fingerprint = fingerprint(&dedup, &message.to_string());
            dedup.commit(&fingerprint);
        }
        dedup.start_window(dedup.committed(), now);
        let late = fingerprint(&dedup, "late");
        dedup.commit(&late);
        assert!(dedup.ids.seen.capacity() >= 100_000);
        dedup.expire(now + window);
        assert!(dedup.ids.seen.capacity() <= 4_096, "{}", dedup.ids.seen.capacity());
        assert_eq!((dedup.len(), dedup.check(&late)), (1, DedupStatus::Duplicate));
    }

    #[test]
    fn starts_the_window_when_the_effect_is_safe() {
        let (now, window) = (Instant::now(), Duration::from_secs(60));
        let mut dedup = Dedup::<()>::new(window, HashKey(1, 2));
        let (first, second) = (fingerprint(&dedup, "first"), fingerprint(&dedup, "second"));
        dedup.commit(&first);
        let committed = dedup.committed();
        dedup.commit(&second);
        dedup.expire(now + 10 * window);
        assert_eq!(dedup.check(&first), DedupStatus::Duplicate);
        dedup.start_window(committed, now + 10 * window);
        dedup.start_window(committed, now + 11 * window);
        dedup.expire(now + 10 * window + window / 2);
        assert_eq!(dedup.check(&first), DedupStatus::Duplicate);
        dedup.expire(now + 11 * window);
        assert_eq!([dedup.check(&first), dedup.check(&second)], [DedupStatus::New, DedupStatus::Duplicate]);
    }

    #[test]
    fn distinguishes_events_by_instance_and_operation_or_insert_id() {
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
        for (index, other) in others.iter().enumerate() {
            assert!(*other != known && !others[..index].contains(other), "{index}");
        }
        assert_eq!(event(named(1, "z", "n"), None, None), None);
        assert_eq!(event(named(1, "z", "n"), Some(""), Some("")), None);
        assert_ne!(event(named(0, "z", "n"), Some("i"), None), event(named(0, "z", "m"), Some("i"), None));
    }
}
