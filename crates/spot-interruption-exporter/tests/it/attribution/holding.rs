//! Interruptions of unknown instances are held until their instance is known or the grace ends.

use super::*;

#[test]
fn holds_an_interruption_of_an_unknown_instance() {
    let mut fixture = Fixture::new();
    assert_eq!(fixture.deliver("m1", interruption(named(1, "n1"))), outcomes(&[]));
    assert_eq!(fixture.attribution.held_interruptions(), 1);
    assert_eq!(fixture.advance(GRACE - SECOND), outcomes(&[]));
    let settled = fixture.deliver("m2", creation(node(1, "n1", "a")));
    assert_eq!(settled, outcomes(&[(2, "added"), (1, "counted a")]));
    assert_eq!(fixture.attribution.held_interruptions(), 0);
    assert_eq!(fixture.spot_running(), 0, "it was interrupted before it was added");
}

#[test]
fn resolves_a_held_interruption_by_id_or_name() {
    let by_id = InstanceRef { id: InstanceId::new(1), ..InstanceRef::default() };
    for held in [named(1, "n1"), named(0, "n1"), by_id.clone()] {
        for arriving in [named(1, "n1"), named(0, "n1"), by_id.clone()] {
            let shares_id = held.id.is_some() && arriving.id.is_some();
            let shares_name = held.name.is_some() && arriving.name.is_some();
            let mut fixture = Fixture::new();
            fixture.deliver("m1", interruption(held.clone()));
            let settled = fixture.list_one(&Instance { instance: arriving.clone(), ..node(0, "", "a") });
            let expected: &[_] = if shares_id || shares_name { &[(1, "counted a")] } else { &[] };
            assert_eq!(settled, outcomes(expected), "{held:?} {arriving:?}");
        }
    }
}

#[test]
fn the_initial_listing_resolves_held_interruptions() {
    let mut fixture = Fixture::without_listing();
    fixture.deliver("m1", interruption(named(1, "n1")));
    fixture.begin_listing();
    assert_eq!(fixture.list_one(&node(2, "n2", "a")), outcomes(&[]));
    assert_eq!(fixture.list_one(&node(1, "n1", "a")), outcomes(&[(1, "counted a")]));
}

#[test]
fn counts_as_unattributed_after_the_grace() {
    let mut fixture = Fixture::new();
    fixture.deliver("m1", interruption(named(1, "n1")));
    fixture.advance(SECOND);
    fixture.deliver("m2", interruption(named(2, "n2")));
    assert_eq!(fixture.attribution.next_deadline(fixture.now), Some(fixture.now + GRACE - SECOND));
    assert_eq!(fixture.advance(GRACE - SECOND), outcomes(&[(1, "unattributed")]));
    assert_eq!(fixture.advance(SECOND), outcomes(&[(2, "unattributed")]));
    assert_eq!(fixture.attribution.next_deadline(fixture.now), None);

    let too_late = fixture.deliver("m3", creation(node(1, "n1", "a")));
    assert_eq!(too_late, outcomes(&[(3, "added")]));
}

#[test]
fn ends_the_grace_on_time_without_a_tick() {
    let mut fixture = Fixture::new();
    fixture.deliver("m1", interruption(named(1, "n1")));
    fixture.now += GRACE;
    let settled = fixture.deliver("m2", creation(node(1, "n1", "a")));
    assert_eq!(settled, outcomes(&[(1, "unattributed"), (2, "added")]));
}

#[test]
fn holds_several_interruptions_of_one_instance() {
    let mut fixture = Fixture::new();
    fixture.deliver("m1", interruption(named(1, "n1")));
    fixture.advance(SECOND);
    fixture.deliver("m2", interruption(named(1, "n1")));
    fixture.advance(SECOND);
    fixture.deliver("m3", interruption(named(1, "n1")));
    assert_eq!(fixture.attribution.held_interruptions(), 3);
    assert_eq!(fixture.advance(GRACE - 2 * SECOND), outcomes(&[(1, "unattributed")]));
    let settled = fixture.deliver("m4", creation(node(1, "n1", "a")));
    assert_eq!(settled, outcomes(&[(4, "added"), (2, "counted a"), (3, "counted a")]));
    assert_eq!(fixture.attribution.held_interruptions(), 0);
}

#[test]
fn counts_a_held_interruption_after_a_restart() {
    let event = || logged("i1", "op1", interruption(named(1, "n1")));
    let mut before = Fixture::new();
    assert_eq!(before.deliver("m1", event()), outcomes(&[]));
    drop(before);
    let mut after = Fixture::without_listing();
    assert_eq!(after.deliver("m1", event()), outcomes(&[]));
    assert_eq!(after.list_one(&node(1, "n1", "a")), outcomes(&[(1, "counted a")]));
}

#[test]
fn resolves_invalid_and_ignored_messages_immediately() {
    let mut fixture = Fixture::new();
    let invalid = fixture.deliver_parsed("m1", Err(audit_log::NO_PROTO_PAYLOAD));
    assert_eq!(invalid, outcomes(&[(1, "invalid no_proto_payload")]));
    let ignored = fixture.deliver("m2", entry(Event::Ignored(Ignored::OtherMethod)));
    assert_eq!(ignored, outcomes(&[(2, "ignored other_method")]));
}

#[test]
fn resolves_100_000_held_interruptions_of_one_name() {
    const EVENTS: u64 = 100_000;
    for ids in [0..1, 1..EVENTS + 1] {
        let mut fixture = Fixture::new();
        for (number, id) in (0..EVENTS).zip(ids.cycle()) {
            let _ = fixture.deliver(&number.to_string(), interruption(named(id, "n1")));
        }
        assert_eq!(fixture.attribution.held_interruptions() as u64, EVENTS);
        while fixture.lookup().is_some() {}
        let settled = fixture.list_one(&node(1, "n1", "a")).len() as u64;
        assert_eq!(settled + fixture.advance(GRACE).len() as u64, EVENTS);
        assert_eq!(fixture.attribution.held_interruptions(), 0);
    }
}
