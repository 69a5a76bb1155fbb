//! Held messages that are returned to Pub/Sub.

use super::*;

#[test]
fn what_is_given_back_is_held_for_the_rest_of_its_time() {
    let mut world = World::new();
    let event = |id| interruption(named(id, "n"));
    world.deliver("m1", event(1));
    world.pass(Duration::from_secs(10));
    world.deliver("m2", event(2));
    world.deliver("m1", event(1));
    assert!(world.lookup().is_some());
    let give_back = |world: &mut World| world.attribution.give_back(world.now, |_, _| Choice::Return);

    let oldest = world
        .attribution
        .give_back(world.now, |token, _| if *token == 1 { Choice::Return } else { Choice::Stop });
    assert_eq!(oldest, [1, 3], "with its other delivery");
    assert_eq!(world.attribution.held_interruptions(), 1);
    assert_eq!(world.deliver("m1", event(1)), words(&[]));
    assert_eq!(give_back(&mut world), [2], "not twice within ten seconds");
    let asked: Vec<_> = std::iter::from_fn(|| world.lookup()).map(|lookup| lookup.instance).collect();
    assert_eq!(asked, [] as [String; 0], "asked for before, and the other one is not there");
    world.deliver("m2", event(2));
    assert_eq!(world.lookup().map(|lookup| lookup.instance).as_deref(), Some("n"));
    world.pass(GRACE - Duration::from_secs(11));
    assert_eq!(world.pass(Duration::from_secs(1)), words(&[(4, "unattributed")]));
    assert_eq!(world.pass(Duration::from_secs(10)), words(&[(5, "unattributed")]));
    assert_eq!(world.deliver("m1", event(1)), words(&[(6, "duplicate")]));
}

#[test]
fn what_comes_again_too_late_is_settled_at_once() {
    let mut world = World::new();
    world.deliver("m1", interruption(named(1, "n")));
    assert_eq!(world.attribution.give_back(world.now, |_, _| Choice::Return), [1]);
    world.pass(GRACE + Duration::from_secs(1));
    assert_eq!(world.deliver("m1", interruption(named(1, "n"))), words(&[(2, "unattributed")]));
}

#[test]
fn nothing_is_given_back_more_than_five_times() {
    let mut world = World::with_window(WINDOW);
    world.settings.attribution_grace = Duration::from_secs(1_000);
    world.attribution = spot_interruption_exporter::attribution::Attribution::new(world.settings.clone());
    let mut times = 0;
    for _ in 0..20 {
        if world.attribution.held_interruptions() == 0 {
            world.deliver("m1", interruption(named(1, "n")));
        }
        times += world.attribution.give_back(world.now, |_, _| Choice::Return).len();
        world.pass(Duration::from_secs(10));
    }
    assert_eq!(times, 5);
    assert_eq!(world.attribution.held_interruptions(), 1);
}
