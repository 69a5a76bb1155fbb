//! Interruptions of unknown instances are held until their instance is known or the grace ends.

use super::*;

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
