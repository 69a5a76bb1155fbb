//! Instances that run again after an interruption.

use super::*;

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
