//! Lookups of unknown instances.

use super::*;

#[test]
fn an_unknown_instance_is_looked_up_once() {
    let mut world = World::new();
    world.deliver("m1", interruption(named(1, "n1")));
    world.deliver("m2", interruption(named(1, "n1")));
    let lookup = world.lookup().unwrap();
    assert_eq!((&*lookup.project, &*lookup.zone, &*lookup.instance), ("mock-project", ZONE, "n1"));
    assert_eq!(lookup.deadline, world.now + GRACE);
    assert_eq!(world.lookup(), None);

    let preempted = Instance { running: false, ..node(1, "n1", "a") };
    assert_eq!(world.found(&lookup, &preempted), words(&[(1, "counted a"), (2, "counted a")]));
}

#[test]
fn before_the_seed_there_is_no_hurry_to_look_up() {
    let mut world = World::unseeded();
    world.deliver("m1", interruption(named(1, "n1")));
    assert_eq!(world.lookup(), None);
    assert_eq!(world.attribution.next_deadline(world.now), Some(world.now + GRACE / 2));
    world.pass(GRACE / 2);
    assert!(world.lookup().is_some());
    assert_eq!(world.attribution.next_deadline(world.now), Some(world.now + GRACE / 2));

    world.deliver("m2", interruption(named(2, "n2")));
    world.deliver("m3", interruption(named(3, "n3")));
    world.resync(&[node(2, "n2", "a")]);
    assert_eq!(world.lookup().unwrap().instance, "n3", "the others are settled, or were asked for");
    assert_eq!(world.lookup(), None);
}

#[test]
fn an_instance_without_a_name_is_looked_up_by_its_id() {
    let mut world = World::new();
    let nameless = InstanceRef { name: None, project: None, ..named(17, "") };
    world.deliver("m1", interruption(nameless));
    let lookup = world.lookup().unwrap();
    assert_eq!((&*lookup.project, &*lookup.instance), ("mock-project", "17"));

    let placeless = InstanceRef { id: InstanceId::new(18), ..InstanceRef::default() };
    world.deliver("m2", interruption(placeless));
    assert_eq!(world.lookup(), None, "the API asks by zone");
}

#[test]
fn a_look_up_that_finds_nothing_does_not_end_the_grace() {
    let mut world = World::new();
    world.deliver("m1", interruption(named(1, "n1")));
    world.lookup().unwrap();
    world.pass(GRACE - SECOND);
    let settled = world.deliver("m2", creation(node(1, "n1", "a")));
    assert_eq!(settled, words(&[(2, "added"), (1, "counted a")]));
}

#[test]
fn an_instance_that_belongs_to_no_cluster_is_unattributed_at_once() {
    let mut world = World::new();
    world.deliver("m1", interruption(named(1, "n1")));
    let lookup = world.lookup().unwrap();
    assert_eq!(world.found(&lookup, &outsider(1, "n1")), words(&[(1, "unattributed")]));
    assert_eq!(world.known(), 0);
}

#[test]
fn a_look_up_can_find_a_successor() {
    let mut world = World::new();
    world.deliver("m1", interruption(named(1, "n1")));
    let lookup = world.lookup().unwrap();
    assert_eq!(world.found(&lookup, &outsider(2, "n1")), words(&[]), "another instance, which says nothing");
    assert_eq!(world.found(&lookup, &node(3, "n1", "a")), words(&[]));
    assert_eq!(world.pass(GRACE), words(&[(1, "unattributed")]));
    assert_eq!(world.deliver("m2", interruption(named(3, "n1"))), words(&[(2, "counted a")]));
}

#[test]
fn a_late_look_up_still_makes_the_instance_known() {
    let mut world = World::new();
    world.deliver("m1", interruption(named(1, "n1")));
    let lookup = world.lookup().unwrap();
    world.pass(GRACE);
    assert_eq!(world.found(&lookup, &node(1, "n1", "a")), words(&[]));
    assert_eq!(world.deliver("m2", interruption(named(1, "n1"))), words(&[(2, "counted a")]));
}

#[test]
fn an_instance_of_a_bulk_insert_is_looked_up_before_it_counts_as_added() {
    let mut world = World::new();
    let bulk = || entry(Event::UnlabelledCreation(named(1, "n1")));
    assert_eq!(world.deliver("m1", bulk()), words(&[]));
    assert_eq!(world.attribution.held_interruptions(), 0);
    assert_eq!(world.deliver("m2", interruption(named(1, "n1"))), words(&[]));
    let lookup = world.lookup().unwrap();
    assert_eq!(world.lookup(), None, "one question for both");
    let found = world.found(&lookup, &node(1, "n1", "a"));
    assert_eq!(found, words(&[(1, "added"), (2, "counted a")]));
    assert_eq!(world.deliver("m1", bulk()), words(&[(3, "duplicate")]));
    assert_eq!(world.deliver("m4", bulk()), words(&[(4, "added")]), "known by now");
}

#[test]
fn an_instance_of_a_bulk_insert_can_come_to_nothing() {
    let mut world = World::new();
    world.deliver("m1", entry(Event::UnlabelledCreation(named(1, "n1"))));
    let lookup = world.lookup().unwrap();
    assert_eq!(world.found(&lookup, &outsider(1, "n1")), words(&[(1, "ignored not_kubernetes")]));

    world.deliver("m2", entry(Event::UnlabelledCreation(named(2, "n2"))));
    assert_eq!(world.pass(GRACE), words(&[(2, "ignored unresolved")]));
}
