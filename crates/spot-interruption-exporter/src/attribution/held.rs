//! Messages that are held until their instance becomes known.
//!
//! Held messages about the same instance form a [`Group`]: the instance is looked up once for the whole group, and when
//! it becomes known, all messages of the group are resolved. Each message has its own deadline. A message that was
//! returned to its queue and delivered again keeps its deadline, so messages are sorted by deadline and not by arrival.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::time::Instant;

use jiff::Timestamp;

use crate::dedup::Fingerprint;
use crate::event::InterruptionReason;
use crate::instance::{CompactRef, InstanceId, InstanceRef};

/// Position of a message in the queue, ordered by deadline. Never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct HeldKey {
    deadline: Instant,
    number: u64,
}

/// Number of a group. Never reused, so that a late lookup result cannot match another group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct GroupId(u64);

/// A message to be resolved when its instance is known.
#[derive(Debug)]
pub(super) struct Message<T> {
    pub(super) kind: EventKind,
    pub(super) fingerprint: Fingerprint,
    pub(super) token: T,
    pub(super) deadline: Instant,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum EventKind {
    Interruption { reason: InterruptionReason, at: Option<Timestamp>, reported_by: ReportedBy },
    Creation,
}

/// How an interruption became known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReportedBy {
    Message,
    /// Listed by the provider's API as an operation.
    Operation,
}

impl EventKind {
    fn is_interruption(self) -> bool {
        matches!(self, Self::Interruption { .. })
    }
}

/// A held message.
#[derive(Debug)]
pub(super) struct HeldMessage<T> {
    pub(super) message: Message<T>,
    /// Tokens of later deliveries of the same event.
    pub(super) duplicates: Vec<T>,
    group: GroupId,
}

#[derive(Debug)]
struct Group {
    instance: CompactRef,
    /// Ordered by deadline.
    messages: VecDeque<HeldKey>,
    lookup_state: LookupState,
}

/// State of the lookup of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LookupState {
    /// No lookup was requested.
    NotRequested,
    /// A lookup was requested and has no result yet.
    Requested,
    /// The instance does not exist.
    NotFound,
}

/// Key of the index of groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum IndexKey {
    Id(InstanceId),
    /// Hash of zone and name, for a group without an instance id.
    Name(u64),
    /// Hash of zone and name, for a group with an instance id. An instance known only by name can resolve it too.
    /// Separate from [`IndexKey::Name`], so that instances with an id need not search these groups, however many share
    /// a name.
    NameWithId(u64),
}

#[derive(Debug)]
pub(super) struct HeldMessages<T> {
    messages: BTreeMap<HeldKey, HeldMessage<T>>,
    groups: HashMap<GroupId, Group>,
    index_keys: BTreeSet<(IndexKey, GroupId)>,
    hasher: RandomState,
    /// Groups not looked up yet, each with the latest time for the lookup.
    lookups: VecDeque<(Instant, GroupId)>,
    interruptions: usize,
    last_number: u64,
}

impl<T> HeldMessages<T> {
    pub(super) fn new() -> Self {
        Self {
            messages: BTreeMap::new(),
            groups: HashMap::new(),
            index_keys: BTreeSet::new(),
            hasher: RandomState::new(),
            lookups: VecDeque::new(),
            interruptions: 0,
            last_number: 0,
        }
    }

    /// Number of held interruptions.
    pub(super) fn interruptions(&self) -> usize {
        self.interruptions
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.messages.first_key_value().map(|(_, held)| held.message.deadline)
    }

    /// Holds a message about an instance. A new group is looked up by `lookup_by`, unless a lookup was requested
    /// before.
    pub(super) fn hold(
        &mut self,
        instance: &InstanceRef<'_>,
        message: Message<T>,
        lookup_state: LookupState,
        lookup_by: Instant,
    ) -> HeldKey {
        let key = HeldKey { deadline: message.deadline, number: self.next_number() };
        let group = match self.find(instance) {
            Some(group) => group,
            None => self.add_group(instance, lookup_state, lookup_by),
        };
        // The group exists: it was just found or added.
        if let Some(Group { messages, .. }) = self.groups.get_mut(&group) {
            let index = messages.partition_point(|other| *other < key);
            messages.insert(index, key);
        }
        self.interruptions += usize::from(message.kind.is_interruption());
        self.messages.insert(key, HeldMessage { message, duplicates: Vec::new(), group });
        key
    }

    /// Holds another delivery of a held message.
    pub(super) fn join(&mut self, key: HeldKey, token: T) {
        if let Some(held) = self.messages.get_mut(&key) {
            held.duplicates.push(token);
        }
    }

    /// Groups that may be about an instance that has become known, in reverse order of processing.
    pub(super) fn candidates(&self, instance: &InstanceRef<'_>) -> Vec<GroupId> {
        if self.groups.is_empty() {
            return Vec::new();
        }
        let id = instance.id.map(IndexKey::Id);
        let name = self.name_hash(instance);
        let with_id = name.filter(|_| instance.id.is_none()).map(IndexKey::NameWithId);
        let index_keys = [with_id, name.map(IndexKey::Name), id];
        index_keys.into_iter().flatten().flat_map(|index_key| self.groups_by(index_key).rev()).collect()
    }

    /// The instance of a group, or `None` if the group was removed.
    pub(super) fn instance(&self, group: GroupId) -> Option<InstanceRef<'_>> {
        self.groups.get(&group).map(|group| group.instance.get())
    }

    /// Removes a group and returns its instance and its messages, sorted by deadline.
    pub(super) fn close(&mut self, group: GroupId) -> Option<(CompactRef, Vec<HeldMessage<T>>)> {
        let Group { instance, messages, .. } = self.remove_group(group)?;
        let held: Vec<_> = messages.iter().filter_map(|key| self.messages.remove(key)).collect();
        let interruptions = held.iter().filter(|held| held.message.kind.is_interruption()).count();
        self.interruptions -= interruptions;
        Some((instance, held))
    }

    /// Notes that a lookup has not found the instance.
    pub(super) fn note_not_found(&mut self, group: GroupId) {
        if let Some(group) = self.groups.get_mut(&group) {
            group.lookup_state = LookupState::NotFound;
        }
    }

    /// Removes and returns the next message whose deadline has passed.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<(HeldMessage<T>, LookupState)> {
        while self.lookups.front().is_some_and(|(_, group)| !self.groups.contains_key(group)) {
            self.lookups.pop_front();
        }
        let key = self.messages.first_key_value().map(|(key, _)| *key)?;
        if key.deadline > now {
            return None;
        }
        self.take(key)
    }

    /// The held messages, sorted by deadline.
    pub(super) fn iter(&self) -> impl Iterator<Item = (HeldKey, &HeldMessage<T>)> {
        self.messages.iter().map(|(key, held)| (*key, held))
    }

    /// Removes one message.
    pub(super) fn take(&mut self, key: HeldKey) -> Option<(HeldMessage<T>, LookupState)> {
        let held = self.messages.remove(&key)?;
        self.interruptions -= usize::from(held.message.kind.is_interruption());
        let mut lookup_state = LookupState::NotRequested;
        if let Some(group) = self.groups.get_mut(&held.group) {
            lookup_state = group.lookup_state;
            if let Ok(index) = group.messages.binary_search(&key) {
                group.messages.remove(index);
            }
            if group.messages.is_empty() {
                self.remove_group(held.group);
            }
        }
        Some((held, lookup_state))
    }

    /// Returns the next group to look up and the deadline of its last message. `ignore_deadline` returns groups whose
    /// lookup is not due yet.
    pub(super) fn next_lookup(&mut self, now: Instant, ignore_deadline: bool) -> Option<(GroupId, Instant)> {
        while let Some(&(deadline, group)) = self.lookups.front() {
            if deadline > now && !ignore_deadline {
                return None;
            }
            self.lookups.pop_front();
            if let Some(key) = self.groups.get(&group).and_then(|group| group.messages.back().copied()) {
                self.groups.entry(group).and_modify(|group| group.lookup_state = LookupState::Requested);
                return Some((group, key.deadline));
            }
        }
        None
    }

    /// Whether a group still exists.
    pub(super) fn is_open(&self, group: GroupId) -> bool {
        self.groups.contains_key(&group)
    }

    /// When the next lookup is due at the latest.
    pub(super) fn next_lookup_deadline(&self) -> Option<Instant> {
        self.lookups.front().map(|(deadline, _)| *deadline)
    }

    fn find(&self, instance: &InstanceRef<'_>) -> Option<GroupId> {
        let index_key = self.index_keys_of(instance).next()?;
        self.groups_by(index_key).find(|group| self.instance(*group).as_ref() == Some(instance))
    }

    fn add_group(
        &mut self,
        instance: &InstanceRef<'_>,
        lookup_state: LookupState,
        lookup_by: Instant,
    ) -> GroupId {
        let group = GroupId(self.next_number());
        let index_keys = self.index_keys_of(instance);
        self.index_keys.extend(index_keys.map(|index_key| (index_key, group)));
        let messages = VecDeque::with_capacity(1);
        self.groups.insert(group, Group { instance: instance.into(), messages, lookup_state });
        // An instance can be looked up only if its zone is known.
        if instance.zone.is_some() && lookup_state == LookupState::NotRequested {
            self.lookups.push_back((lookup_by, group));
        }
        group
    }

    fn remove_group(&mut self, id: GroupId) -> Option<Group> {
        let group = self.groups.remove(&id)?;
        for index_key in self.index_keys_of(&group.instance.get()) {
            self.index_keys.remove(&(index_key, id));
        }
        Some(group)
    }

    fn groups_by(&self, index_key: IndexKey) -> impl DoubleEndedIterator<Item = GroupId> + '_ {
        let all = (index_key, GroupId(0))..=(index_key, GroupId(u64::MAX));
        self.index_keys.range(all).map(|(_, group)| *group)
    }

    /// The most specific key is first.
    fn index_keys_of(&self, instance: &InstanceRef<'_>) -> impl Iterator<Item = IndexKey> + use<T> {
        let named = if instance.id.is_some() { IndexKey::NameWithId } else { IndexKey::Name };
        [instance.id.map(IndexKey::Id), self.name_hash(instance).map(named)].into_iter().flatten()
    }

    fn name_hash(&self, instance: &InstanceRef<'_>) -> Option<u64> {
        instance.zone_and_name().map(|zone_and_name| self.hasher.hash_one(zone_and_name))
    }

    fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }
}
