//! What is one interruption and what is another: by operation, by instance, by method; and what comes back to life.

use std::time::Duration;

use spot_interruption_exporter::attribution::Choice;
use spot_interruption_exporter::event::Entry;
use spot_interruption_exporter::instance::Instance;
use spot_interruption_exporter::provider::google::audit_log::InterruptionMethods;

use crate::world::*;

/// An interruption by one of two configured methods.
fn lost<'a>(method: &str, id: u64, name: &'a str) -> Entry<'a> {
    let methods =
        InterruptionMethods::new(["compute.instances.preempted", "compute.instances.delete"]).unwrap();
    let mut entry = interruption(named(id, name));
    if let spot_interruption_exporter::event::Event::Interruption { reason, .. } = &mut entry.event {
        *reason = methods.reason(&format!("compute.instances.{method}")).unwrap();
    }
    entry
}

#[test]
fn two_instances_under_one_insert_id_are_two_events() {
    let mut world = World::new();
    world.resync(&[node(1, "n1", "a"), node(2, "n2", "a")]);
    let event = |id, name| Entry { insert_id: Some("i".into()), ..interruption(named(id, name)) };
    assert_eq!(world.deliver("m1", event(1, "n1")), words(&[(1, "counted a")]));
    assert_eq!(world.deliver("m2", event(2, "n2")), words(&[(2, "counted a")]));
    assert_eq!(world.deliver("m3", event(2, "n2")), words(&[(3, "duplicate")]));
}

#[test]
fn the_entries_of_one_operation_are_one_event() {
    let mut world = World::new();
    world.resync(&[node(1, "n1", "a")]);
    let first = logged("i1", "op", lost("delete", 1, "n1"));
    let last = logged("i2", "op", lost("delete", 1, "n1"));
    assert_eq!(world.deliver("m1", first), words(&[(1, "counted a")]));
    assert_eq!(world.deliver("m2", last), words(&[(2, "duplicate")]));
}

/// In whatever order the methods tell of it, and whether the instance is known, held or never known.
#[test]
fn one_loss_counts_once() {
    for methods in [["preempted", "delete"], ["delete", "preempted"]] {
        let deliver = |world: &mut World, number: usize, id| {
            let text = format!("{number}");
            world.deliver(&text, logged(&text, &text, lost(methods[number % 2], id, "n")))
        };
        let mut world = World::new();
        world.resync(&[node(1, "n", "a")]);
        assert_eq!(deliver(&mut world, 0, 1), words(&[(1, "counted a")]));
        assert_eq!(deliver(&mut world, 1, 1), words(&[(2, "duplicate")]));
        // By the same method it is another one: in between it was started.
        assert_eq!(deliver(&mut world, 2, 1), words(&[(3, "counted a")]));
        assert_eq!(deliver(&mut world, 3, 1), words(&[(4, "duplicate")]));

        let mut world = World::new();
        deliver(&mut world, 0, 2);
        deliver(&mut world, 1, 2);
        assert_eq!(world.observe(&node(2, "n", "a")), words(&[(1, "counted a"), (2, "duplicate")]));

        let mut world = World::new();
        deliver(&mut world, 0, 3);
        deliver(&mut world, 1, 3);
        deliver(&mut world, 3, 4);
        assert_eq!(world.pass(GRACE), words(&[(1, "unattributed"), (2, "duplicate"), (3, "unattributed")]));
    }
}

#[test]
fn another_method_counts_again_after_the_instance_was_seen_running() {
    let mut world = World::new();
    let nodes = [node(1, "n", "a")];
    world.resync(&nodes);
    let at_once = Entry { timestamp: at(0), ..lost("preempted", 1, "n") };
    assert_eq!(world.deliver("m1", at_once), words(&[(1, "counted a")]));
    world.resync(&nodes);
    assert_eq!(world.spot_running(), 0, "the listing may be older");
    assert_eq!(world.deliver("m2", lost("delete", 1, "n")), words(&[(2, "duplicate")]));
    world.pass(Duration::from_secs(60));
    world.resync(&nodes);
    assert_eq!(world.spot_running(), 1);
    assert_eq!(world.deliver("m3", lost("delete", 1, "n")), words(&[(3, "counted a")]));
}

#[test]
fn a_listing_well_after_the_interruption_brings_an_instance_back_at_once() {
    let mut world = World::new();
    let nodes = [node(1, "n", "a")];
    world.resync(&nodes);
    world.pass(Duration::from_secs(90));
    // Delivered late: the listing begins after it was started again.
    let late = Entry { timestamp: at(20), ..interruption(named(1, "n")) };
    world.deliver("m1", late);
    assert_eq!(world.spot_running(), 0);
    world.resync(&[Instance { running: false, ..node(1, "n", "a") }]);
    assert_eq!(world.spot_running(), 0, "it does not run");
    world.resync(&nodes);
    assert_eq!(world.spot_running(), 1);
    // The tombstone that it no longer has does not take it away.
    world.pass(TOMBSTONE);
    assert_eq!((world.known(), world.spot_running()), (1, 1));
    assert_eq!(world.deliver("m2", interruption(named(1, "n"))), words(&[(2, "counted a")]));
    world.pass(TOMBSTONE - Duration::from_secs(1));
    assert_eq!(world.known(), 1);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.known(), 0);
}

#[test]
fn a_listing_that_was_begun_before_does_not() {
    let mut world = World::new();
    world.resync(&[node(1, "n", "a")]);
    world.begin_resync();
    world.pass(Duration::from_secs(200));
    world.deliver("m1", Entry { timestamp: at(100), ..interruption(named(1, "n")) });
    world.observe(&node(1, "n", "a"));
    world.finish_resync();
    assert_eq!(world.spot_running(), 0);
}

#[test]
fn a_later_creation_under_the_same_id_brings_an_instance_back_at_once() {
    let mut world = World::new();
    let created = |seconds| creation(Instance { created_at: at(seconds), ..node(1, "n", "a") });
    world.deliver("m1", created(0));
    world.deliver("m2", Entry { timestamp: at(100), ..interruption(named(1, "n")) });
    world.deliver("m3", created(99));
    assert_eq!(world.spot_running(), 0, "it was created before");
    world.deliver("m4", created(101));
    assert_eq!((world.known(), world.spot_running()), (1, 1));
    assert_eq!(world.deliver("m5", lost("delete", 1, "n")), words(&[(5, "counted a")]));
}

/// Until it is safe that an event counted, it may come again at any time: it is not acknowledged.
#[test]
fn the_window_begins_when_the_count_is_safe() {
    let mut world = World::new();
    world.resync(&[node(1, "n", "a")]);
    let event = || logged("i", "op", interruption(named(1, "n")));
    world.attribution.message("m1", Ok(event()), 1, world.now);
    for _ in 0..3 {
        world.now += WINDOW;
        world.attribution.tick(world.now);
        world.attribution.message("m1", Ok(event()), 2, world.now);
    }
    let outcomes: Vec<_> = world.resolved();
    assert_eq!(outcomes[0].1, "counted a");
    assert!(outcomes.len() == 4 && outcomes[1..].iter().all(|(_, outcome)| outcome == "duplicate"));
    world.pass(WINDOW - Duration::from_secs(1));
    assert_eq!(world.deliver("m1", event()), words(&[(1, "duplicate")]));
    world.pass(Duration::from_secs(1));
    world.resync(&[node(1, "n", "a")]);
    assert_eq!(world.deliver("m1", event()), words(&[(2, "counted a")]));
}

/// What was decided before something that is not safe yet is remembered with it.
#[test]
fn nothing_is_forgotten_while_a_repetition_is_not_safe() {
    let mut world = World::new();
    world.resync(&[node(1, "n", "a")]);
    let event = || logged("i", "op", interruption(named(1, "n")));
    world.deliver("m1", event());
    world.now += WINDOW / 2;
    world.attribution.message("m1", Ok(event()), 2, world.now);
    world.now += WINDOW;
    world.attribution.tick(world.now);
    world.attribution.message("m1", Ok(event()), 3, world.now);
    assert_eq!(world.resolved(), words(&[(2, "duplicate"), (3, "duplicate")]));
}

/// What waits to be taken may have been delivered before the count was safe.
#[test]
fn nothing_is_forgotten_while_messages_wait_to_be_taken() {
    let mut world = World::new();
    world.resync(&[node(1, "n", "a")]);
    let event = || logged("i", "op", interruption(named(1, "n")));
    world.deliver("m1", event());
    for _ in 0..3 {
        world.attribution.note_backlog(true, world.now);
        world.pass(WINDOW);
    }
    assert_eq!(world.deliver("m1", event()), words(&[(2, "duplicate")]));
    world.attribution.note_backlog(false, world.now);
    world.pass(Duration::from_secs(1));
    world.resync(&[node(1, "n", "a")]);
    assert_eq!(world.deliver("m1", event()), words(&[(3, "counted a")]), "it is worked off");
}

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
