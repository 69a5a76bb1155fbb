//! What the contract says about attribution, one rule a test.

use std::time::Duration;

use spot_interruption_exporter::attribution::Outcome;
use spot_interruption_exporter::event::{Entry, Event, FailedCreation, FailureReason, Ignored};
use spot_interruption_exporter::instance::{Instance, InstanceId, InstanceRef};
use spot_interruption_exporter::provider::google::audit_log;

use crate::world::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn an_interruption_of_a_known_instance_counts_for_its_cluster() {
    let mut world = World::new();
    assert_eq!(world.deliver("m1", creation(node(1, "n1", "a"))), words(&[(1, "added")]));
    assert_eq!(world.deliver("m2", interruption(named(1, "n1"))), words(&[(2, "counted a")]));
}

#[test]
fn it_is_counted_in_detail() {
    let mut world = World::new();
    let details = Instance {
        location: Some("europe-west1".into()),
        node_pool: Some("pool".into()),
        machine_type: Some("n2-standard-8".into()),
        created_at: at(0),
        ..node(1, "n1", "a")
    };
    world.deliver("m1", creation(details));
    let event = Entry { timestamp: at(7200), ..interruption(named(1, "n1")) };
    world.attribution.message("m2", Ok(event), 2, world.now);
    let [(2, Outcome::Counted(counted))] = world.outcomes()[..] else { panic!() };
    assert_eq!(counted.at, at(7200));
    assert_eq!(counted.lifetime, Some(Duration::from_secs(7200)));
    let profile = world.profile(counted);
    let labels =
        [&profile.cluster, &profile.location, &profile.node_pool, &profile.machine_type, &profile.zone];
    assert_eq!(labels.map(|label| &**label), ["a", "europe-west1", "pool", "n2-standard-8", ZONE]);
    assert_eq!(&*profile.project, "mock-project");
}

#[test]
fn an_age_below_zero_is_none() {
    let mut world = World::new();
    world.deliver("m1", creation(Instance { created_at: at(10), ..node(1, "n1", "a") }));
    let event = Entry { timestamp: at(9), ..interruption(named(1, "n1")) };
    world.attribution.message("m2", Ok(event), 2, world.now);
    let [(2, Outcome::Counted(counted))] = world.outcomes()[..] else { panic!() };
    assert_eq!(counted.lifetime, None);
}

#[test]
fn a_listed_instance_is_known_too() {
    let mut world = World::unseeded();
    assert!(!world.attribution.is_seeded());
    world.resync(&[node(1, "n1", "a")]);
    assert!(world.attribution.is_seeded());
    assert_eq!(world.deliver("m1", interruption(named(1, "n1"))), words(&[(1, "counted a")]));
}

#[test]
fn the_id_decides_where_both_sides_have_one() {
    let mut world = World::new();
    world.deliver("m1", creation(node(1, "n1", "a")));
    assert_eq!(
        world.deliver("m2", interruption(named(2, "n1"))),
        words(&[]),
        "another instance of that name"
    );
    assert_eq!(world.deliver("m3", interruption(named(1, "another-name"))), words(&[(3, "counted a")]));
    assert_eq!(world.pass(GRACE), words(&[(2, "unattributed")]));
}

#[test]
fn zone_and_name_decide_where_one_side_has_no_id() {
    let mut world = World::new();
    world.deliver("m1", creation(node(0, "n1", "a")));
    world.deliver("m2", creation(node(2, "n2", "b")));
    assert_eq!(world.deliver("m3", interruption(named(7, "n1"))), words(&[(3, "counted a")]));
    assert_eq!(world.deliver("m4", interruption(named(0, "n2"))), words(&[(4, "counted b")]));

    let elsewhere = InstanceRef { zone: Some("us-east1-b".into()), ..named(0, "n2") };
    assert_eq!(world.deliver("m5", interruption(elsewhere)), words(&[]));
}

#[test]
fn an_instance_known_by_name_learns_its_id() {
    let mut world = World::new();
    world.deliver("m1", creation(node(0, "n1", "a")));
    world.resync(&[node(1, "n1", "a")]);
    assert_eq!(world.known(), 1);
    assert_eq!(world.deliver("m2", interruption(named(2, "n1"))), words(&[]), "it is another one's by now");
    assert_eq!(world.deliver("m3", interruption(named(1, "n1"))), words(&[(3, "counted a")]));

    world.deliver("m4", creation(node(0, "n4", "a")));
    let end = entry(Event::CreationFinished(named(4, "n4")));
    assert_eq!(world.deliver("m5", end), words(&[(5, "ignored operation_end")]));
    let by_id = InstanceRef { id: InstanceId::new(4), ..InstanceRef::default() };
    assert_eq!(world.deliver("m6", interruption(by_id)), words(&[(6, "counted a")]));
}

#[test]
fn first_and_last_entry_and_listing_are_one_instance() {
    let mut world = World::new();
    world.deliver("m1", logged("i1", "op", creation(node(1, "n1", "a"))));
    world.deliver("m2", logged("i2", "op", entry(Event::CreationFinished(named(1, "n1")))));
    world.resync(&[node(1, "n1", "a")]);
    assert_eq!((world.known(), world.spot_running()), (1, 1));
}

#[test]
fn a_name_means_the_newest_instance() {
    let mut world = World::new();
    world.deliver("m1", creation(Instance { created_at: at(0), ..node(1, "n1", "a") }));
    world.deliver("m2", creation(Instance { created_at: at(60), ..node(2, "n1", "b") }));
    assert_eq!(world.spot_running(), 1, "the first one is gone");
    assert_eq!(world.deliver("m3", interruption(named(0, "n1"))), words(&[(3, "counted b")]));
    assert_eq!(world.deliver("m4", interruption(named(1, "n1"))), words(&[(4, "counted a")]));
}

#[test]
fn a_name_means_the_newest_instance_in_whatever_order_they_become_known() {
    let mut world = World::new();
    world.deliver("m1", creation(Instance { created_at: at(60), ..node(2, "n1", "b") }));
    world.deliver("m2", creation(Instance { created_at: at(0), ..node(1, "n1", "a") }));
    assert_eq!(world.spot_running(), 1);
    assert_eq!(world.deliver("m3", interruption(named(0, "n1"))), words(&[(3, "counted b")]));
    assert_eq!(world.deliver("m4", interruption(named(1, "n1"))), words(&[(4, "counted a")]));
}

#[test]
fn a_successor_takes_the_name_of_an_interrupted_instance() {
    for (first, second) in [(1, 2), (0, 2), (1, 0), (0, 0)] {
        let mut world = World::new();
        world.deliver("m1", creation(node(first, "n1", "a")));
        world.deliver("m2", interruption(named(first, "n1")));
        world.deliver("m3", creation(node(second, "n1", "b")));
        assert_eq!(world.spot_running(), 1, "{first} {second}");
        assert_eq!(world.deliver("m4", interruption(named(0, "n1"))), words(&[(4, "counted b")]));
        assert_eq!(world.spot_running(), 0);
    }
}

#[test]
fn an_outsider_takes_the_name_too() {
    let mut world = World::new();
    world.deliver("m1", creation(node(1, "n1", "a")));
    assert_eq!(world.deliver("m2", creation(outsider(2, "n1"))), words(&[(2, "ignored not_kubernetes")]));
    assert_eq!(world.spot_running(), 0);
    assert_eq!(world.deliver("m3", interruption(named(0, "n1"))), words(&[]));
    assert_eq!(world.deliver("m4", interruption(named(1, "n1"))), words(&[(4, "counted a")]));
    assert_eq!(world.pass(GRACE), words(&[(3, "unattributed")]));
}

#[test]
fn a_projects_number_is_compatible_with_any_id() {
    let numbered = |id, name| InstanceRef { project: None, ..named(id, name) };
    let mut world = World::new();
    world.deliver("m1", creation(Instance { instance: numbered(0, "n1"), ..node(0, "n1", "a") }));
    world.deliver("m2", creation(node(0, "n2", "a")));
    let outcomes = [
        world.deliver("m3", interruption(named(0, "n1"))),
        world.deliver("m4", interruption(numbered(0, "n2"))),
    ];
    assert_eq!(outcomes.concat(), words(&[(3, "counted a"), (4, "counted a")]));
    assert_eq!(&*world.attribution.inventory().profiles()[0].project, "mock-project");
}

#[test]
fn an_instance_of_another_project_is_another_instance() {
    let elsewhere = |id, name| InstanceRef { project: Some("other-project".into()), ..named(id, name) };
    let mut world = World::new();
    world.deliver("m1", creation(node(0, "n1", "a")));
    assert_eq!(world.deliver("m2", interruption(elsewhere(0, "n1"))), words(&[]));
    let settled =
        world.deliver("m3", creation(Instance { instance: elsewhere(0, "n1"), ..node(0, "n1", "b") }));
    assert_eq!(settled, words(&[(3, "added"), (2, "counted b")]));
    assert_eq!(world.deliver("m4", interruption(named(0, "n1"))), words(&[(4, "counted a")]));
    assert_eq!(world.known(), 2);
}

#[test]
fn an_interruption_of_an_unknown_instance_is_held() {
    let mut world = World::new();
    assert_eq!(world.deliver("m1", interruption(named(1, "n1"))), words(&[]));
    assert_eq!(world.attribution.held_interruptions(), 1);
    assert_eq!(world.pass(GRACE - SECOND), words(&[]));
    let settled = world.deliver("m2", creation(node(1, "n1", "a")));
    assert_eq!(settled, words(&[(2, "added"), (1, "counted a")]));
    assert_eq!(world.attribution.held_interruptions(), 0);
    assert_eq!(world.spot_running(), 0, "it was gone before it was known");
}

#[test]
fn a_held_interruption_is_settled_by_whatever_names_its_instance() {
    let by_id = InstanceRef { id: InstanceId::new(1), ..InstanceRef::default() };
    for held in [named(1, "n1"), named(0, "n1"), by_id.clone()] {
        for arriving in [named(1, "n1"), named(0, "n1"), by_id.clone()] {
            let shares_id = held.id.is_some() && arriving.id.is_some();
            let shares_name = held.name.is_some() && arriving.name.is_some();
            let mut world = World::new();
            world.deliver("m1", interruption(held.clone()));
            let settled = world.observe(&Instance { instance: arriving.clone(), ..node(0, "", "a") });
            let expected: &[_] = if shares_id || shares_name { &[(1, "counted a")] } else { &[] };
            assert_eq!(settled, words(expected), "{held:?} {arriving:?}");
        }
    }
}

#[test]
fn the_seed_settles_what_came_before_it() {
    let mut world = World::unseeded();
    world.deliver("m1", interruption(named(1, "n1")));
    world.begin_resync();
    assert_eq!(world.observe(&node(2, "n2", "a")), words(&[]));
    assert_eq!(world.observe(&node(1, "n1", "a")), words(&[(1, "counted a")]));
}

#[test]
fn what_is_unknown_after_the_grace_is_unattributed() {
    let mut world = World::new();
    world.deliver("m1", interruption(named(1, "n1")));
    world.pass(SECOND);
    world.deliver("m2", interruption(named(2, "n2")));
    assert_eq!(world.attribution.next_deadline(world.now), Some(world.now + GRACE - SECOND));
    assert_eq!(world.pass(GRACE - SECOND), words(&[(1, "unattributed")]));
    assert_eq!(world.pass(SECOND), words(&[(2, "unattributed")]));
    assert_eq!(world.attribution.next_deadline(world.now), None);

    let too_late = world.deliver("m3", creation(node(1, "n1", "a")));
    assert_eq!(too_late, words(&[(3, "added")]));
}

#[test]
fn the_grace_ends_by_the_clock_and_not_by_the_tick() {
    let mut world = World::new();
    world.deliver("m1", interruption(named(1, "n1")));
    world.now += GRACE;
    let settled = world.deliver("m2", creation(node(1, "n1", "a")));
    assert_eq!(settled, words(&[(1, "unattributed"), (2, "added")]));
}

#[test]
fn several_interruptions_wait_for_one_instance() {
    let mut world = World::new();
    world.deliver("m1", interruption(named(1, "n1")));
    world.pass(SECOND);
    world.deliver("m2", interruption(named(1, "n1")));
    world.pass(SECOND);
    world.deliver("m3", interruption(named(1, "n1")));
    assert_eq!(world.attribution.held_interruptions(), 3);
    assert_eq!(world.pass(GRACE - 2 * SECOND), words(&[(1, "unattributed")]));
    let settled = world.deliver("m4", creation(node(1, "n1", "a")));
    assert_eq!(settled, words(&[(4, "added"), (2, "counted a"), (3, "counted a")]));
    assert_eq!(world.attribution.held_interruptions(), 0);
}

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

#[test]
fn a_cluster_is_known_from_the_first_that_is_heard_of_it() {
    let mut world = World::new();
    world.deliver("m1", entry(Event::BulkRequest { cluster: Some("bulk".into()) }));
    world.deliver("m2", entry(Event::BulkRequest { cluster: None }));
    world.deliver("m3", creation(node(1, "n1", "created")));
    world.observe(&node(2, "n2", "listed"));
    world.deliver("m4", creation(node(3, "n3", "created")));
    assert_eq!(world.clusters(), ["bulk", "created", "listed"]);
    world.deliver("m5", interruption(named(1, "n1")));
    world.pass(TOMBSTONE);
    assert_eq!(world.clusters().len(), 3, "and stays so");
}

#[test]
fn the_same_event_counts_once() {
    let mut world = World::new();
    world.deliver("m1", creation(node(1, "n1", "a")));
    let event = || logged("i1", "op1", interruption(named(1, "n1")));
    assert_eq!(world.deliver("m2", event()), words(&[(2, "counted a")]));
    assert_eq!(world.deliver("m2", event()), words(&[(3, "duplicate")]), "delivered again");
    assert_eq!(world.deliver("m3", event()), words(&[(4, "duplicate")]), "published again");

    let other_operation = logged("i1", "op2", interruption(named(1, "n1")));
    assert_eq!(world.deliver("m4", other_operation), words(&[(5, "counted a")]));
    let other_entry = logged("i2", "op1", interruption(named(1, "n1")));
    assert_eq!(world.deliver("m5", other_entry), words(&[(6, "duplicate")]), "of the same operation");
    let no_operation = Entry { operation_id: None, ..event() };
    assert_eq!(world.deliver("m6", no_operation.clone()), words(&[(7, "counted a")]));
    assert_eq!(world.deliver("m7", no_operation), words(&[(8, "duplicate")]));
}

#[test]
fn messages_without_an_insert_id_are_distinct_by_message_id() {
    let mut world = World::new();
    world.deliver("m1", creation(node(1, "n1", "a")));
    let event = || interruption(named(1, "n1"));
    assert_eq!(world.deliver("m2", event()), words(&[(2, "counted a")]));
    assert_eq!(world.deliver("m3", event()), words(&[(3, "counted a")]));
    assert_eq!(world.deliver("m2", event()), words(&[(4, "duplicate")]));
    let same_operation = || Entry { operation_id: Some("op".into()), ..event() };
    assert_eq!(world.deliver("m4", same_operation()), words(&[(5, "counted a")]));
    assert_eq!(world.deliver("m5", same_operation()), words(&[(6, "duplicate")]));
}

#[test]
fn an_event_is_recognised_for_the_window() {
    let mut world = World::new();
    world.resync(&[node(1, "n1", "a")]);
    let event = || logged("i1", "op1", interruption(named(1, "n1")));
    world.deliver("m1", event());
    world.pass(WINDOW - SECOND);
    assert_eq!(world.deliver("m1", event()), words(&[(2, "duplicate")]));
    world.resync(&[node(1, "n1", "a")]);
    world.pass(SECOND);
    assert_eq!(world.deliver("m1", event()), words(&[(3, "counted a")]));
}

#[test]
fn a_held_event_that_is_delivered_again_counts_once() {
    let mut world = World::new();
    let event = || logged("i1", "op1", interruption(named(1, "n1")));
    world.deliver("m1", event());
    assert_eq!(world.deliver("m1", event()), words(&[]), "not acknowledged before it has had its effect");
    assert_eq!(world.deliver("m2", event()), words(&[]));
    assert_eq!(world.attribution.held_interruptions(), 1);
    let settled = world.deliver("m3", creation(node(1, "n1", "a")));
    assert_eq!(settled, words(&[(4, "added"), (1, "counted a"), (2, "duplicate"), (3, "duplicate")]));
    assert_eq!(world.deliver("m1", event()), words(&[(5, "duplicate")]));
}

#[test]
fn a_duplicate_of_a_held_event_does_not_prolong_its_grace() {
    let mut world = World::new();
    let event = || logged("i1", "op1", interruption(named(1, "n1")));
    world.deliver("m1", event());
    world.pass(GRACE - SECOND);
    world.deliver("m1", event());
    assert_eq!(world.pass(SECOND), words(&[(1, "unattributed"), (2, "duplicate")]));
}

#[test]
fn the_two_subscriptions_number_their_messages_apart() {
    let mut world = World::new();
    assert_eq!(world.deliver("1", creation(node(1, "n1", "a"))), words(&[(1, "added")]));
    assert_eq!(world.deliver("1", interruption(named(1, "n1"))), words(&[(2, "counted a")]));
    assert_eq!(world.deliver("1", creation(node(1, "n1", "a"))), words(&[(3, "duplicate")]));
}

#[test]
fn a_restart_forgets_what_it_had_not_counted() {
    let event = || logged("i1", "op1", interruption(named(1, "n1")));
    let mut before = World::new();
    assert_eq!(before.deliver("m1", event()), words(&[]));
    drop(before);
    let mut after = World::unseeded();
    assert_eq!(after.deliver("m1", event()), words(&[]));
    assert_eq!(after.observe(&node(1, "n1", "a")), words(&[(1, "counted a")]));
}

#[test]
fn an_interrupted_instance_stays_known_for_a_while() {
    let mut world = World::new();
    world.deliver("m1", creation(Instance { created_at: at(0), ..node(1, "n1", "a") }));
    world.deliver("m2", interruption(named(1, "n1")));
    assert_eq!((world.known(), world.spot_running()), (1, 0));
    assert_eq!(world.attribution.next_deadline(world.now), Some(world.now + TOMBSTONE));
    world.pass(TOMBSTONE - SECOND);

    let again = Entry { timestamp: at(60), ..interruption(named(1, "n1")) };
    world.attribution.message("m3", Ok(again), 3, world.now);
    let [(3, Outcome::Counted(counted))] = world.outcomes()[..] else { panic!() };
    assert_eq!(counted.lifetime, None, "its age belongs to the first interruption");

    world.pass(SECOND);
    assert_eq!(world.known(), 0);
    assert_eq!(world.deliver("m4", interruption(named(1, "n1"))), words(&[]));
}

#[test]
fn a_tombstone_is_not_revived_by_an_early_listing_or_a_late_creation() {
    let mut world = World::new();
    world.deliver("m1", creation(node(1, "n1", "a")));
    world.deliver("m2", interruption(named(1, "n1")));
    world.resync(&[node(1, "n1", "a")]);
    world.deliver("m3", creation(node(1, "n1", "a")));
    assert_eq!((world.known(), world.spot_running()), (1, 0));

    world.pass(TOMBSTONE);
    world.resync(&[node(1, "n1", "a")]);
    assert_eq!((world.known(), world.spot_running()), (1, 1), "it was started again");
}

#[test]
fn an_instance_missing_from_two_resyncs_is_dropped() {
    let mut world = World::new();
    world.deliver("m1", creation(node(1, "n1", "a")));
    assert_eq!(world.resync(&[]), 0);
    assert_eq!(world.known(), 1);
    assert_eq!(world.resync(&[node(2, "n2", "a")]), 1);
    assert_eq!((world.known(), world.spot_running()), (1, 1));
}

#[test]
fn the_two_resyncs_have_to_be_consecutive_and_complete() {
    let mut world = World::new();
    let instance = node(1, "n1", "a");
    world.resync(std::slice::from_ref(&instance));
    world.resync(&[]);
    world.resync(std::slice::from_ref(&instance));
    world.resync(&[]);
    assert_eq!(world.known(), 1);
    for _ in 0..5 {
        world.begin_resync();
    }
    world.begin_resync();
    world.observe(&instance);
    world.begin_resync();
    assert_eq!(world.finish_resync(), 0, "the broken off one has seen it");
    assert_eq!(world.finish_resync(), 0, "none was begun");
    assert_eq!(world.resync(&[]), 1);
}

#[test]
fn a_creation_during_a_resync_is_not_missing_from_it() {
    let mut world = World::new();
    world.begin_resync();
    world.deliver("m1", creation(node(1, "n1", "a")));
    world.finish_resync();
    assert_eq!(world.resync(&[]), 0);
    assert_eq!(world.resync(&[]), 1);
}

#[test]
fn resyncs_do_not_drop_tombstones() {
    let mut world = World::new();
    world.deliver("m1", creation(node(1, "n1", "a")));
    world.deliver("m2", interruption(named(1, "n1")));
    for _ in 0..3 {
        assert_eq!(world.resync(&[]), 0);
    }
    assert_eq!(world.deliver("m3", interruption(named(1, "n1"))), words(&[(3, "counted a")]));
}

#[test]
fn spot_instances_that_run_are_counted_by_profile() {
    let mut world = World::new();
    let on_demand = Instance { spot: false, ..node(1, "n1", "a") };
    let stopped = Instance { running: false, ..node(2, "n2", "a") };
    let (spot, other_pool) =
        (node(3, "n3", "a"), Instance { node_pool: Some("p".into()), ..node(4, "n4", "a") });
    world.resync(&[on_demand, stopped, spot.clone(), other_pool.clone()]);
    assert_eq!(world.attribution.inventory().spot_running(), [1, 1]);

    world.observe(&node(2, "n2", "a"));
    world.observe(&Instance { running: false, ..spot });
    world.observe(&Instance { node_pool: Some("p".into()), ..node(2, "n2", "a") });
    assert_eq!(world.attribution.inventory().spot_running(), [0, 2]);
    world.deliver("m1", interruption(named(4, "n4")));
    assert_eq!(world.attribution.inventory().spot_running(), [0, 1]);
    world.resync(&[]);
    world.resync(&[]);
    assert_eq!(world.attribution.inventory().spot_running(), [0, 0]);
}

#[test]
fn a_sparse_description_does_not_erase_a_rich_one() {
    let mut world = World::new();
    let rich =
        Instance { node_pool: Some("p".into()), machine_type: Some("e2".into()), ..node(1, "n1", "a") };
    world.deliver("m1", creation(rich));
    world.deliver("m2", creation(Instance { spot: false, ..node(1, "n1", "a") }));
    assert_eq!(world.attribution.inventory().profiles().len(), 1);
    assert_eq!(world.spot_running(), 1);
}

#[test]
fn a_creation_that_fails_in_the_end_does_not_run() {
    let mut world = World::new();
    world.deliver("m1", creation(node(1, "n1", "a")));
    assert_eq!(world.deliver("m2", failure(named(1, "n1"))), words(&[(2, "creation failed: stockout in a")]));
    assert_eq!(world.spot_running(), 0);

    world.deliver("m3", creation(node(2, "n1", "a")));
    world.deliver("m4", failure(named(0, "n1")));
    world.deliver("m5", failure(named(3, "n1")));
    assert_eq!(world.spot_running(), 1, "a failure without its id is not known to be its own");
}

/// An entry that repeats the request of a creation that failed.
fn refused(instance: Instance<'_>) -> FailedCreation<'_> {
    FailedCreation {
        instance,
        is_described: true,
        on_demand: false,
        had_begun: false,
        reason: FailureReason::Quota,
    }
}

#[test]
fn a_failed_creation_counts_once_and_makes_no_cluster_known() {
    let mut world = World::new();
    let failed = |insert_id, operation_id| {
        logged(insert_id, operation_id, entry(Event::CreationFailed(refused(node(0, "n1", "a")))))
    };
    let counted = "creation failed: quota in a";
    assert_eq!(world.deliver("m1", failed("i1", "op")), words(&[(1, counted)]));
    assert_eq!(world.deliver("m2", failed("i2", "op")), words(&[(2, "duplicate")]), "the last entry");
    assert_eq!(world.deliver("m1", failed("i1", "op")), words(&[(3, "duplicate")]), "a redelivery");
    assert_eq!(world.deliver("m3", failed("i3", "op 2")), words(&[(4, counted)]), "the next attempt");
    assert_eq!((world.clusters().len(), world.known(), world.spot_running()), (0, 0, 0));

    // The first node that really comes makes it known, though its labels are those of the failures.
    world.deliver("m4", creation(node(7, "n1", "a")));
    assert_eq!((world.clusters(), world.spot_running()), (vec!["a"], 1));
}

#[test]
fn the_announcement_of_a_creation_does_not_hide_its_failure() {
    let mut world = World::new();
    world.deliver("m1", logged("i1", "op", creation(node(1, "n1", "a"))));
    let last = logged("i2", "op", failure(named(1, "n1")));
    assert_eq!(world.deliver("m2", last.clone()), words(&[(2, "creation failed: stockout in a")]));
    assert_eq!(world.deliver("m3", last), words(&[(3, "duplicate")]));
}

#[test]
fn failed_creations_that_are_not_counted() {
    let mut world = World::new();
    let ignored = "ignored failed_creation";
    let on_demand = FailedCreation { on_demand: true, ..refused(node(1, "n1", "a")) };
    for (failed, why) in [
        (on_demand, "on demand"),
        (refused(outsider(2, "n2")), "no node of a cluster"),
        (FailedCreation { is_described: false, ..refused(outsider(3, "n3")) }, "nobody knows what it was"),
    ] {
        let token = world.tokens() + 1;
        let outcome = world.deliver(&token.to_string(), entry(Event::CreationFailed(failed)));
        assert_eq!(outcome, words(&[(token, ignored)]), "{why}");
    }
    let known = Instance { spot: false, ..node(4, "n4", "a") };
    world.deliver("m4", creation(known));
    assert_eq!(world.deliver("m5", failure(named(4, "n4"))), words(&[(5, ignored)]), "known, on demand");
}

#[test]
fn what_is_invalid_or_ignored_comes_back_at_once() {
    let mut world = World::new();
    let invalid = world.deliver_parsed("m1", Err(audit_log::NO_PROTO_PAYLOAD));
    assert_eq!(invalid, words(&[(1, "invalid no_proto_payload")]));
    let ignored = world.deliver("m2", entry(Event::Ignored(Ignored::OtherMethod)));
    assert_eq!(ignored, words(&[(2, "ignored other_method")]));
}

#[test]
fn a_storm_about_one_name_is_worked_off() {
    const EVENTS: u64 = 100_000;
    for ids in [0..1, 1..EVENTS + 1] {
        let mut world = World::new();
        for (number, id) in (0..EVENTS).zip(ids.cycle()) {
            let _ = world.deliver(&number.to_string(), interruption(named(id, "n1")));
        }
        assert_eq!(world.attribution.held_interruptions() as u64, EVENTS);
        while world.lookup().is_some() {}
        let settled = world.observe(&node(1, "n1", "a")).len() as u64;
        assert_eq!(settled + world.pass(GRACE).len() as u64, EVENTS);
        assert_eq!(world.attribution.held_interruptions(), 0);
    }
}
