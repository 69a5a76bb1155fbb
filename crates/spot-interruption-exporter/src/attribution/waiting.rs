//! What waits for an instance to become known.
//!
//! Messages about the same instance share a [`Case`]: the instance is looked up once for all of them, and when it
//! becomes known all of them are settled. Each message keeps its own deadline. One that went back to its queue and comes
//! again has the deadline that it had, so messages are kept by deadline and not in the order in which they come.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::time::Instant;

use jiff::Timestamp;

use crate::dedup::Fingerprint;
use crate::event::InterruptionReason;
use crate::instance::{CompactRef, InstanceId, InstanceRef};

/// The place of a message in the queue: what falls due first comes first. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    deadline: Instant,
    number: u64,
}

/// The number of a case. Never used twice, so that a late answer of a look-up cannot hit another case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct CaseId(u64);

/// A message that is to be settled once its instance is known.
#[derive(Debug)]
pub(super) struct Message<T> {
    pub(super) kind: Kind,
    pub(super) fingerprint: Fingerprint,
    pub(super) token: T,
    pub(super) deadline: Instant,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Interruption { reason: InterruptionReason, at: Option<Timestamp>, learnt: Learnt },
    Creation,
}

/// What told of an interruption.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Learnt {
    Message,
    /// The provider's API lists it as an operation.
    Operation,
}

impl Kind {
    fn is_interruption(self) -> bool {
        matches!(self, Self::Interruption { .. })
    }
}

/// A message that waits.
#[derive(Debug)]
pub(super) struct Held<T> {
    pub(super) message: Message<T>,
    /// The tokens of later deliveries of the same event.
    pub(super) duplicates: Vec<T>,
    case: CaseId,
}

#[derive(Debug)]
struct Case {
    instance: CompactRef,
    /// In their order.
    messages: VecDeque<Place>,
    asked: Asked,
}

/// What the provider's API said of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// It was not asked.
    NotYet,
    /// Nothing yet, or nothing of use.
    Waiting,
    /// That there is none.
    Missing,
}

/// What a case can be found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Handle {
    Id(InstanceId),
    /// The hash of zone and name, for a case without an id.
    Name(u64),
    /// The same for a case with an id, which an instance known by name only can settle too. Apart from the others
    /// because instances with an id need not look here, however many share a name.
    NameBesideId(u64),
}

#[derive(Debug)]
pub(super) struct Waiting<T> {
    messages: BTreeMap<Place, Held<T>>,
    cases: HashMap<CaseId, Case>,
    handles: BTreeSet<(Handle, CaseId)>,
    hasher: RandomState,
    /// Cases not looked up yet, and when that is to happen at the latest.
    lookups: VecDeque<(Instant, CaseId)>,
    interruptions: usize,
    numbers: u64,
}

impl<T> Waiting<T> {
    pub(super) fn new() -> Self {
        Self {
            messages: BTreeMap::new(),
            cases: HashMap::new(),
            handles: BTreeSet::new(),
            hasher: RandomState::new(),
            lookups: VecDeque::new(),
            interruptions: 0,
            numbers: 0,
        }
    }

    /// How many interruptions wait.
    pub(super) fn interruptions(&self) -> usize {
        self.interruptions
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.messages.first_key_value().map(|(_, held)| held.message.deadline)
    }

    /// Holds a message about an instance. A new case wants to be looked up by `lookup_by`, unless it was before.
    pub(super) fn hold(
        &mut self,
        instance: &InstanceRef<'_>,
        message: Message<T>,
        asked: Asked,
        lookup_by: Instant,
    ) -> Place {
        let place = Place { deadline: message.deadline, number: self.number() };
        let case = match self.find(instance) {
            Some(case) => case,
            None => self.open(instance, asked, lookup_by),
        };
        // The case is there: it was just found or opened.
        if let Some(Case { messages, .. }) = self.cases.get_mut(&case) {
            let index = messages.partition_point(|other| *other < place);
            messages.insert(index, place);
        }
        self.interruptions += usize::from(message.kind.is_interruption());
        self.messages.insert(place, Held { message, duplicates: Vec::new(), case });
        place
    }

    /// Holds another delivery of a message that waits.
    pub(super) fn join(&mut self, place: Place, token: T) {
        if let Some(held) = self.messages.get_mut(&place) {
            held.duplicates.push(token);
        }
    }

    /// The cases that might be about an instance which has become known, the first one last.
    pub(super) fn candidates(&self, instance: &InstanceRef<'_>) -> Vec<CaseId> {
        if self.cases.is_empty() {
            return Vec::new();
        }
        let id = instance.id.map(Handle::Id);
        let name = self.name_hash(instance);
        let beside_id = name.filter(|_| instance.id.is_none()).map(Handle::NameBesideId);
        let handles = [beside_id, name.map(Handle::Name), id];
        handles.into_iter().flatten().flat_map(|handle| self.cases_by(handle).rev()).collect()
    }

    /// The instance that a case is about, while the case is open.
    pub(super) fn instance(&self, case: CaseId) -> Option<InstanceRef<'_>> {
        self.cases.get(&case).map(|case| case.instance.get())
    }

    /// Ends a case and gives out its instance and its messages, what falls due first being first.
    pub(super) fn close(&mut self, case: CaseId) -> Option<(CompactRef, Vec<Held<T>>)> {
        let Case { instance, messages, .. } = self.forget(case)?;
        let held: Vec<_> = messages.iter().filter_map(|place| self.messages.remove(place)).collect();
        let interruptions = held.iter().filter(|held| held.message.kind.is_interruption()).count();
        self.interruptions -= interruptions;
        Some((instance, held))
    }

    /// Notes that a look-up has not found the instance.
    pub(super) fn note_missing(&mut self, case: CaseId) {
        if let Some(case) = self.cases.get_mut(&case) {
            case.asked = Asked::Missing;
        }
    }

    /// Gives out a message that has waited long enough.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<(Held<T>, Asked)> {
        while self.lookups.front().is_some_and(|(_, case)| !self.cases.contains_key(case)) {
            self.lookups.pop_front();
        }
        let place = self.messages.first_key_value().map(|(place, _)| *place)?;
        if place.deadline > now {
            return None;
        }
        self.take(place)
    }

    /// The messages that wait, what falls due first being first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Place, &Held<T>)> {
        self.messages.iter().map(|(place, held)| (*place, held))
    }

    /// Takes out one message.
    pub(super) fn take(&mut self, place: Place) -> Option<(Held<T>, Asked)> {
        let held = self.messages.remove(&place)?;
        self.interruptions -= usize::from(held.message.kind.is_interruption());
        let mut asked = Asked::NotYet;
        if let Some(case) = self.cases.get_mut(&held.case) {
            asked = case.asked;
            if let Ok(index) = case.messages.binary_search(&place) {
                case.messages.remove(index);
            }
            if case.messages.is_empty() {
                self.forget(held.case);
            }
        }
        Some((held, asked))
    }

    /// The next case to look up, and until when the answer is of use. `at_once` disregards that there is time.
    pub(super) fn next_lookup(&mut self, now: Instant, at_once: bool) -> Option<(CaseId, Instant)> {
        while let Some(&(by, case)) = self.lookups.front() {
            if by > now && !at_once {
                return None;
            }
            self.lookups.pop_front();
            if let Some(place) = self.cases.get(&case).and_then(|case| case.messages.back().copied()) {
                self.cases.entry(case).and_modify(|case| case.asked = Asked::Waiting);
                return Some((case, place.deadline));
            }
        }
        None
    }

    /// Whether a case is still open.
    pub(super) fn is_open(&self, case: CaseId) -> bool {
        self.cases.contains_key(&case)
    }

    /// When the next look-up is wanted at the latest.
    pub(super) fn next_lookup_by(&self) -> Option<Instant> {
        self.lookups.front().map(|(by, _)| *by)
    }

    fn find(&self, instance: &InstanceRef<'_>) -> Option<CaseId> {
        let handle = self.handles_of(instance).next()?;
        self.cases_by(handle).find(|case| self.instance(*case).as_ref() == Some(instance))
    }

    fn open(&mut self, instance: &InstanceRef<'_>, asked: Asked, lookup_by: Instant) -> CaseId {
        let case = CaseId(self.number());
        let handles = self.handles_of(instance);
        self.handles.extend(handles.map(|handle| (handle, case)));
        let messages = VecDeque::with_capacity(1);
        self.cases.insert(case, Case { instance: instance.into(), messages, asked });
        // Without its zone an instance cannot be asked for.
        if instance.zone.is_some() && asked == Asked::NotYet {
            self.lookups.push_back((lookup_by, case));
        }
        case
    }

    fn forget(&mut self, id: CaseId) -> Option<Case> {
        let case = self.cases.remove(&id)?;
        for handle in self.handles_of(&case.instance.get()) {
            self.handles.remove(&(handle, id));
        }
        Some(case)
    }

    fn cases_by(&self, handle: Handle) -> impl DoubleEndedIterator<Item = CaseId> + '_ {
        let all = (handle, CaseId(0))..=(handle, CaseId(u64::MAX));
        self.handles.range(all).map(|(_, case)| *case)
    }

    /// The most telling one comes first.
    fn handles_of(&self, instance: &InstanceRef<'_>) -> impl Iterator<Item = Handle> + use<T> {
        let named = if instance.id.is_some() { Handle::NameBesideId } else { Handle::Name };
        [instance.id.map(Handle::Id), self.name_hash(instance).map(named)].into_iter().flatten()
    }

    fn name_hash(&self, instance: &InstanceRef<'_>) -> Option<u64> {
        instance.zone_and_name().map(|zone_and_name| self.hasher.hash_one(zone_and_name))
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }
}
