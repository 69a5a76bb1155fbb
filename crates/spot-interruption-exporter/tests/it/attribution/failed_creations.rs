//! Failed creations.

use super::*;

#[test]
fn a_failed_creation_stops_its_instance() {
    let mut fixture = Fixture::new();
    fixture.deliver("m1", creation(node(1, "n1", "a")));
    assert_eq!(
        fixture.deliver("m2", failure(named(1, "n1"))),
        outcomes(&[(2, "creation failed: stockout in a")])
    );
    assert_eq!(fixture.spot_running(), 0);

    fixture.deliver("m3", creation(node(2, "n1", "a")));
    fixture.deliver("m4", failure(named(0, "n1")));
    fixture.deliver("m5", failure(named(3, "n1")));
    assert_eq!(fixture.spot_running(), 1, "a failure without this id does not stop the instance");
}

/// The entry of a rejected creation, with its request.
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
fn counts_a_failed_creation_once_without_registering_its_cluster() {
    let mut fixture = Fixture::new();
    let failed = |insert_id, operation_id| {
        logged(insert_id, operation_id, entry(Event::CreationFailed(refused(node(0, "n1", "a")))))
    };
    let counted = "creation failed: quota in a";
    assert_eq!(fixture.deliver("m1", failed("i1", "op")), outcomes(&[(1, counted)]));
    assert_eq!(fixture.deliver("m2", failed("i2", "op")), outcomes(&[(2, "duplicate")]), "the last entry");
    assert_eq!(fixture.deliver("m1", failed("i1", "op")), outcomes(&[(3, "duplicate")]), "a redelivery");
    assert_eq!(fixture.deliver("m3", failed("i3", "op 2")), outcomes(&[(4, counted)]), "the next attempt");
    assert_eq!((fixture.clusters().len(), fixture.known(), fixture.spot_running()), (0, 0, 0));

    // The first node that is created registers the cluster, although the failures had the same labels.
    fixture.deliver("m4", creation(node(7, "n1", "a")));
    assert_eq!((fixture.clusters(), fixture.spot_running()), (vec!["a"], 1));
}

#[test]
fn counts_the_failure_after_the_first_entry_of_a_creation() {
    let mut fixture = Fixture::new();
    fixture.deliver("m1", logged("i1", "op", creation(node(1, "n1", "a"))));
    let last = logged("i2", "op", failure(named(1, "n1")));
    assert_eq!(fixture.deliver("m2", last.clone()), outcomes(&[(2, "creation failed: stockout in a")]));
    assert_eq!(fixture.deliver("m3", last), outcomes(&[(3, "duplicate")]));
}

#[test]
fn ignores_failed_creations_outside_spot_node_pools() {
    let mut fixture = Fixture::new();
    let ignored = "ignored failed_creation";
    let on_demand = FailedCreation { on_demand: true, ..refused(node(1, "n1", "a")) };
    for (failed, why) in [
        (on_demand, "on demand"),
        (refused(outside_cluster(2, "n2")), "outside any cluster"),
        (
            FailedCreation { is_described: false, ..refused(outside_cluster(3, "n3")) },
            "the instance is not described",
        ),
    ] {
        let token = fixture.tokens() + 1;
        let outcome = fixture.deliver(&token.to_string(), entry(Event::CreationFailed(failed)));
        assert_eq!(outcome, outcomes(&[(token, ignored)]), "{why}");
    }
    let known = Instance { spot: false, ..node(4, "n4", "a") };
    fixture.deliver("m4", creation(known));
    assert_eq!(
        fixture.deliver("m5", failure(named(4, "n4"))),
        outcomes(&[(5, ignored)]),
        "known as on demand"
    );
}
