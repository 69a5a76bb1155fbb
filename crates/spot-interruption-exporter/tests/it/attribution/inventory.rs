//! Instances and clusters that the inventory knows, tombstones, and listings.

use super::*;

#[test]
fn a_cluster_is_known_from_the_first_that_is_heard_of_it() {
    let mut world = World::new();
    world.deliver("m1", entry(Event::BulkRequest { cluster: Some("bulk".into()) }));
    world.deliver("m2", entry(Event::BulkRequest { cluster: None }));
    world.deliver("m3", creation(node(1, "n1", "created")));
    world.observe(&node(2, "n2", "listed"));
    world.deliver("m4", creation(node(3, "n3", "created")));
    assert_eq!(world.clusters(), ["bulk", "created", "listed"]);
    world.deliver("m5", interruption(named(1, "n1")));
    world.pass(TOMBSTONE);
    assert_eq!(world.clusters().len(), 3, "and stays so");
}

#[test]
fn an_interrupted_instance_stays_known_for_a_while() {
    let mut world = World::new();
    world.deliver("m1", creation(Instance { created_at: at(0), ..node(1, "n1", "a") }));
    world.deliver("m2", interruption(named(1, "n1")));
    assert_eq!((world.known(), world.spot_running()), (1, 0));
    assert_eq!(world.attribution.next_deadline(world.now), Some(world.now + TOMBSTONE));
    world.pass(TOMBSTONE - SECOND);

    let again = Entry { timestamp: at(60), ..interruption(named(1, "n1")) };
    world.attribution.message("m3", Ok(again), 3, world.now);
    let [(3, Outcome::Counted(counted))] = world.outcomes()[..] else { panic!() };
    assert_eq!(counted.lifetime, None, "its age belongs to the first interruption");

    world.pass(SECOND);
    assert_eq!(world.known(), 0);
    assert_eq!(world.deliver("m4", interruption(named(1, "n1"))), words(&[]));
}

#[test]
fn a_tombstone_is_not_revived_by_an_early_listing_or_a_late_creation() {
    let mut world = World::new();
    world.deliver("m1", creation(node(1, "n1", "a")));
    world.deliver("m2", interruption(named(1, "n1")));
    world.resync(&[node(1, "n1", "a")]);
    world.deliver("m3", creation(node(1, "n1", "a")));
    assert_eq!((world.known(), world.spot_running()), (1, 0));

    world.pass(TOMBSTONE);
    world.resync(&[node(1, "n1", "a")]);
    assert_eq!((world.known(), world.spot_running()), (1, 1), "it was started again");
}

#[test]
fn an_instance_missing_from_two_resyncs_is_dropped() {
    let mut world = World::new();
    world.deliver("m1", creation(node(1, "n1", "a")));
    assert_eq!(world.resync(&[]), 0);
    assert_eq!(world.known(), 1);
    assert_eq!(world.resync(&[node(2, "n2", "a")]), 1);
    assert_eq!((world.known(), world.spot_running()), (1, 1));
}

#[test]
fn the_two_resyncs_have_to_be_consecutive_and_complete() {
    let mut world = World::new();
    let instance = node(1, "n1", "a");
    world.resync(std::slice::from_ref(&instance));
    world.resync(&[]);
    world.resync(std::slice::from_ref(&instance));
    world.resync(&[]);
    assert_eq!(world.known(), 1);
    for _ in 0..5 {
        world.begin_resync();
    }
    world.begin_resync();
    world.observe(&instance);
    world.begin_resync();
    assert_eq!(world.finish_resync(), 0, "the broken off one has seen it");
    assert_eq!(world.finish_resync(), 0, "none was begun");
    assert_eq!(world.resync(&[]), 1);
}

#[test]
fn a_creation_during_a_resync_is_not_missing_from_it() {
    let mut world = World::new();
    world.begin_resync();
    world.deliver("m1", creation(node(1, "n1", "a")));
    world.finish_resync();
    assert_eq!(world.resync(&[]), 0);
    assert_eq!(world.resync(&[]), 1);
}

#[test]
fn resyncs_do_not_drop_tombstones() {
    let mut world = World::new();
    world.deliver("m1", creation(node(1, "n1", "a")));
    world.deliver("m2", interruption(named(1, "n1")));
    for _ in 0..3 {
        assert_eq!(world.resync(&[]), 0);
    }
    assert_eq!(world.deliver("m3", interruption(named(1, "n1"))), words(&[(3, "counted a")]));
}

#[test]
fn spot_instances_that_run_are_counted_by_profile() {
    let mut world = World::new();
    let on_demand = Instance { spot: false, ..node(1, "n1", "a") };
    let stopped = Instance { running: false, ..node(2, "n2", "a") };
    let (spot, other_pool) =
        (node(3, "n3", "a"), Instance { node_pool: Some("p".into()), ..node(4, "n4", "a") });
    world.resync(&[on_demand, stopped, spot.clone(), other_pool.clone()]);
    assert_eq!(world.attribution.inventory().spot_running(), [1, 1]);

    world.observe(&node(2, "n2", "a"));
    world.observe(&Instance { running: false, ..spot });
    world.observe(&Instance { node_pool: Some("p".into()), ..node(2, "n2", "a") });
    assert_eq!(world.attribution.inventory().spot_running(), [0, 2]);
    world.deliver("m1", interruption(named(4, "n4")));
    assert_eq!(world.attribution.inventory().spot_running(), [0, 1]);
    world.resync(&[]);
    world.resync(&[]);
    assert_eq!(world.attribution.inventory().spot_running(), [0, 0]);
}

#[test]
fn a_sparse_description_does_not_erase_a_rich_one() {
    let mut world = World::new();
    let rich =
        Instance { node_pool: Some("p".into()), machine_type: Some("e2".into()), ..node(1, "n1", "a") };
    world.deliver("m1", creation(rich));
    world.deliver("m2", creation(Instance { spot: false, ..node(1, "n1", "a") }));
    assert_eq!(world.attribution.inventory().profiles().len(), 1);
    assert_eq!(world.spot_running(), 1);
}
