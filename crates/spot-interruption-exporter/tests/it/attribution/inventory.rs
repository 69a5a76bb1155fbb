//! Instances and clusters that the inventory knows, tombstones, and listings.

use super::*;

#[test]
fn registers_a_cluster_with_its_first_event_or_listing() {
    let mut fixture = Fixture::new();
    fixture.deliver("m1", entry(Event::BulkRequest { cluster: Some("bulk".into()) }));
    fixture.deliver("m2", entry(Event::BulkRequest { cluster: None }));
    fixture.deliver("m3", creation(node(1, "n1", "created")));
    fixture.list_one(&node(2, "n2", "listed"));
    fixture.deliver("m4", creation(node(3, "n3", "created")));
    assert_eq!(fixture.clusters(), ["bulk", "created", "listed"]);
    fixture.deliver("m5", interruption(named(1, "n1")));
    fixture.advance(TOMBSTONE);
    assert_eq!(fixture.clusters().len(), 3, "clusters stay registered");
}

#[test]
fn keeps_an_interrupted_instance_for_the_tombstone_ttl() {
    let mut fixture = Fixture::new();
    fixture.deliver("m1", creation(Instance { created_at: at(0), ..node(1, "n1", "a") }));
    fixture.deliver("m2", interruption(named(1, "n1")));
    assert_eq!((fixture.known(), fixture.spot_running()), (1, 0));
    assert_eq!(fixture.attribution.next_deadline(fixture.now), Some(fixture.now + TOMBSTONE));
    fixture.advance(TOMBSTONE - SECOND);

    let again = Entry { timestamp: at(60), ..interruption(named(1, "n1")) };
    fixture.attribution.message("m3", Ok(again), 3, fixture.now);
    let [(3, Outcome::Counted(counted))] = fixture.take_outcomes()[..] else { panic!() };
    assert_eq!(counted.lifetime, None, "the lifetime is counted with the first interruption");

    fixture.advance(SECOND);
    assert_eq!(fixture.known(), 0);
    assert_eq!(fixture.deliver("m4", interruption(named(1, "n1"))), outcomes(&[]));
}

#[test]
fn keeps_a_tombstone_despite_an_early_listing_or_a_late_creation() {
    let mut fixture = Fixture::new();
    fixture.deliver("m1", creation(node(1, "n1", "a")));
    fixture.deliver("m2", interruption(named(1, "n1")));
    fixture.list_all(&[node(1, "n1", "a")]);
    fixture.deliver("m3", creation(node(1, "n1", "a")));
    assert_eq!((fixture.known(), fixture.spot_running()), (1, 0));

    fixture.advance(TOMBSTONE);
    fixture.list_all(&[node(1, "n1", "a")]);
    assert_eq!((fixture.known(), fixture.spot_running()), (1, 1), "the instance was started again");
}

#[test]
fn removes_an_instance_missing_from_two_listings() {
    let mut fixture = Fixture::new();
    fixture.deliver("m1", creation(node(1, "n1", "a")));
    assert_eq!(fixture.list_all(&[]), 0);
    assert_eq!(fixture.known(), 1);
    assert_eq!(fixture.list_all(&[node(2, "n2", "a")]), 1);
    assert_eq!((fixture.known(), fixture.spot_running()), (1, 1));
}

#[test]
fn only_consecutive_complete_listings_remove_an_instance() {
    let mut fixture = Fixture::new();
    let instance = node(1, "n1", "a");
    fixture.list_all(std::slice::from_ref(&instance));
    fixture.list_all(&[]);
    fixture.list_all(std::slice::from_ref(&instance));
    fixture.list_all(&[]);
    assert_eq!(fixture.known(), 1);
    for _ in 0..5 {
        fixture.begin_listing();
    }
    fixture.begin_listing();
    fixture.list_one(&instance);
    fixture.begin_listing();
    assert_eq!(fixture.finish_listing(), 0, "the unfinished listing contained it");
    assert_eq!(fixture.finish_listing(), 0, "no listing was begun");
    assert_eq!(fixture.list_all(&[]), 1);
}

#[test]
fn an_instance_created_during_a_listing_is_not_missing() {
    let mut fixture = Fixture::new();
    fixture.begin_listing();
    fixture.deliver("m1", creation(node(1, "n1", "a")));
    fixture.finish_listing();
    assert_eq!(fixture.list_all(&[]), 0);
    assert_eq!(fixture.list_all(&[]), 1);
}

#[test]
fn listings_keep_tombstones() {
    let mut fixture = Fixture::new();
    fixture.deliver("m1", creation(node(1, "n1", "a")));
    fixture.deliver("m2", interruption(named(1, "n1")));
    for _ in 0..3 {
        assert_eq!(fixture.list_all(&[]), 0);
    }
    assert_eq!(fixture.deliver("m3", interruption(named(1, "n1"))), outcomes(&[(3, "counted a")]));
}

#[test]
fn counts_running_spot_instances_by_profile() {
    let mut fixture = Fixture::new();
    let on_demand = Instance { spot: false, ..node(1, "n1", "a") };
    let stopped = Instance { running: false, ..node(2, "n2", "a") };
    let (spot, other_pool) =
        (node(3, "n3", "a"), Instance { node_pool: Some("p".into()), ..node(4, "n4", "a") });
    fixture.list_all(&[on_demand, stopped, spot.clone(), other_pool.clone()]);
    assert_eq!(fixture.attribution.inventory().spot_running(), [1, 1]);

    fixture.list_one(&node(2, "n2", "a"));
    fixture.list_one(&Instance { running: false, ..spot });
    fixture.list_one(&Instance { node_pool: Some("p".into()), ..node(2, "n2", "a") });
    assert_eq!(fixture.attribution.inventory().spot_running(), [0, 2]);
    fixture.deliver("m1", interruption(named(4, "n4")));
    assert_eq!(fixture.attribution.inventory().spot_running(), [0, 1]);
    fixture.list_all(&[]);
    fixture.list_all(&[]);
    assert_eq!(fixture.attribution.inventory().spot_running(), [0, 0]);
}

#[test]
fn a_sparse_description_keeps_known_fields() {
    let mut fixture = Fixture::new();
    let rich =
        Instance { node_pool: Some("p".into()), machine_type: Some("e2".into()), ..node(1, "n1", "a") };
    fixture.deliver("m1", creation(rich));
    fixture.deliver("m2", creation(Instance { spot: false, ..node(1, "n1", "a") }));
    assert_eq!(fixture.attribution.inventory().profiles().len(), 1);
    assert_eq!(fixture.spot_running(), 1);
}
