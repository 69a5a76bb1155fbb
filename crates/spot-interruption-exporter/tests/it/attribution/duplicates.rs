//! Duplicate events, and the window in which they are recognised.

use super::*;

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
