//! Failed creations.

use super::*;

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
