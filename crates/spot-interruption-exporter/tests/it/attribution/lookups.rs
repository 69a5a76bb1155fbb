//! Lookups of unknown instances.

use super::*;

#[test]
fn looks_up_an_unknown_instance_once() {
    let mut fixture = Fixture::new();
    fixture.deliver("m1", interruption(named(1, "n1")));
    fixture.deliver("m2", interruption(named(1, "n1")));
    let lookup = fixture.lookup().unwrap();
    assert_eq!((&*lookup.project, &*lookup.zone, &*lookup.instance), ("mock-project", ZONE, "n1"));
    assert_eq!(lookup.deadline, fixture.now + GRACE);
    assert_eq!(fixture.lookup(), None);

    let preempted = Instance { running: false, ..node(1, "n1", "a") };
    assert_eq!(fixture.found(&lookup, &preempted), outcomes(&[(1, "counted a"), (2, "counted a")]));
}

#[test]
fn delays_lookups_until_the_initial_listing_or_half_the_grace() {
    let mut fixture = Fixture::without_listing();
    fixture.deliver("m1", interruption(named(1, "n1")));
    assert_eq!(fixture.lookup(), None);
    assert_eq!(fixture.attribution.next_deadline(fixture.now), Some(fixture.now + GRACE / 2));
    fixture.advance(GRACE / 2);
    assert!(fixture.lookup().is_some());
    assert_eq!(fixture.attribution.next_deadline(fixture.now), Some(fixture.now + GRACE / 2));

    fixture.deliver("m2", interruption(named(2, "n2")));
    fixture.deliver("m3", interruption(named(3, "n3")));
    fixture.list_all(&[node(2, "n2", "a")]);
    assert_eq!(fixture.lookup().unwrap().instance, "n3", "n1 was looked up and n2 is resolved");
    assert_eq!(fixture.lookup(), None);
}

#[test]
fn looks_up_by_id_without_a_name() {
    let mut fixture = Fixture::new();
    let nameless = InstanceRef { name: None, project: None, ..named(17, "") };
    fixture.deliver("m1", interruption(nameless));
    let lookup = fixture.lookup().unwrap();
    assert_eq!((&*lookup.project, &*lookup.instance), ("mock-project", "17"));

    let without_zone = InstanceRef { id: InstanceId::new(18), ..InstanceRef::default() };
    fixture.deliver("m2", interruption(without_zone));
    assert_eq!(fixture.lookup(), None, "the API requires a zone");
}

#[test]
fn a_lookup_without_a_result_does_not_end_the_grace() {
    let mut fixture = Fixture::new();
    fixture.deliver("m1", interruption(named(1, "n1")));
    fixture.lookup().unwrap();
    fixture.advance(GRACE - SECOND);
    let settled = fixture.deliver("m2", creation(node(1, "n1", "a")));
    assert_eq!(settled, outcomes(&[(2, "added"), (1, "counted a")]));
}

#[test]
fn a_lookup_of_an_instance_without_cluster_ends_the_grace() {
    let mut fixture = Fixture::new();
    fixture.deliver("m1", interruption(named(1, "n1")));
    let lookup = fixture.lookup().unwrap();
    assert_eq!(fixture.found(&lookup, &outside_cluster(1, "n1")), outcomes(&[(1, "unattributed")]));
    assert_eq!(fixture.known(), 0);
}

#[test]
fn a_lookup_can_return_a_newer_instance_of_the_same_name() {
    let mut fixture = Fixture::new();
    fixture.deliver("m1", interruption(named(1, "n1")));
    let lookup = fixture.lookup().unwrap();
    assert_eq!(
        fixture.found(&lookup, &outside_cluster(2, "n1")),
        outcomes(&[]),
        "another instance does not resolve it"
    );
    assert_eq!(fixture.found(&lookup, &node(3, "n1", "a")), outcomes(&[]));
    assert_eq!(fixture.advance(GRACE), outcomes(&[(1, "unattributed")]));
    assert_eq!(fixture.deliver("m2", interruption(named(3, "n1"))), outcomes(&[(2, "counted a")]));
}

#[test]
fn adds_the_instance_of_a_late_lookup() {
    let mut fixture = Fixture::new();
    fixture.deliver("m1", interruption(named(1, "n1")));
    let lookup = fixture.lookup().unwrap();
    fixture.advance(GRACE);
    assert_eq!(fixture.found(&lookup, &node(1, "n1", "a")), outcomes(&[]));
    assert_eq!(fixture.deliver("m2", interruption(named(1, "n1"))), outcomes(&[(2, "counted a")]));
}

#[test]
fn looks_up_an_instance_of_a_bulk_insert_before_adding_it() {
    let mut fixture = Fixture::new();
    let bulk = || entry(Event::UnlabelledCreation(named(1, "n1")));
    assert_eq!(fixture.deliver("m1", bulk()), outcomes(&[]));
    assert_eq!(fixture.attribution.held_interruptions(), 0);
    assert_eq!(fixture.deliver("m2", interruption(named(1, "n1"))), outcomes(&[]));
    let lookup = fixture.lookup().unwrap();
    assert_eq!(fixture.lookup(), None, "one lookup for both messages");
    let found = fixture.found(&lookup, &node(1, "n1", "a"));
    assert_eq!(found, outcomes(&[(1, "added"), (2, "counted a")]));
    assert_eq!(fixture.deliver("m1", bulk()), outcomes(&[(3, "duplicate")]));
    assert_eq!(fixture.deliver("m4", bulk()), outcomes(&[(4, "added")]), "the instance is known");
}

#[test]
fn ignores_instances_of_a_bulk_insert_that_cannot_be_attributed() {
    let mut fixture = Fixture::new();
    fixture.deliver("m1", entry(Event::UnlabelledCreation(named(1, "n1"))));
    let lookup = fixture.lookup().unwrap();
    assert_eq!(fixture.found(&lookup, &outside_cluster(1, "n1")), outcomes(&[(1, "ignored not_kubernetes")]));

    fixture.deliver("m2", entry(Event::UnlabelledCreation(named(2, "n2"))));
    assert_eq!(fixture.advance(GRACE), outcomes(&[(2, "ignored unresolved")]));
}
