//! The reference model: a simple and slow implementation of the rules.

use super::*;

/// The rules of attribution with lists instead of indices, and seconds instead of instants.
#[derive(Default)]
pub(crate) struct Model {
    now: u64,
    tokens: u32,
    pub(crate) known: Vec<Known>,
    held: Vec<HeldMessage>,
    cases: u64,
    /// The latest time of a lookup, and its case.
    lookups: Vec<(u64, u64)>,
    /// The key of an event, and when it expires.
    seen: Vec<(String, u64)>,
    is_seeded: bool,
    /// The time at which the current listing began.
    listing: Option<u64>,
}

#[derive(Debug, Clone)]
pub(crate) struct Known {
    instance: InstanceRef<'static>,
    cluster: &'static str,
    created: Option<jiff::Timestamp>,
    has_name: bool,
    state: RunState,
    misses: u8,
    is_outstanding: bool,
    /// Read from durable state and not seen since.
    is_recorded: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum RunState {
    Yes,
    No,
    Interrupted { heard: u64, until: u64 },
}

#[derive(Debug, Clone)]
struct HeldMessage {
    token: u32,
    duplicates: Vec<u32>,
    is_interruption: bool,
    keys: Vec<String>,
    instance: InstanceRef<'static>,
    case: u64,
    deadline: u64,
}

impl Model {
    /// Restarts with durable state, which contains instances and events but not held messages.
    pub(crate) fn restart(&mut self) {
        self.held.clear();
        self.lookups.clear();
        self.is_seeded = false;
        self.listing = None;
        for known in &mut self.known {
            known.is_recorded = true;
            known.is_outstanding = false;
            known.misses = 0;
            // The time of the interruption is not stored.
            if let RunState::Interrupted { heard, .. } = &mut known.state {
                *heard = self.now;
            }
        }
    }

    pub(crate) fn running(&self) -> usize {
        self.known.iter().filter(|known| known.state == RunState::Yes).count()
    }

    pub(crate) fn apply(&mut self, step: &Step) -> Outcomes {
        let mut out = Outcomes::new();
        if let Step::Pass { seconds } = *step {
            self.now += seconds;
        }
        if !matches!(step, Step::LookUp { .. }) {
            self.tick(&mut out);
        }
        match *step {
            Step::Create { instance, form, timed, message } => {
                self.tokens += 1;
                let described = describe(instance, form, timed, true);
                if described.cluster.is_none() {
                    self.release_name(&described);
                    out.push((self.tokens, "ignored not_kubernetes".to_owned()));
                } else if let Some(keys) = self.admit(vec![format!("creation {message}")], &mut out) {
                    self.add(&described);
                    out.push((self.tokens, "added".to_owned()));
                    self.remember(&keys);
                    self.settle(&mut out);
                }
            }
            Step::CreateUnlabelled { instance, message } => {
                let keys = vec![format!("creation {message}")];
                self.settle_or_hold(refer(instance, ReferenceForm::Full), false, keys, &mut out);
            }
            Step::Interrupt { instance, form, event, message } => {
                let (message_id, entry, _) = interruption_entry(instance, form, event, message);
                let mut keys = vec![message_id];
                keys.extend(entry.operation_id.map(|operation_id| format!("event {operation_id}")));
                self.settle_or_hold(refer(instance, form), true, keys, &mut out);
            }
            Step::FinishCreation { instance } => {
                self.tokens += 1;
                let instance = refer(instance, ReferenceForm::Full);
                if let Some(index) = self.find(&instance) {
                    self.known[index].instance.id = self.known[index].instance.id.or(instance.id);
                }
                out.push((self.tokens, "ignored operation_end".to_owned()));
                self.settle(&mut out);
            }
            Step::FailCreation { instance } => {
                self.tokens += 1;
                let id = refer(instance, ReferenceForm::Full).id;
                for known in self.known.iter_mut().filter(|known| known.instance.id == id) {
                    known.stop();
                }
                out.push((self.tokens, "ignored failed_creation".to_owned()));
            }
            Step::BeginResync => {
                self.listing = Some(self.now);
                for known in &mut self.known {
                    known.is_outstanding = true;
                }
            }
            Step::Observe { instance, running } => {
                self.observe(&describe(instance, ReferenceForm::Full, true, running), self.listing);
                self.settle(&mut out);
            }
            Step::FinishResync => {
                self.is_seeded = true;
                if self.listing.take().is_some() {
                    for known in self.known.iter_mut().filter(|known| known.is_outstanding) {
                        known.misses += 1;
                        if std::mem::take(&mut known.is_recorded) {
                            known.stop();
                        }
                    }
                    self.known.retain(|known| known.misses < 2 || known.is_tombstone());
                }
            }
            Step::LookUp { generation } => self.look_up(generation, &mut out),
            Step::Pass { .. } => {}
        }
        out
    }

    fn tick(&mut self, out: &mut Outcomes) {
        while self.held.first().is_some_and(|held| held.deadline <= self.now) {
            let held = self.held.remove(0);
            let outcome = if held.is_interruption { "unattributed" } else { "ignored unresolved" };
            self.finish(held, outcome.to_owned(), out);
        }
        let now = self.now;
        self.known
            .retain(|known| !matches!(known.state, RunState::Interrupted { until, .. } if until <= now));
        self.seen.retain(|(_, end)| *end > now);
    }

    fn look_up(&mut self, generation: Option<usize>, out: &mut Outcomes) {
        self.lookups.retain(|(_, case)| self.held.iter().any(|held| held.case == *case));
        let Some(&(by, case)) = self.lookups.first() else { return };
        if by > self.now && !self.is_seeded {
            return;
        }
        self.lookups.remove(0);
        let Some(wanted) = self.held.iter().find(|held| held.case == case).map(|held| held.instance.clone())
        else {
            return;
        };
        let candidates: Vec<usize> = (0..INSTANCES)
            .filter(|instance| {
                let full = refer(*instance, ReferenceForm::Full);
                if wanted.name.is_some() { full.name == wanted.name } else { full.id == wanted.id }
            })
            .collect();
        let Some(found) = generation.map(|generation| candidates[generation % candidates.len()]) else {
            return;
        };
        self.tick(out);
        let found = describe(found, ReferenceForm::Full, true, found % 2 == 0);
        self.observe(&found, None);
        self.settle(out);
        if found.cluster.is_none() && (wanted.id.is_none() || wanted.id == found.instance.id) {
            let (closed, held) = self.held.drain(..).partition(|held| held.case == case);
            self.held = held;
            for held in Vec::<HeldMessage>::into_iter(closed) {
                let outcome = if held.is_interruption { "unattributed" } else { "ignored not_kubernetes" };
                self.finish(held, outcome.to_owned(), out);
            }
        }
    }

    fn admit(&mut self, keys: Vec<String>, out: &mut Outcomes) -> Option<Vec<String>> {
        let token = self.tokens;
        if self.seen.iter().any(|(seen, _)| keys.contains(seen)) {
            out.push((token, "duplicate".to_owned()));
            return None;
        }
        if let Some(held) = self.held.iter_mut().find(|held| held.keys.iter().any(|key| keys.contains(key))) {
            held.duplicates.push(token);
            return None;
        }
        Some(keys)
    }

    fn settle_or_hold(
        &mut self,
        instance: InstanceRef<'static>,
        is_interruption: bool,
        keys: Vec<String>,
        out: &mut Outcomes,
    ) {
        self.tokens += 1;
        let Some(keys) = self.admit(keys, out) else { return };
        let token = self.tokens;
        if let Some(outcome) = self.effect(&instance, is_interruption) {
            self.remember(&keys);
            out.push((token, outcome));
            return self.settle(out);
        }
        let same = self.held.iter().find(|held| held.instance == instance);
        let case = same.map_or(self.cases + 1, |held| held.case);
        if case > self.cases {
            self.cases = case;
            self.lookups.push((self.now + GRACE.as_secs() / 2, case));
        }
        let deadline = self.now + GRACE.as_secs();
        self.held.push(HeldMessage {
            token,
            duplicates: vec![],
            is_interruption,
            keys,
            instance,
            case,
            deadline,
        });
    }

    fn effect(&mut self, instance: &InstanceRef<'static>, is_interruption: bool) -> Option<String> {
        let until = self.now + TOMBSTONE.as_secs();
        let index = self.find(instance)?;
        let known = &mut self.known[index];
        known.instance.id = known.instance.id.or(instance.id);
        if !is_interruption {
            return Some("added".to_owned());
        }
        let until = if let RunState::Interrupted { until, .. } = known.state { until } else { until };
        known.state = RunState::Interrupted { heard: self.now, until };
        Some(format!("counted {}", known.cluster))
    }

    fn settle(&mut self, out: &mut Outcomes) {
        loop {
            let held_before = self.held.len();
            let cases: BTreeSet<u64> = self.held.iter().map(|held| held.case).collect();
            for case in cases {
                for held in self.held.clone().into_iter().filter(|held| held.case == case) {
                    if let Some(outcome) = self.effect(&held.instance, held.is_interruption) {
                        self.held.retain(|other| other.token != held.token);
                        self.finish(held, outcome, out);
                    }
                }
            }
            if self.held.len() == held_before {
                return;
            }
        }
    }

    fn finish(&mut self, held: HeldMessage, outcome: String, out: &mut Outcomes) {
        self.remember(&held.keys);
        out.push((held.token, outcome));
        out.extend(held.duplicates.into_iter().map(|token| (token, "duplicate".to_owned())));
    }

    fn remember(&mut self, keys: &[String]) {
        let end = self.now + WINDOW.as_secs();
        self.seen.extend(keys.iter().map(|key| (key.clone(), end)));
    }

    fn find(&self, instance: &InstanceRef<'_>) -> Option<usize> {
        let by_id =
            self.known.iter().position(|known| instance.id.is_some() && known.instance.id == instance.id);
        by_id.or_else(|| {
            self.holder(instance)
                .filter(|&index| self.known[index].instance.id.is_none() || instance.id.is_none())
        })
    }

    fn holder(&self, instance: &InstanceRef<'_>) -> Option<usize> {
        self.known.iter().position(|known| known.has_name && known.instance.name == instance.name)
    }

    fn add(&mut self, described: &Instance<'static>) {
        match self.find(&described.instance) {
            Some(index) if !self.known[index].is_tombstone() || self.known[index].has_id_of(described) => {
                self.complete(index, described, false);
            }
            _ => self.insert(described),
        }
    }

    fn observe(&mut self, described: &Instance<'static>, listing: Option<u64>) {
        if described.cluster.is_none() {
            return self.release_name(described);
        }
        let Some(index) = self.find(&described.instance) else { return self.insert(described) };
        let is_seen = |began: u64| match self.known[index].state {
            RunState::Interrupted { heard, .. } => described.running && began >= heard + 60,
            _ => true,
        };
        if !self.known[index].is_tombstone() || listing.is_some_and(is_seen) {
            self.known[index].state = if described.running { RunState::Yes } else { RunState::No };
        }
        self.complete(index, described, true);
    }

    fn insert(&mut self, described: &Instance<'static>) {
        let Some(cluster) = described.cluster.as_deref() else { return };
        self.known.push(Known {
            instance: described.instance.clone(),
            cluster: if cluster == "a" { "a" } else { "b" },
            created: described.created_at,
            has_name: false,
            state: if described.running { RunState::Yes } else { RunState::No },
            misses: 0,
            is_outstanding: false,
            is_recorded: false,
        });
        self.claim_name(self.known.len() - 1);
    }

    fn complete(&mut self, index: usize, described: &Instance<'static>, exists: bool) {
        let known = &mut self.known[index];
        let is_renamed = described.instance.name.is_some() && described.instance.name != known.instance.name;
        if is_renamed {
            known.has_name = false;
            known.instance.name = described.instance.name.clone();
        }
        known.instance.id = known.instance.id.or(described.instance.id);
        known.cluster = if described.cluster.as_deref() == Some("a") { "a" } else { "b" };
        known.created = described.created_at.or(known.created);
        known.misses = 0;
        known.is_outstanding = false;
        known.is_recorded = false;
        if is_renamed || exists {
            self.claim_name(index);
        }
    }

    fn claim_name(&mut self, index: usize) {
        let claimant = &self.known[index];
        if claimant.instance.name.is_none() || claimant.has_name {
            return;
        }
        if let Some(holder) = self.holder(&claimant.instance) {
            if self.known[holder].is_newer_than(claimant.created) {
                return self.retire(index);
            }
            self.known[index].has_name = true;
            return self.retire(holder);
        }
        self.known[index].has_name = true;
    }

    fn release_name(&mut self, other: &Instance<'_>) {
        if let Some(holder) = self.holder(&other.instance)
            && !self.known[holder].has_id_of(other)
            && !self.known[holder].is_newer_than(other.created_at)
        {
            self.retire(holder);
        }
    }

    fn retire(&mut self, index: usize) {
        let known = &mut self.known[index];
        known.has_name = false;
        known.stop();
        if known.instance.id.is_none() && !known.is_tombstone() {
            self.known.remove(index);
        }
    }
}

impl Known {
    fn is_tombstone(&self) -> bool {
        matches!(self.state, RunState::Interrupted { .. })
    }

    fn stop(&mut self) {
        if self.state == RunState::Yes {
            self.state = RunState::No;
        }
    }

    fn has_id_of(&self, described: &Instance<'_>) -> bool {
        self.instance.id.is_some() && self.instance.id == described.instance.id
    }

    fn is_newer_than(&self, created: Option<jiff::Timestamp>) -> bool {
        self.created.zip(created).is_some_and(|(own, other)| own > other)
    }
}
