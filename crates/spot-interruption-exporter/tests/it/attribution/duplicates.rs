//! Duplicate events, and the window in which they are recognised.

use super::*;

#[test]
fn counts_an_event_once() {
    let mut fixture = Fixture::new();
    fixture.deliver("m1", creation(node(1, "n1", "a")));
    let event = || logged("i1", "op1", interruption(named(1, "n1")));
    assert_eq!(fixture.deliver("m2", event()), outcomes(&[(2, "counted a")]));
    assert_eq!(fixture.deliver("m2", event()), outcomes(&[(3, "duplicate")]), "redelivered");
    assert_eq!(fixture.deliver("m3", event()), outcomes(&[(4, "duplicate")]), "published again");

    let other_operation = logged("i1", "op2", interruption(named(1, "n1")));
    assert_eq!(fixture.deliver("m4", other_operation), outcomes(&[(5, "counted a")]));
    let other_entry = logged("i2", "op1", interruption(named(1, "n1")));
    assert_eq!(fixture.deliver("m5", other_entry), outcomes(&[(6, "duplicate")]), "same operation");
    let no_operation = Entry { operation_id: None, ..event() };
    assert_eq!(fixture.deliver("m6", no_operation.clone()), outcomes(&[(7, "counted a")]));
    assert_eq!(fixture.deliver("m7", no_operation), outcomes(&[(8, "duplicate")]));
}

#[test]
fn distinguishes_messages_without_insert_id_by_message_id() {
    let mut fixture = Fixture::new();
    fixture.deliver("m1", creation(node(1, "n1", "a")));
    let event = || interruption(named(1, "n1"));
    assert_eq!(fixture.deliver("m2", event()), outcomes(&[(2, "counted a")]));
    assert_eq!(fixture.deliver("m3", event()), outcomes(&[(3, "counted a")]));
    assert_eq!(fixture.deliver("m2", event()), outcomes(&[(4, "duplicate")]));
    let same_operation = || Entry { operation_id: Some("op".into()), ..event() };
    assert_eq!(fixture.deliver("m4", same_operation()), outcomes(&[(5, "counted a")]));
    assert_eq!(fixture.deliver("m5", same_operation()), outcomes(&[(6, "duplicate")]));
}

#[test]
fn recognises_duplicates_within_the_window() {
    let mut fixture = Fixture::new();
    fixture.list_all(&[node(1, "n1", "a")]);
    let event = || logged("i1", "op1", interruption(named(1, "n1")));
    fixture.deliver("m1", event());
    fixture.advance(WINDOW - SECOND);
    assert_eq!(fixture.deliver("m1", event()), outcomes(&[(2, "duplicate")]));
    fixture.list_all(&[node(1, "n1", "a")]);
    fixture.advance(SECOND);
    assert_eq!(fixture.deliver("m1", event()), outcomes(&[(3, "counted a")]));
}

#[test]
fn counts_a_redelivered_held_event_once() {
    let mut fixture = Fixture::new();
    let event = || logged("i1", "op1", interruption(named(1, "n1")));
    fixture.deliver("m1", event());
    assert_eq!(fixture.deliver("m1", event()), outcomes(&[]), "a held duplicate is not acknowledged");
    assert_eq!(fixture.deliver("m2", event()), outcomes(&[]));
    assert_eq!(fixture.attribution.held_interruptions(), 1);
    let settled = fixture.deliver("m3", creation(node(1, "n1", "a")));
    assert_eq!(settled, outcomes(&[(4, "added"), (1, "counted a"), (2, "duplicate"), (3, "duplicate")]));
    assert_eq!(fixture.deliver("m1", event()), outcomes(&[(5, "duplicate")]));
}

#[test]
fn a_duplicate_does_not_extend_the_grace() {
    let mut fixture = Fixture::new();
    let event = || logged("i1", "op1", interruption(named(1, "n1")));
    fixture.deliver("m1", event());
    fixture.advance(GRACE - SECOND);
    fixture.deliver("m1", event());
    assert_eq!(fixture.advance(SECOND), outcomes(&[(1, "unattributed"), (2, "duplicate")]));
}

#[test]
fn message_ids_are_separate_for_each_subscription() {
    let mut fixture = Fixture::new();
    assert_eq!(fixture.deliver("1", creation(node(1, "n1", "a"))), outcomes(&[(1, "added")]));
    assert_eq!(fixture.deliver("1", interruption(named(1, "n1"))), outcomes(&[(2, "counted a")]));
    assert_eq!(fixture.deliver("1", creation(node(1, "n1", "a"))), outcomes(&[(3, "duplicate")]));
}

#[test]
fn counts_each_of_two_instances_with_one_insert_id() {
    let mut fixture = Fixture::new();
    fixture.list_all(&[node(1, "n1", "a"), node(2, "n2", "a")]);
    let event = |id, name| Entry { insert_id: Some("i".into()), ..interruption(named(id, name)) };
    assert_eq!(fixture.deliver("m1", event(1, "n1")), outcomes(&[(1, "counted a")]));
    assert_eq!(fixture.deliver("m2", event(2, "n2")), outcomes(&[(2, "counted a")]));
    assert_eq!(fixture.deliver("m3", event(2, "n2")), outcomes(&[(3, "duplicate")]));
}

#[test]
fn counts_the_entries_of_one_operation_once() {
    let mut fixture = Fixture::new();
    fixture.list_all(&[node(1, "n1", "a")]);
    let first = logged("i1", "op", lost("delete", 1, "n1"));
    let last = logged("i2", "op", lost("delete", 1, "n1"));
    assert_eq!(fixture.deliver("m1", first), outcomes(&[(1, "counted a")]));
    assert_eq!(fixture.deliver("m2", last), outcomes(&[(2, "duplicate")]));
}

/// In either order of the methods, for an instance that is known, held or never found.
#[test]
fn counts_an_interruption_reported_by_two_methods_once() {
    for methods in [["preempted", "delete"], ["delete", "preempted"]] {
        let deliver = |fixture: &mut Fixture, number: usize, id| {
            let text = format!("{number}");
            fixture.deliver(&text, logged(&text, &text, lost(methods[number % 2], id, "n")))
        };
        let mut fixture = Fixture::new();
        fixture.list_all(&[node(1, "n", "a")]);
        assert_eq!(deliver(&mut fixture, 0, 1), outcomes(&[(1, "counted a")]));
        assert_eq!(deliver(&mut fixture, 1, 1), outcomes(&[(2, "duplicate")]));
        // A second event of the same method is another interruption: the instance was started in between.
        assert_eq!(deliver(&mut fixture, 2, 1), outcomes(&[(3, "counted a")]));
        assert_eq!(deliver(&mut fixture, 3, 1), outcomes(&[(4, "duplicate")]));

        let mut fixture = Fixture::new();
        deliver(&mut fixture, 0, 2);
        deliver(&mut fixture, 1, 2);
        assert_eq!(fixture.list_one(&node(2, "n", "a")), outcomes(&[(1, "counted a"), (2, "duplicate")]));

        let mut fixture = Fixture::new();
        deliver(&mut fixture, 0, 3);
        deliver(&mut fixture, 1, 3);
        deliver(&mut fixture, 3, 4);
        assert_eq!(
            fixture.advance(GRACE),
            outcomes(&[(1, "unattributed"), (2, "duplicate"), (3, "unattributed")])
        );
    }
}

/// Until the count is committed, the message is not acknowledged and can be redelivered at any time.
#[test]
fn the_window_begins_when_the_count_is_committed() {
    let mut fixture = Fixture::new();
    fixture.list_all(&[node(1, "n", "a")]);
    let event = || logged("i", "op", interruption(named(1, "n")));
    fixture.attribution.message("m1", Ok(event()), 1, fixture.now);
    for _ in 0..3 {
        fixture.now += WINDOW;
        fixture.attribution.tick(fixture.now);
        fixture.attribution.message("m1", Ok(event()), 2, fixture.now);
    }
    let resolved = fixture.resolved();
    assert_eq!(resolved[0].1, "counted a");
    assert!(resolved.len() == 4 && resolved[1..].iter().all(|(_, outcome)| outcome == "duplicate"));
    fixture.advance(WINDOW - Duration::from_secs(1));
    assert_eq!(fixture.deliver("m1", event()), outcomes(&[(1, "duplicate")]));
    fixture.advance(Duration::from_secs(1));
    fixture.list_all(&[node(1, "n", "a")]);
    assert_eq!(fixture.deliver("m1", event()), outcomes(&[(2, "counted a")]));
}

/// Entries that were decided before an uncommitted duplicate are kept with it.
#[test]
fn keeps_entries_while_a_duplicate_is_not_committed() {
    let mut fixture = Fixture::new();
    fixture.list_all(&[node(1, "n", "a")]);
    let event = || logged("i", "op", interruption(named(1, "n")));
    fixture.deliver("m1", event());
    fixture.now += WINDOW / 2;
    fixture.attribution.message("m1", Ok(event()), 2, fixture.now);
    fixture.now += WINDOW;
    fixture.attribution.tick(fixture.now);
    fixture.attribution.message("m1", Ok(event()), 3, fixture.now);
    assert_eq!(fixture.resolved(), outcomes(&[(2, "duplicate"), (3, "duplicate")]));
}

/// Queued messages may have been delivered before the count was committed.
#[test]
fn keeps_entries_while_messages_are_queued() {
    let mut fixture = Fixture::new();
    fixture.list_all(&[node(1, "n", "a")]);
    let event = || logged("i", "op", interruption(named(1, "n")));
    fixture.deliver("m1", event());
    for _ in 0..3 {
        fixture.attribution.note_backlog(true, fixture.now);
        fixture.advance(WINDOW);
    }
    assert_eq!(fixture.deliver("m1", event()), outcomes(&[(2, "duplicate")]));
    fixture.attribution.note_backlog(false, fixture.now);
    fixture.advance(Duration::from_secs(1));
    fixture.list_all(&[node(1, "n", "a")]);
    assert_eq!(fixture.deliver("m1", event()), outcomes(&[(3, "counted a")]), "the queue is empty");
}
