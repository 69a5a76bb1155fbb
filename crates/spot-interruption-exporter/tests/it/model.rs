//! Random histories, against a model that does everything the slow and obvious way, and against what must hold
//! whatever happens.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use spot_interruption_exporter::event::{Entry, Event};
use spot_interruption_exporter::instance::{Instance, InstanceRef};

use crate::world::*;

/// Instances share three names in turn, as those of a managed instance group do, and belong to two clusters or to
/// none. The later ones are the newer ones.
const INSTANCES: usize = 9;
const NAMES: [&str; 3] = ["n0", "n1", "n2"];
const CLUSTERS: [Option<&str>; 4] = [Some("a"), Some("b"), Some("a"), None];

fn cluster_of(instance: usize) -> Option<&'static str> {
    CLUSTERS[instance % CLUSTERS.len()]
}

/// How a source refers to an instance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Form {
    Full,
    NameOnly,
    IdOnly,
}

fn refer(instance: usize, form: Form) -> InstanceRef<'static> {
    let full = named(instance as u64 + 1, NAMES[instance % NAMES.len()]);
    match form {
        Form::Full => full,
        Form::NameOnly => InstanceRef { id: None, ..full },
        Form::IdOnly => InstanceRef { name: None, ..full },
    }
}

fn describe(instance: usize, form: Form, timed: bool, running: bool) -> Instance<'static> {
    Instance {
        instance: refer(instance, form),
        cluster: cluster_of(instance).map(Into::into),
        spot: true,
        running,
        created_at: if timed { at(instance as i64 * 100) } else { None },
        ..Instance::default()
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Step {
    Create {
        instance: usize,
        form: Form,
        timed: bool,
        message: u8,
    },
    CreateUnlabelled {
        instance: usize,
        message: u8,
    },
    FinishCreation {
        instance: usize,
    },
    FailCreation {
        instance: usize,
    },
    /// Whether the event has an `insertId` follows from its number, so that all its deliveries agree.
    Interrupt {
        instance: usize,
        form: Form,
        event: u8,
        message: u8,
    },
    BeginResync,
    Observe {
        instance: usize,
        running: bool,
    },
    FinishResync,
    /// Ask the next question and, unless nothing is found, answer with the instance of that name that is this many
    /// generations from the oldest.
    LookUp {
        generation: Option<usize>,
    },
    Pass {
        seconds: u64,
    },
}

fn forms(with_names_only: bool) -> BoxedStrategy<Form> {
    if with_names_only {
        prop_oneof![4 => Just(Form::Full), 2 => Just(Form::NameOnly), 1 => Just(Form::IdOnly)].boxed()
    } else {
        prop_oneof![4 => Just(Form::Full), 1 => Just(Form::IdOnly)].boxed()
    }
}

/// Histories in which instances become known with their ids, or also, as hand-made ones do, without.
pub(crate) fn history(creations_without_ids: bool) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..INSTANCES, forms(creations_without_ids), any::<bool>(), any::<u8>())
            .prop_map(|(instance, form, timed, message)| Step::Create { instance, form, timed, message }),
        1 => (0..INSTANCES, any::<u8>())
            .prop_map(|(instance, message)| Step::CreateUnlabelled { instance, message }),
        1 => (0..INSTANCES).prop_map(|instance| Step::FinishCreation { instance }),
        1 => (0..INSTANCES).prop_map(|instance| Step::FailCreation { instance }),
        9 => (0..INSTANCES, forms(true), 0..5_u8, 0..3_u8)
            .prop_map(|(instance, form, event, message)| Step::Interrupt { instance, form, event, message }),
        1 => Just(Step::BeginResync),
        3 => (0..INSTANCES, prop::bool::weighted(0.8))
            .prop_map(|(instance, running)| Step::Observe { instance, running }),
        1 => Just(Step::FinishResync),
        3 => prop::option::weighted(0.7, 0..3_usize).prop_map(|generation| Step::LookUp { generation }),
        3 => (1..40_u64).prop_map(|seconds| Step::Pass { seconds }),
        1 => (40..400_u64).prop_map(|seconds| Step::Pass { seconds }),
    ];
    prop::collection::vec(step, 1..80)
}

/// The log entry of an interruption, and what makes it the same event as another.
fn interruption_entry(
    instance: usize,
    form: Form,
    event: u8,
    message: u8,
) -> (String, Entry<'static>, String) {
    let insert_id = format!("{instance} {form:?} {event}");
    let message_id = format!("{insert_id} {message}");
    let entry = interruption(refer(instance, form));
    if event.is_multiple_of(2) {
        (message_id.clone(), entry, message_id)
    } else {
        (message_id, logged("insert", insert_id.clone().leak(), entry), insert_id)
    }
}

/// Does a step to the world, and returns what came of it with the number of the token that it used, if any.
pub(crate) fn apply(world: &mut World, step: &Step) -> Words {
    match *step {
        Step::Create { instance, form, timed, message } => {
            world.deliver(&message.to_string(), creation(describe(instance, form, timed, true)))
        }
        Step::CreateUnlabelled { instance, message } => {
            world.deliver(&message.to_string(), entry(Event::UnlabelledCreation(refer(instance, Form::Full))))
        }
        Step::FinishCreation { instance } => {
            world.deliver("", entry(Event::CreationFinished(refer(instance, Form::Full))))
        }
        Step::FailCreation { instance } => world.deliver("", failure_on_demand(refer(instance, Form::Full))),
        Step::Interrupt { instance, form, event, message } => {
            let (message_id, entry, _) = interruption_entry(instance, form, event, message);
            world.deliver(&message_id, entry)
        }
        Step::BeginResync => {
            world.begin_resync();
            world.resolved()
        }
        Step::Observe { instance, running } => world.observe(&describe(instance, Form::Full, true, running)),
        Step::FinishResync => {
            world.finish_resync();
            world.resolved()
        }
        Step::LookUp { generation } => {
            let Some(lookup) = world.lookup() else { return Words::new() };
            let asked = (0..INSTANCES).filter(|instance| {
                lookup.instance == NAMES[instance % NAMES.len()]
                    || lookup.instance == (instance + 1).to_string()
            });
            match generation.and_then(|generation| asked.cycle().nth(generation)) {
                Some(found) => world.found(&lookup, &describe(found, Form::Full, true, found % 2 == 0)),
                None => Words::new(),
            }
        }
        Step::Pass { seconds } => world.pass(Duration::from_secs(seconds)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Every token comes back once; every distinct interruption is counted once, for a cluster or for none; and
    /// none for a cluster that its instance never belonged to.
    #[test]
    fn every_interruption_counts_once_and_for_its_own_cluster(
        steps in history(false),
    ) {
        check_counts(&steps, false)?;
    }

    /// Where an instance is known by its name only, the name is all there is to go by.
    #[test]
    fn every_interruption_counts_once_and_for_a_cluster_of_its_name(
        steps in history(true),
    ) {
        check_counts(&steps, true)?;
    }

    #[test]
    fn the_state_machine_does_what_the_model_does(steps in history(true)) {
        let mut world = World::unseeded();
        let mut model = Model::default();
        for (number, step) in steps.iter().enumerate() {
            let (mut actual, mut expected) = (apply(&mut world, step), model.apply(step));
            actual.sort();
            expected.sort();
            prop_assert_eq!(actual, expected, "step {}: {:?}", number, step);
            prop_assert_eq!(world.known(), model.known.len(), "step {}: {:?}", number, step);
            prop_assert_eq!(world.spot_running() as usize, model.running(), "step {}: {:?}", number, step);
        }
    }

    /// A restart forgets everything and gets again what was not acknowledged, be it that it had not been resolved or
    /// that the acknowledgement was lost. Events can count twice then, but none is lost.
    #[test]
    fn a_restart_loses_nothing(
        lives in prop::collection::vec(history(true), 1..4),
        lost_acknowledgements in any::<u64>(),
    ) {
        let mut delivered = BTreeSet::new();
        let mut counted = BTreeSet::new();
        let mut unacknowledged: Vec<Step> = Vec::new();
        for (life, history) in lives.into_iter().enumerate() {
            let mut world = World::unseeded();
            let mut open: BTreeMap<u32, Step> = BTreeMap::new();
            let mut resolved = Words::new();
            for step in unacknowledged.drain(..).chain(history) {
                if let Some(key) = interruption_key(&step) {
                    delivered.insert(key);
                    open.insert(world.tokens() + 1, step.clone());
                }
                resolved.extend(apply(&mut world, &step));
            }
            for (token, outcome) in resolved {
                let Some(step) = open.get(&token) else { continue };
                if outcome.starts_with("counted") || outcome == "unattributed" {
                    counted.extend(interruption_key(step));
                }
                if lost_acknowledgements >> ((token as usize + life) % 64) & 1 == 0 {
                    open.remove(&token);
                }
            }
            unacknowledged.extend(open.into_values());
        }
        let mut world = World::unseeded();
        let mut outcomes: Words = unacknowledged.iter().flat_map(|step| apply(&mut world, step)).collect();
        outcomes.extend(world.pass(GRACE));
        prop_assert_eq!(outcomes.len(), unacknowledged.len());
        counted.extend(unacknowledged.iter().filter_map(interruption_key));
        prop_assert_eq!(counted, delivered);
    }
}

fn interruption_key(step: &Step) -> Option<String> {
    match *step {
        Step::Interrupt { instance, form, event, message } => {
            Some(interruption_entry(instance, form, event, message).2)
        }
        _ => None,
    }
}

fn check_counts(steps: &[Step], by_name: bool) -> Result<(), TestCaseError> {
    let mut world = World::with_window(Duration::from_secs(1_000_000));
    let mut delivered = BTreeMap::new();
    let mut distinct = BTreeSet::new();
    let mut outcomes = Words::new();
    for step in steps {
        if let Step::Interrupt { instance, form, .. } = *step {
            delivered.insert(world.tokens() + 1, (instance, form));
        }
        distinct.extend(interruption_key(step));
        outcomes.extend(apply(&mut world, step));
    }
    outcomes.extend(world.pass(GRACE));

    let tokens: BTreeSet<u32> = outcomes.iter().map(|(token, _)| *token).collect();
    prop_assert_eq!(outcomes.len(), tokens.len(), "a token came back twice");
    prop_assert_eq!(tokens.len() as u32, world.tokens(), "a token did not come back");

    let mut sum = 0;
    for (token, outcome) in &outcomes {
        let Some(&(instance, form)) = delivered.get(token) else { continue };
        if let Some(cluster) = outcome.strip_prefix("counted ") {
            sum += 1;
            let is_by_name = by_name || form == Form::NameOnly;
            let shares_name = |other: usize| other % NAMES.len() == instance % NAMES.len();
            let mut possible =
                (0..INSTANCES).filter(|other| *other == instance || (is_by_name && shares_name(*other)));
            prop_assert!(possible.any(|other| cluster_of(other) == Some(cluster)), "{token} {outcome}");
        } else if outcome == "unattributed" {
            sum += 1;
        } else {
            prop_assert_eq!(outcome, "duplicate");
        }
    }
    prop_assert_eq!(sum, distinct.len());
    Ok(())
}

/// The same rules with lists instead of indices, and seconds instead of instants.
#[derive(Default)]
pub(crate) struct Model {
    now: u64,
    tokens: u32,
    pub(crate) known: Vec<Known>,
    held: Vec<HeldMessage>,
    cases: u64,
    /// When a case is to be looked up at the latest.
    lookups: Vec<(u64, u64)>,
    /// Until when an event is remembered.
    seen: Vec<(String, u64)>,
    is_seeded: bool,
    /// When the resync that runs began.
    resync: Option<u64>,
}

#[derive(Debug, Clone)]
pub(crate) struct Known {
    instance: InstanceRef<'static>,
    cluster: &'static str,
    created: Option<jiff::Timestamp>,
    has_name: bool,
    state: Running,
    misses: u8,
    is_outstanding: bool,
    /// Not heard of since it was read from a record.
    is_recorded: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Running {
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
    /// What is known and remembered is read from a record; what is held is not part of it.
    pub(crate) fn restart(&mut self) {
        self.held.clear();
        self.lookups.clear();
        self.is_seeded = false;
        self.resync = None;
        for known in &mut self.known {
            known.is_recorded = true;
            known.is_outstanding = false;
            known.misses = 0;
            // When it was heard of is not written down.
            if let Running::Interrupted { heard, .. } = &mut known.state {
                *heard = self.now;
            }
        }
    }

    pub(crate) fn running(&self) -> usize {
        self.known.iter().filter(|known| known.state == Running::Yes).count()
    }

    pub(crate) fn apply(&mut self, step: &Step) -> Words {
        let mut out = Words::new();
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
                    self.pass_name_on(&described);
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
                self.settle_or_hold(refer(instance, Form::Full), false, keys, &mut out);
            }
            Step::Interrupt { instance, form, event, message } => {
                let (message_id, entry, _) = interruption_entry(instance, form, event, message);
                let mut keys = vec![message_id];
                keys.extend(entry.operation_id.map(|operation_id| format!("event {operation_id}")));
                self.settle_or_hold(refer(instance, form), true, keys, &mut out);
            }
            Step::FinishCreation { instance } => {
                self.tokens += 1;
                let instance = refer(instance, Form::Full);
                if let Some(index) = self.find(&instance) {
                    self.known[index].instance.id = self.known[index].instance.id.or(instance.id);
                }
                out.push((self.tokens, "ignored operation_end".to_owned()));
                self.settle(&mut out);
            }
            Step::FailCreation { instance } => {
                self.tokens += 1;
                let id = refer(instance, Form::Full).id;
                for known in self.known.iter_mut().filter(|known| known.instance.id == id) {
                    known.stop();
                }
                out.push((self.tokens, "ignored failed_creation".to_owned()));
            }
            Step::BeginResync => {
                self.resync = Some(self.now);
                for known in &mut self.known {
                    known.is_outstanding = true;
                }
            }
            Step::Observe { instance, running } => {
                self.observe(&describe(instance, Form::Full, true, running), self.resync);
                self.settle(&mut out);
            }
            Step::FinishResync => {
                self.is_seeded = true;
                if self.resync.take().is_some() {
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

    fn tick(&mut self, out: &mut Words) {
        while self.held.first().is_some_and(|held| held.deadline <= self.now) {
            let held = self.held.remove(0);
            let outcome = if held.is_interruption { "unattributed" } else { "ignored unresolved" };
            self.finish(held, outcome.to_owned(), out);
        }
        let now = self.now;
        self.known.retain(|known| !matches!(known.state, Running::Interrupted { until, .. } if until <= now));
        self.seen.retain(|(_, end)| *end > now);
    }

    fn look_up(&mut self, generation: Option<usize>, out: &mut Words) {
        self.lookups.retain(|(_, case)| self.held.iter().any(|held| held.case == *case));
        let Some(&(by, case)) = self.lookups.first() else { return };
        if by > self.now && !self.is_seeded {
            return;
        }
        self.lookups.remove(0);
        let Some(asked) = self.held.iter().find(|held| held.case == case).map(|held| held.instance.clone())
        else {
            return;
        };
        let candidates: Vec<usize> = (0..INSTANCES)
            .filter(|instance| {
                let full = refer(*instance, Form::Full);
                if asked.name.is_some() { full.name == asked.name } else { full.id == asked.id }
            })
            .collect();
        let Some(found) = generation.map(|generation| candidates[generation % candidates.len()]) else {
            return;
        };
        self.tick(out);
        let found = describe(found, Form::Full, true, found % 2 == 0);
        self.observe(&found, None);
        self.settle(out);
        if found.cluster.is_none() && (asked.id.is_none() || asked.id == found.instance.id) {
            let (closed, held) = self.held.drain(..).partition(|held| held.case == case);
            self.held = held;
            for held in Vec::<HeldMessage>::into_iter(closed) {
                let outcome = if held.is_interruption { "unattributed" } else { "ignored not_kubernetes" };
                self.finish(held, outcome.to_owned(), out);
            }
        }
    }

    fn admit(&mut self, keys: Vec<String>, out: &mut Words) -> Option<Vec<String>> {
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
        out: &mut Words,
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
        let until = if let Running::Interrupted { until, .. } = known.state { until } else { until };
        known.state = Running::Interrupted { heard: self.now, until };
        Some(format!("counted {}", known.cluster))
    }

    fn settle(&mut self, out: &mut Words) {
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

    fn finish(&mut self, held: HeldMessage, outcome: String, out: &mut Words) {
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
            return self.pass_name_on(described);
        }
        let Some(index) = self.find(&described.instance) else { return self.insert(described) };
        let is_seen = |began: u64| match self.known[index].state {
            Running::Interrupted { heard, .. } => described.running && began >= heard + 60,
            _ => true,
        };
        if !self.known[index].is_tombstone() || listing.is_some_and(is_seen) {
            self.known[index].state = if described.running { Running::Yes } else { Running::No };
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
            state: if described.running { Running::Yes } else { Running::No },
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

    fn pass_name_on(&mut self, outsider: &Instance<'_>) {
        if let Some(holder) = self.holder(&outsider.instance)
            && !self.known[holder].has_id_of(outsider)
            && !self.known[holder].is_newer_than(outsider.created_at)
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
        matches!(self.state, Running::Interrupted { .. })
    }

    fn stop(&mut self) {
        if self.state == Running::Yes {
            self.state = Running::No;
        }
    }

    fn has_id_of(&self, described: &Instance<'_>) -> bool {
        self.instance.id.is_some() && self.instance.id == described.instance.id
    }

    fn is_newer_than(&self, created: Option<jiff::Timestamp>) -> bool {
        self.created.zip(created).is_some_and(|(own, other)| own > other)
    }
}
