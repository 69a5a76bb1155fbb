//! Held messages that are returned to Pub/Sub.

use super::*;

#[test]
fn a_returned_message_is_held_for_the_rest_of_its_grace() {
    let mut fixture = Fixture::new();
    let event = |id| interruption(named(id, "n"));
    fixture.deliver("m1", event(1));
    fixture.advance(Duration::from_secs(10));
    fixture.deliver("m2", event(2));
    fixture.deliver("m1", event(1));
    assert!(fixture.lookup().is_some());
    let give_back = |fixture: &mut Fixture| fixture.attribution.give_back(fixture.now, |_, _| Choice::Return);

    let oldest = fixture
        .attribution
        .give_back(fixture.now, |token, _| if *token == 1 { Choice::Return } else { Choice::Stop });
    assert_eq!(oldest, [1, 3], "both deliveries of the message");
    assert_eq!(fixture.attribution.held_interruptions(), 1);
    assert_eq!(fixture.deliver("m1", event(1)), outcomes(&[]));
    assert_eq!(give_back(&mut fixture), [2], "m1 is not returned twice within 10 s");
    let looked_up: Vec<_> = std::iter::from_fn(|| fixture.lookup()).map(|lookup| lookup.instance).collect();
    assert_eq!(looked_up, [] as [String; 0], "m1 was looked up before, and m2 is not held");
    fixture.deliver("m2", event(2));
    assert_eq!(fixture.lookup().map(|lookup| lookup.instance).as_deref(), Some("n"));
    fixture.advance(GRACE - Duration::from_secs(11));
    assert_eq!(fixture.advance(Duration::from_secs(1)), outcomes(&[(4, "unattributed")]));
    assert_eq!(fixture.advance(Duration::from_secs(10)), outcomes(&[(5, "unattributed")]));
    assert_eq!(fixture.deliver("m1", event(1)), outcomes(&[(6, "duplicate")]));
}

#[test]
fn resolves_a_returned_message_redelivered_after_its_grace() {
    let mut fixture = Fixture::new();
    fixture.deliver("m1", interruption(named(1, "n")));
    assert_eq!(fixture.attribution.give_back(fixture.now, |_, _| Choice::Return), [1]);
    fixture.advance(GRACE + Duration::from_secs(1));
    assert_eq!(fixture.deliver("m1", interruption(named(1, "n"))), outcomes(&[(2, "unattributed")]));
}

#[test]
fn returns_a_message_at_most_five_times() {
    let mut fixture = Fixture::with_window(WINDOW);
    fixture.settings.attribution_grace = Duration::from_secs(1_000);
    fixture.attribution = spot_interruption_exporter::attribution::Attribution::new(fixture.settings.clone());
    let mut times = 0;
    for _ in 0..20 {
        if fixture.attribution.held_interruptions() == 0 {
            fixture.deliver("m1", interruption(named(1, "n")));
        }
        times += fixture.attribution.give_back(fixture.now, |_, _| Choice::Return).len();
        fixture.advance(Duration::from_secs(10));
    }
    assert_eq!(times, 5);
    assert_eq!(fixture.attribution.held_interruptions(), 1);
}
