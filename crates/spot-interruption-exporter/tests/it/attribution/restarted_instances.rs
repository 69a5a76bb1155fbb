//! Instances that run again after an interruption.

use super::*;

#[test]
fn counts_another_method_after_the_instance_was_listed_as_running() {
    let mut fixture = Fixture::new();
    let nodes = [node(1, "n", "a")];
    fixture.list_all(&nodes);
    let first = Entry { timestamp: at(0), ..lost("preempted", 1, "n") };
    assert_eq!(fixture.deliver("m1", first), outcomes(&[(1, "counted a")]));
    fixture.list_all(&nodes);
    assert_eq!(fixture.spot_running(), 0, "the listing may have begun before the interruption");
    assert_eq!(fixture.deliver("m2", lost("delete", 1, "n")), outcomes(&[(2, "duplicate")]));
    fixture.advance(Duration::from_secs(60));
    fixture.list_all(&nodes);
    assert_eq!(fixture.spot_running(), 1);
    assert_eq!(fixture.deliver("m3", lost("delete", 1, "n")), outcomes(&[(3, "counted a")]));
}

#[test]
fn a_later_listing_marks_an_instance_as_running() {
    let mut fixture = Fixture::new();
    let nodes = [node(1, "n", "a")];
    fixture.list_all(&nodes);
    fixture.advance(Duration::from_secs(90));
    // Delivered late: the listing begins after the instance was started again.
    let late = Entry { timestamp: at(20), ..interruption(named(1, "n")) };
    fixture.deliver("m1", late);
    assert_eq!(fixture.spot_running(), 0);
    fixture.list_all(&[Instance { running: false, ..node(1, "n", "a") }]);
    assert_eq!(fixture.spot_running(), 0, "the instance is stopped");
    fixture.list_all(&nodes);
    assert_eq!(fixture.spot_running(), 1);
    // The tombstone was removed, so its TTL does not remove the instance.
    fixture.advance(TOMBSTONE);
    assert_eq!((fixture.known(), fixture.spot_running()), (1, 1));
    assert_eq!(fixture.deliver("m2", interruption(named(1, "n"))), outcomes(&[(2, "counted a")]));
    fixture.advance(TOMBSTONE - Duration::from_secs(1));
    assert_eq!(fixture.known(), 1);
    fixture.advance(Duration::from_secs(1));
    assert_eq!(fixture.known(), 0);
}

#[test]
fn a_listing_begun_before_the_interruption_does_not_mark_it_as_running() {
    let mut fixture = Fixture::new();
    fixture.list_all(&[node(1, "n", "a")]);
    fixture.begin_listing();
    fixture.advance(Duration::from_secs(200));
    fixture.deliver("m1", Entry { timestamp: at(100), ..interruption(named(1, "n")) });
    fixture.list_one(&node(1, "n", "a"));
    fixture.finish_listing();
    assert_eq!(fixture.spot_running(), 0);
}

#[test]
fn a_later_creation_with_the_same_id_marks_an_instance_as_running() {
    let mut fixture = Fixture::new();
    let created = |seconds| creation(Instance { created_at: at(seconds), ..node(1, "n", "a") });
    fixture.deliver("m1", created(0));
    fixture.deliver("m2", Entry { timestamp: at(100), ..interruption(named(1, "n")) });
    fixture.deliver("m3", created(99));
    assert_eq!(fixture.spot_running(), 0, "the creation is older than the interruption");
    fixture.deliver("m4", created(101));
    assert_eq!((fixture.known(), fixture.spot_running()), (1, 1));
    assert_eq!(fixture.deliver("m5", lost("delete", 1, "n")), outcomes(&[(5, "counted a")]));
}
