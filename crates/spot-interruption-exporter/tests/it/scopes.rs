//! Listings of several projects, and instances that are in no listing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use spot_interruption_exporter::instance::{Instance, InstanceRef};
use spot_interruption_exporter::inventory::{Scope, UNLISTED_TTL, Unseen};

use crate::fixture::*;

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

/// Makes a listing of a project with the instances `seen`, except the zones that are `unseen`.
fn list(fixture: &mut Fixture, project: &str, seen: &[Instance<'_>], unseen: &Unseen) -> usize {
    let scope = Scope::project(project);
    let moment = fixture.moment();
    fixture.attribution.begin_listing(&scope, moment);
    for instance in seen {
        fixture.attribution.list(&scope, instance, fixture.now);
    }
    fixture.attribution.finish_listing(&scope, unseen, fixture.now)
}

fn counts(fixture: &mut Fixture) -> (usize, u32) {
    (fixture.known(), fixture.spot_running())
}

#[test]
fn a_listing_affects_only_its_own_project() {
    let mut fixture = Fixture::new();
    fixture.deliver("m", creation(node_of("other-project", 1)));
    assert_eq!(counts(&mut fixture), (1, 1));
    for _ in 0..2 {
        fixture.advance(HOUR / 6);
        fixture.list_all(&[]);
        assert_eq!(counts(&mut fixture), (1, 1));
    }
}

#[test]
fn counts_missed_listings_per_project() {
    let mut fixture = Fixture::new();
    fixture.attribution.set_scopes(scopes(&["mock-project", "p"]), false, fixture.now);
    let (ours, theirs) = (node_of("mock-project", 1), node_of("p", 2));
    fixture.list_all(std::slice::from_ref(&ours));
    list(&mut fixture, "p", std::slice::from_ref(&theirs), &Unseen::default());
    assert_eq!(counts(&mut fixture), (2, 2));
    // A listing of `p` that fails, with complete listings of the other project in between.
    let moment = fixture.moment();
    fixture.attribution.begin_listing(&Scope::project("p"), moment);
    assert_eq!([fixture.list_all(&[]), fixture.list_all(&[])], [0, 1]);
    fixture.attribution.fail_listing(&Scope::project("p"));
    assert_eq!(counts(&mut fixture), (1, 1));
    let unseen = Unseen::default();
    assert_eq!([list(&mut fixture, "p", &[], &unseen), list(&mut fixture, "p", &[], &unseen)], [0, 1]);
    assert_eq!(counts(&mut fixture), (0, 0));
}

#[test]
fn keeps_instances_of_zones_that_were_not_listed() {
    let mut fixture = Fixture::new();
    let elsewhere = node_of("mock-project", 2);
    let instance = InstanceRef { zone: Some("us-central1-a".into()), ..elsewhere.instance.clone() };
    let elsewhere = Instance { instance, ..elsewhere };
    fixture.list_all(&[node_of("mock-project", 1), elsewhere]);
    let mut unseen = Unseen::default();
    unseen.add_zone(ZONE);
    for gone in [0, 1, 0, 0] {
        assert_eq!(list(&mut fixture, "mock-project", &[], &unseen), gone);
    }
    assert_eq!(counts(&mut fixture), (1, 1), "the instance in the unlisted zone is kept");
    unseen.add_everything();
    assert_eq!(
        [list(&mut fixture, "mock-project", &[], &unseen), fixture.list_all(&[]), fixture.list_all(&[])],
        [0, 0, 1]
    );
}

#[test]
fn removes_nodes_outside_all_scopes_after_a_day() {
    let mut fixture = Fixture::new();
    fixture.deliver("m1", creation(node_of("p", 1)));
    fixture.advance(UNLISTED_TTL - HOUR);
    fixture.deliver("m2", creation(Instance { created_at: at(9), ..node_of("p", 1) }));
    fixture.advance(Duration::ZERO);
    fixture.advance(UNLISTED_TTL - HOUR);
    assert_eq!(counts(&mut fixture), (1, 1), "a creation event was received again");
    fixture.advance(HOUR);
    assert_eq!(counts(&mut fixture), (0, 0));
}

#[test]
fn follows_projects_that_are_added_and_removed() {
    let mut fixture = Fixture::new();
    fixture.deliver("m", creation(node_of("p", 1)));
    fixture.advance(UNLISTED_TTL / 2);
    assert_eq!(fixture.attribution.take_unlisted(), scopes(&["p"]));
    fixture.attribution.set_scopes(scopes(&["mock-project", "p"]), false, fixture.now);
    fixture.advance(UNLISTED_TTL * 2);
    assert_eq!(counts(&mut fixture), (1, 1), "the project is listed");
    fixture.attribution.set_scopes(scopes(&["mock-project"]), false, fixture.now);
    fixture.advance(UNLISTED_TTL - HOUR);
    assert_eq!(counts(&mut fixture), (1, 1));
    fixture.advance(HOUR);
    assert_eq!(counts(&mut fixture), (0, 0));
    assert_eq!(fixture.attribution.take_unlisted(), [], "each project is reported once");
}

#[test]
fn reports_unlisted_projects_of_interruptions() {
    let mut fixture = Fixture::new();
    for project in ["q", "mock-project", "q"] {
        fixture.deliver(project, interruption(node_of(project, 1).instance));
    }
    assert_eq!(fixture.attribution.take_unlisted(), scopes(&["q"]));
}

#[test]
fn an_instance_without_project_belongs_to_the_only_scope_or_none() {
    let nameless = || {
        let node = node_of("p", 1);
        Instance { instance: InstanceRef { project: None, ..node.instance.clone() }, ..node }
    };
    let mut fixture = Fixture::new();
    fixture.deliver("m", creation(nameless()));
    assert_eq!([fixture.list_all(&[]), fixture.list_all(&[])], [0, 1], "it belongs to the only scope");

    let mut fixture = Fixture::new();
    fixture.attribution.set_scopes(scopes(&["mock-project", "p"]), false, fixture.now);
    fixture.deliver("m", creation(nameless()));
    assert_eq!([fixture.list_all(&[]), fixture.list_all(&[])], [0, 0]);
    let unseen = Unseen::default();
    list(&mut fixture, "p", &[node_of("p", 1)], &unseen);
    assert_eq!(counts(&mut fixture), (1, 1), "the listing of its project adds the project");
    assert_eq!([list(&mut fixture, "p", &[], &unseen), list(&mut fixture, "p", &[], &unseen)], [0, 1]);
}

#[test]
fn the_initial_listing_is_complete_when_every_scope_was_tried() {
    let mut fixture = Fixture::without_listing();
    let now = fixture.now;
    fixture.attribution.set_scopes(scopes(&["mock-project", "p"]), true, now);
    fixture.list_all(&[]);
    fixture.attribution.fail_listing(&Scope::project("p"));
    assert!(!fixture.attribution.is_initial_listing_done(), "discovery is not complete");
    fixture.attribution.set_scopes(scopes(&["mock-project", "p", "q"]), false, now);
    assert!(!fixture.attribution.is_initial_listing_done());
    fixture.attribution.fail_listing(&Scope::project("q"));
    assert!(fixture.attribution.is_initial_listing_done());
    fixture.attribution.set_scopes(scopes(&["mock-project", "r"]), false, now);
    assert!(fixture.attribution.is_initial_listing_done(), "a project added later does not reset it");
}

/// Projects: one that is always listed, one that always fails, one that is added later and one that is removed.
const PROJECTS: [&str; 4] = ["mock-project", "failing", "late", "removed"];
const INSTANCES: u64 = 8;

fn project_of(instance: u64) -> usize {
    instance as usize % PROJECTS.len()
}

#[derive(Debug, Clone)]
enum Step {
    Create(u64),
    /// An event that refers to the instance but is not evidence that it exists.
    FinishCreation(u64),
    Begin(usize),
    /// The listing of its project contains the instance.
    List(u64),
    /// The listing of a project finishes; `true` if the zone was listed.
    Finish(usize, bool),
    Fail(usize),
    /// A project is added to the scopes or removed.
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
    last_seen: u64,
}

impl Model {
    fn see(&mut self, instance: u64) {
        self.known.insert(instance, Known { last_seen: self.now, ..Known::default() });
    }

    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Create(instance) => self.see(instance),
            Step::FinishCreation(_) => {}
            Step::Begin(project) if self.listed.contains(&project) => {
                self.running.insert(project);
                for (_, known) in self.known.iter_mut().filter(|(id, _)| project_of(**id) == project) {
                    known.is_outstanding = true;
                }
            }
            Step::List(instance) => self.see(instance),
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
                        known.last_seen = now;
                    }
                    if is_listed && !was_listed {
                        *known = Known { last_seen: now, ..Known::default() };
                    }
                }
            }
            Step::Pass(hours) => {
                self.now += hours;
                let (now, listed) = (self.now, &self.listed);
                self.known
                    .retain(|id, known| listed.contains(&project_of(*id)) || now - known.last_seen < 24);
            }
            Step::Begin(_) | Step::Fail(_) => {}
        }
    }
}

fn apply(fixture: &mut Fixture, step: &Step, listed: &BTreeSet<usize>) {
    let scope = |project: usize| Scope::project(PROJECTS[project]);
    match *step {
        Step::Create(id) => {
            fixture
                .deliver(&fixture.tokens().to_string(), creation(node_of(PROJECTS[project_of(id)], id + 1)));
        }
        Step::FinishCreation(id) => {
            let instance = node_of(PROJECTS[project_of(id)], id + 1).instance;
            fixture.deliver("", entry(spot_interruption_exporter::event::Event::CreationFinished(instance)));
        }
        Step::Begin(project) => {
            let moment = fixture.moment();
            fixture.attribution.begin_listing(&scope(project), moment);
        }
        Step::List(id) => {
            let project = project_of(id);
            fixture.attribution.list(&scope(project), &node_of(PROJECTS[project], id + 1), fixture.now);
        }
        Step::Finish(project, is_seen) => {
            let mut unseen = Unseen::default();
            if !is_seen {
                unseen.add_zone("europe-west1");
            }
            fixture.attribution.finish_listing(&scope(project), &unseen, fixture.now);
        }
        Step::Fail(project) => fixture.attribution.fail_listing(&scope(project)),
        Step::SetListed(..) => {
            let scopes: Vec<Scope> = listed.iter().map(|project| scope(*project)).collect();
            fixture.attribution.set_scopes(scopes, false, fixture.now);
        }
        Step::Pass(hours) => {
            fixture.advance(Duration::ZERO);
            fixture.advance(HOUR * u32::try_from(hours).unwrap());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Listings of projects in any order, with failures, and projects that are added and removed.
    #[test]
    fn only_its_own_listings_and_time_remove_an_instance(steps in steps()) {
        let mut fixture = Fixture::without_listing();
        let mut model = Model::default();
        model.listed.extend([0, 1, 3]);
        apply(&mut fixture, &Step::SetListed(0, true), &model.listed);
        for (number, step) in steps.iter().enumerate() {
            // The listing of the failing project never finishes.
            if matches!(step, Step::Finish(1, _)) {
                continue;
            }
            model.apply(step);
            apply(&mut fixture, step, &model.listed);
            let expected = model.known.len();
            prop_assert_eq!(fixture.known(), expected, "step {}: {:?}", number, step);
            prop_assert_eq!(fixture.spot_running() as usize, expected, "step {}: {:?}", number, step);
        }
    }
}
