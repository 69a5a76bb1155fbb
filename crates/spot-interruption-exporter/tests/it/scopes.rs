//! What is listed by project, and what becomes of instances that are in no listing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use spot_interruption_exporter::instance::{Instance, InstanceRef};
use spot_interruption_exporter::inventory::{Scope, UNLISTED_TTL, Unseen};

use crate::world::*;

const HOUR: Duration = Duration::from_secs(3_600);

/// A running spot node of a project.
fn node_of(project: &str, id: u64) -> Instance<'static> {
    let name = format!("n{id}");
    let described = node(id, &name, "a").into_owned();
    let instance = InstanceRef { project: Some(project.to_owned().into()), ..described.instance };
    Instance { instance, ..described }
}

fn scopes(projects: &[&str]) -> Vec<Scope> {
    projects.iter().map(|project| Scope::project(*project)).collect()
}

/// One node in each zone of the project, of which one listing after the other sees what it can.
fn list(world: &mut World, project: &str, seen: &[Instance<'_>], unseen: &Unseen) -> usize {
    let scope = Scope::project(project);
    let moment = world.moment();
    world.attribution.begin_resync(&scope, moment);
    for instance in seen {
        world.attribution.list(&scope, instance, world.now);
    }
    world.attribution.finish_resync(&scope, unseen, world.now)
}

fn counts(world: &mut World) -> (usize, u32) {
    (world.known(), world.spot_running())
}

#[test]
fn listings_of_one_project_say_nothing_of_another() {
    let mut world = World::new();
    world.deliver("m", creation(node_of("other-project", 1)));
    assert_eq!(counts(&mut world), (1, 1));
    for _ in 0..2 {
        world.pass(HOUR / 6);
        world.resync(&[]);
        assert_eq!(counts(&mut world), (1, 1));
    }
}

#[test]
fn each_project_is_listed_on_its_own() {
    let mut world = World::new();
    world.attribution.set_scopes(scopes(&["mock-project", "p"]), false, world.now);
    let (ours, theirs) = (node_of("mock-project", 1), node_of("p", 2));
    world.resync(std::slice::from_ref(&ours));
    list(&mut world, "p", std::slice::from_ref(&theirs), &Unseen::default());
    assert_eq!(counts(&mut world), (2, 2));
    // One that breaks off, and complete ones of the other project in between.
    let moment = world.moment();
    world.attribution.begin_resync(&Scope::project("p"), moment);
    assert_eq!([world.resync(&[]), world.resync(&[])], [0, 1]);
    world.attribution.fail_resync(&Scope::project("p"));
    assert_eq!(counts(&mut world), (1, 1));
    let unseen = Unseen::default();
    assert_eq!([list(&mut world, "p", &[], &unseen), list(&mut world, "p", &[], &unseen)], [0, 1]);
    assert_eq!(counts(&mut world), (0, 0));
}

#[test]
fn what_cannot_be_seen_is_not_gone() {
    let mut world = World::new();
    let elsewhere = node_of("mock-project", 2);
    let instance = InstanceRef { zone: Some("us-central1-a".into()), ..elsewhere.instance.clone() };
    let elsewhere = Instance { instance, ..elsewhere };
    world.resync(&[node_of("mock-project", 1), elsewhere]);
    let mut unseen = Unseen::default();
    unseen.add_zone(ZONE);
    for gone in [0, 1, 0, 0] {
        assert_eq!(list(&mut world, "mock-project", &[], &unseen), gone);
    }
    assert_eq!(counts(&mut world), (1, 1), "the one in the zone that is not seen stays");
    unseen.add_everything();
    assert_eq!(
        [list(&mut world, "mock-project", &[], &unseen), world.resync(&[]), world.resync(&[])],
        [0, 0, 1]
    );
}

#[test]
fn nodes_in_no_scope_go_a_day_after_the_last_sign() {
    let mut world = World::new();
    world.deliver("m1", creation(node_of("p", 1)));
    world.pass(UNLISTED_TTL - HOUR);
    world.deliver("m2", creation(Instance { created_at: at(9), ..node_of("p", 1) }));
    world.pass(Duration::ZERO);
    world.pass(UNLISTED_TTL - HOUR);
    assert_eq!(counts(&mut world), (1, 1), "it was heard of again");
    world.pass(HOUR);
    assert_eq!(counts(&mut world), (0, 0));
}

#[test]
fn a_project_can_come_and_go() {
    let mut world = World::new();
    world.deliver("m", creation(node_of("p", 1)));
    world.pass(UNLISTED_TTL / 2);
    assert_eq!(world.attribution.take_unlisted(), scopes(&["p"]));
    world.attribution.set_scopes(scopes(&["mock-project", "p"]), false, world.now);
    world.pass(UNLISTED_TTL * 2);
    assert_eq!(counts(&mut world), (1, 1), "its listings decide now");
    world.attribution.set_scopes(scopes(&["mock-project"]), false, world.now);
    world.pass(UNLISTED_TTL - HOUR);
    assert_eq!(counts(&mut world), (1, 1));
    world.pass(HOUR);
    assert_eq!(counts(&mut world), (0, 0));
    assert_eq!(world.attribution.take_unlisted(), [], "it was named once");
}

#[test]
fn an_interruption_names_a_project_too() {
    let mut world = World::new();
    for project in ["q", "mock-project", "q"] {
        world.deliver(project, interruption(node_of(project, 1).instance));
    }
    assert_eq!(world.attribution.take_unlisted(), scopes(&["q"]));
}

#[test]
fn an_instance_of_an_unknown_project_is_in_no_scope_of_several() {
    let nameless = || {
        let node = node_of("p", 1);
        Instance { instance: InstanceRef { project: None, ..node.instance.clone() }, ..node }
    };
    let mut world = World::new();
    world.deliver("m", creation(nameless()));
    assert_eq!([world.resync(&[]), world.resync(&[])], [0, 1], "of one it is");

    let mut world = World::new();
    world.attribution.set_scopes(scopes(&["mock-project", "p"]), false, world.now);
    world.deliver("m", creation(nameless()));
    assert_eq!([world.resync(&[]), world.resync(&[])], [0, 0]);
    let unseen = Unseen::default();
    list(&mut world, "p", &[node_of("p", 1)], &unseen);
    assert_eq!(counts(&mut world), (1, 1), "its own project's listing completes it");
    assert_eq!([list(&mut world, "p", &[], &unseen), list(&mut world, "p", &[], &unseen)], [0, 1]);
}

#[test]
fn it_is_seeded_when_each_scope_was_tried() {
    let mut world = World::unseeded();
    let now = world.now;
    world.attribution.set_scopes(scopes(&["mock-project", "p"]), true, now);
    world.resync(&[]);
    world.attribution.fail_resync(&Scope::project("p"));
    assert!(!world.attribution.is_seeded(), "others are being searched for");
    world.attribution.set_scopes(scopes(&["mock-project", "p", "q"]), false, now);
    assert!(!world.attribution.is_seeded());
    world.attribution.fail_resync(&Scope::project("q"));
    assert!(world.attribution.is_seeded());
    world.attribution.set_scopes(scopes(&["mock-project", "r"]), false, now);
    assert!(world.attribution.is_seeded(), "one that comes later does not take it back");
}

/// Projects: one that is always listed, one that fails for ever, one that comes late and one that is removed.
const PROJECTS: [&str; 4] = ["mock-project", "failing", "late", "removed"];
const INSTANCES: u64 = 8;

fn project_of(instance: u64) -> usize {
    instance as usize % PROJECTS.len()
}

#[derive(Debug, Clone)]
enum Step {
    Create(u64),
    /// Events go on to refer to an instance.
    FinishCreation(u64),
    Begin(usize),
    /// An instance is listed by its project.
    List(u64),
    /// The listing ends; whether it could see the zone.
    Finish(usize, bool),
    Fail(usize),
    /// A project joins the scopes or leaves them.
    SetListed(usize, bool),
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..INSTANCES).prop_map(Step::Create),
        1 => (0..INSTANCES).prop_map(Step::FinishCreation),
        4 => (0..PROJECTS.len()).prop_map(Step::Begin),
        4 => (0..INSTANCES).prop_map(Step::List),
        5 => (0..PROJECTS.len(), prop::bool::weighted(0.8)).prop_map(|(project, seen)| Step::Finish(project, seen)),
        1 => (0..PROJECTS.len()).prop_map(Step::Fail),
        2 => (2..PROJECTS.len(), any::<bool>()).prop_map(|(project, listed)| Step::SetListed(project, listed)),
        2 => (1..30_u64).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 1..60)
}

#[derive(Debug, Default)]
struct Model {
    now: u64,
    listed: BTreeSet<usize>,
    running: BTreeSet<usize>,
    known: BTreeMap<u64, Known>,
}

#[derive(Debug, Default)]
struct Known {
    is_outstanding: bool,
    misses: u8,
    last_sign: u64,
}

impl Model {
    fn sign(&mut self, instance: u64) {
        self.known.insert(instance, Known { last_sign: self.now, ..Known::default() });
    }

    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Create(instance) => self.sign(instance),
            Step::FinishCreation(_) => {}
            Step::Begin(project) if self.listed.contains(&project) => {
                self.running.insert(project);
                for (_, known) in self.known.iter_mut().filter(|(id, _)| project_of(**id) == project) {
                    known.is_outstanding = true;
                }
            }
            Step::List(instance) => self.sign(instance),
            Step::Finish(project, is_seen) => {
                if self.running.remove(&project) && is_seen {
                    for (_, known) in self.known.iter_mut().filter(|(id, _)| project_of(**id) == project) {
                        known.misses += u8::from(known.is_outstanding);
                    }
                    self.known.retain(|id, known| project_of(*id) != project || known.misses < 2);
                }
            }
            Step::SetListed(project, is_listed) => {
                let was_listed = self.listed.contains(&project);
                if is_listed {
                    self.listed.insert(project);
                } else {
                    self.listed.remove(&project);
                    self.running.remove(&project);
                }
                let now = self.now;
                for (_, known) in self.known.iter_mut().filter(|(id, _)| project_of(**id) == project) {
                    if was_listed && !is_listed {
                        known.last_sign = now;
                    }
                    if is_listed && !was_listed {
                        *known = Known { last_sign: now, ..Known::default() };
                    }
                }
            }
            Step::Pass(hours) => {
                self.now += hours;
                let (now, listed) = (self.now, &self.listed);
                self.known
                    .retain(|id, known| listed.contains(&project_of(*id)) || now - known.last_sign < 24);
            }
            Step::Begin(_) | Step::Fail(_) => {}
        }
    }
}

fn apply(world: &mut World, step: &Step, listed: &BTreeSet<usize>) {
    let scope = |project: usize| Scope::project(PROJECTS[project]);
    match *step {
        Step::Create(id) => {
            world.deliver(&world.tokens().to_string(), creation(node_of(PROJECTS[project_of(id)], id + 1)));
        }
        Step::FinishCreation(id) => {
            let instance = node_of(PROJECTS[project_of(id)], id + 1).instance;
            world.deliver("", entry(spot_interruption_exporter::event::Event::CreationFinished(instance)));
        }
        Step::Begin(project) => {
            let moment = world.moment();
            world.attribution.begin_resync(&scope(project), moment);
        }
        Step::List(id) => {
            let project = project_of(id);
            world.attribution.list(&scope(project), &node_of(PROJECTS[project], id + 1), world.now);
        }
        Step::Finish(project, is_seen) => {
            let mut unseen = Unseen::default();
            if !is_seen {
                unseen.add_zone("europe-west1");
            }
            world.attribution.finish_resync(&scope(project), &unseen, world.now);
        }
        Step::Fail(project) => world.attribution.fail_resync(&scope(project)),
        Step::SetListed(..) => {
            let scopes: Vec<Scope> = listed.iter().map(|project| scope(*project)).collect();
            world.attribution.set_scopes(scopes, false, world.now);
        }
        Step::Pass(hours) => {
            world.pass(Duration::ZERO);
            world.pass(HOUR * u32::try_from(hours).unwrap());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Listings of projects in any order, with failures, and projects that come and go.
    #[test]
    fn only_its_own_listings_and_time_take_an_instance_away(steps in steps()) {
        let mut world = World::unseeded();
        let mut model = Model::default();
        model.listed.extend([0, 1, 3]);
        apply(&mut world, &Step::SetListed(0, true), &model.listed);
        for (number, step) in steps.iter().enumerate() {
            // The failing project is never listed to its end.
            if matches!(step, Step::Finish(1, _)) {
                continue;
            }
            model.apply(step);
            apply(&mut world, step, &model.listed);
            let expected = model.known.len();
            prop_assert_eq!(world.known(), expected, "step {}: {:?}", number, step);
            prop_assert_eq!(world.spot_running() as usize, expected, "step {}: {:?}", number, step);
        }
    }
}
