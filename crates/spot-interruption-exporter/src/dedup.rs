//! Recognises an event that has been here before.
//!
//! Pub/Sub delivers at least once, and Cloud Logging can write an entry twice. An event is the same when its
//! `insertId` and operation agree, whatever message brought it, or when the message's id agrees.
//!
//! An event is met in two steps. [`check`](Dedup::check) tells whether it is new; [`commit`](Dedup::commit)
//! remembers it, once its effect is recorded. An event that has to wait in between is
//! [`reserve`](Dedup::reserve)d under a ticket, so that a second delivery finds the first one instead of being
//! counted beside it. Reservations never outlive the process, and need not: what had not been committed had not been
//! acknowledged either.
//!
//! Ids are kept as 64-bit SipHash values under a key drawn at random, so nobody can aim for a collision. One that
//! happens by chance would swallow an event: with a million ids in the window, that befalls one event in 18
//! million millions.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::time::{Duration, Instant};

use siphasher::sip::SipHasher13;

use crate::instance::InstanceRef;
use crate::timeline::{Timeline, TimelineChanges, shrunk};

/// Remembers events for a window of time.
#[derive(Debug)]
pub struct Dedup<Ticket> {
    window: Duration,
    key: HashKey,
    seen: HashSet<u64, BuildHasherDefault<AlreadyHashed>>,
    order: Timeline<u64>,
    waiting: HashMap<u64, Ticket, BuildHasherDefault<AlreadyHashed>>,
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
    fn hash(self, parts: &[Option<&str>]) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.0, self.1);
        for part in parts {
            let length = part.map_or(u64::MAX, |text| text.len() as u64);
            hasher.write(&length.to_le_bytes());
            hasher.write(part.unwrap_or_default().as_bytes());
        }
        hasher.finish()
    }
}

/// What tells an event from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    message: u64,
    event: Option<u64>,
}

/// What is known of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acquaintance<Ticket> {
    /// Nothing.
    New,
    /// It has been here, and waits for its effect.
    Waiting(Ticket),
    /// Its effect is recorded.
    Seen,
}

impl<Ticket: Copy> Dedup<Ticket> {
    /// Remembers nothing yet, and later each event for `window` after it was committed.
    #[must_use]
    pub fn new(window: Duration, key: HashKey) -> Self {
        Self::restore(window, key, Timeline::default())
    }

    /// Remembers what was written down under the same key.
    #[must_use]
    pub fn restore(window: Duration, key: HashKey, order: Timeline<u64>) -> Self {
        Self { window, key, seen: order.values().collect(), order, waiting: HashMap::default() }
    }

    /// What is remembered and forgotten since the last time that this was asked.
    pub fn take_changes(&mut self) -> TimelineChanges<u64> {
        self.order.take_changes()
    }

    /// The fingerprint of an event. Without an `insertId`, the message that brought it is all there is to go by.
    #[must_use]
    pub fn fingerprint(
        &self,
        message_id: &str,
        insert_id: Option<&str>,
        operation_id: Option<&str>,
    ) -> Fingerprint {
        Fingerprint {
            message: self.key.hash(&[Some(message_id)]),
            event: insert_id.map(|insert_id| self.key.hash(&[Some(insert_id), operation_id])),
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
        let hash = |id| self.key.hash(&[Some("failed creation"), Some(id), zone, name]);
        Fingerprint {
            message: self.key.hash(&[Some(message_id)]),
            event: operation_id.or(insert_id).map(hash),
        }
    }

    /// Whether an event is new.
    #[must_use]
    pub fn check(&self, fingerprint: &Fingerprint) -> Acquaintance<Ticket> {
        let keys = fingerprint.keys();
        if keys.clone().any(|key| self.seen.contains(&key)) {
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

    /// Remembers an event whose effect is recorded.
    pub fn commit(&mut self, fingerprint: &Fingerprint, now: Instant) {
        for key in fingerprint.keys() {
            self.waiting.remove(&key);
            if self.seen.insert(key) {
                self.order.push(now + self.window, key);
            }
        }
    }

    /// Forgets the events whose window has passed.
    pub fn expire(&mut self, now: Instant) {
        while let Some(key) = self.order.pop_due(now) {
            self.seen.remove(&key);
            if let Some(capacity) = shrunk(self.seen.capacity(), self.seen.len()) {
                self.seen.shrink_to(capacity);
            }
        }
    }

    /// How many ids are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.seen.len() + self.waiting.len()
    }

    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Fingerprint {
    /// Both hashes are of the same keyed function, but of differently shaped data, so they can share a table.
    fn keys(&self) -> impl Iterator<Item = u64> + Clone + use<> {
        [Some(self.message), self.event].into_iter().flatten()
    }
}

/// Passes on a hash as its own hash.
#[derive(Debug, Default)]
struct AlreadyHashed(u64);

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

    #[test]
    fn what_a_storm_took_is_given_back() {
        let (now, window) = (Instant::now(), Duration::from_secs(60));
        let mut dedup = Dedup::<()>::new(window, HashKey(1, 2));
        for message in 0..100_000 {
            let fingerprint = dedup.fingerprint(&message.to_string(), None, None);
            dedup.commit(&fingerprint, now);
        }
        let late = dedup.fingerprint("late", None, None);
        dedup.commit(&late, now + window);
        assert!(dedup.seen.capacity() >= 100_000);
        dedup.expire(now + window);
        assert!(dedup.seen.capacity() <= 4_096, "{}", dedup.seen.capacity());
        assert_eq!((dedup.len(), dedup.check(&late)), (1, Acquaintance::Seen));
    }
}
