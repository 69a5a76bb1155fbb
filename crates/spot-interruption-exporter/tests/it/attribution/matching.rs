//! Which instance an interruption is about.

use super::*;

#[test]
fn an_interruption_of_a_known_instance_counts_for_its_cluster() {
    let mut world = World::new();
    assert_eq!(world.deliver("m1", creation(node(1, "n1", "a"))), words(&[(1, "added")]));
    assert_eq!(world.deliver("m2", interruption(named(1, "n1"))), words(&[(2, "counted a")]));
}

#[test]
fn it_is_counted_in_detail() {
    let mut world = World::new();
    let details = Instance {
        location: Some("europe-west1".into()),
        node_pool: Some("pool".into()),
        machine_type: Some("n2-standard-8".into()),
        created_at: at(0),
        ..node(1, "n1", "a")
    };
    world.deliver("m1", creation(details));
    let event = Entry { timestamp: at(7200), ..interruption(named(1, "n1")) };
    world.attribution.message("m2", Ok(event), 2, world.now);
    let [(2, Outcome::Counted(counted))] = world.outcomes()[..] else { panic!() };
    assert_eq!(counted.at, at(7200));
    assert_eq!(counted.lifetime, Some(Duration::from_secs(7200)));
    let profile = world.profile(counted);
    let labels =
        [&profile.cluster, &profile.location, &profile.node_pool, &profile.machine_type, &profile.zone];
    assert_eq!(labels.map(|label| &**label), ["a", "europe-west1", "pool", "n2-standard-8", ZONE]);
    assert_eq!(&*profile.project, "mock-project");
}

#[test]
fn an_age_below_zero_is_none() {
    let mut world = World::new();
    world.deliver("m1", creation(Instance { created_at: at(10), ..node(1, "n1", "a") }));
    let event = Entry { timestamp: at(9), ..interruption(named(1, "n1")) };
    world.attribution.message("m2", Ok(event), 2, world.now);
    let [(2, Outcome::Counted(counted))] = world.outcomes()[..] else { panic!() };
    assert_eq!(counted.lifetime, None);
}

#[test]
fn a_listed_instance_is_known_too() {
    let mut world = World::unseeded();
    assert!(!world.attribution.is_seeded());
    world.resync(&[node(1, "n1", "a")]);
    assert!(world.attribution.is_seeded());
    assert_eq!(world.deliver("m1", interruption(named(1, "n1"))), words(&[(1, "counted a")]));
}

#[test]
fn the_id_decides_where_both_sides_have_one() {
    let mut world = World::new();
    world.deliver("m1", creation(node(1, "n1", "a")));
    assert_eq!(
        world.deliver("m2", interruption(named(2, "n1"))),
        words(&[]),
        "another instance of that name"
    );
    assert_eq!(world.deliver("m3", interruption(named(1, "another-name"))), words(&[(3, "counted a")]));
    assert_eq!(world.pass(GRACE), words(&[(2, "unattributed")]));
}

#[test]
fn zone_and_name_decide_where_one_side_has_no_id() {
    let mut world = World::new();
    world.deliver("m1", creation(node(0, "n1", "a")));
    world.deliver("m2", creation(node(2, "n2", "b")));
    assert_eq!(world.deliver("m3", interruption(named(7, "n1"))), words(&[(3, "counted a")]));
    assert_eq!(world.deliver("m4", interruption(named(0, "n2"))), words(&[(4, "counted b")]));

    let elsewhere = InstanceRef { zone: Some("us-east1-b".into()), ..named(0, "n2") };
    assert_eq!(world.deliver("m5", interruption(elsewhere)), words(&[]));
}

#[test]
fn an_instance_known_by_name_learns_its_id() {
    let mut world = World::new();
    world.deliver("m1", creation(node(0, "n1", "a")));
    world.resync(&[node(1, "n1", "a")]);
    assert_eq!(world.known(), 1);
    assert_eq!(world.deliver("m2", interruption(named(2, "n1"))), words(&[]), "it is another one's by now");
    assert_eq!(world.deliver("m3", interruption(named(1, "n1"))), words(&[(3, "counted a")]));

    world.deliver("m4", creation(node(0, "n4", "a")));
    let end = entry(Event::CreationFinished(named(4, "n4")));
    assert_eq!(world.deliver("m5", end), words(&[(5, "ignored operation_end")]));
    let by_id = InstanceRef { id: InstanceId::new(4), ..InstanceRef::default() };
    assert_eq!(world.deliver("m6", interruption(by_id)), words(&[(6, "counted a")]));
}

#[test]
fn first_and_last_entry_and_listing_are_one_instance() {
    let mut world = World::new();
    world.deliver("m1", logged("i1", "op", creation(node(1, "n1", "a"))));
    world.deliver("m2", logged("i2", "op", entry(Event::CreationFinished(named(1, "n1")))));
    world.resync(&[node(1, "n1", "a")]);
    assert_eq!((world.known(), world.spot_running()), (1, 1));
}

#[test]
fn a_name_means_the_newest_instance() {
    let mut world = World::new();
    world.deliver("m1", creation(Instance { created_at: at(0), ..node(1, "n1", "a") }));
    world.deliver("m2", creation(Instance { created_at: at(60), ..node(2, "n1", "b") }));
    assert_eq!(world.spot_running(), 1, "the first one is gone");
    assert_eq!(world.deliver("m3", interruption(named(0, "n1"))), words(&[(3, "counted b")]));
    assert_eq!(world.deliver("m4", interruption(named(1, "n1"))), words(&[(4, "counted a")]));
}

#[test]
fn a_name_means_the_newest_instance_in_whatever_order_they_become_known() {
    let mut world = World::new();
    world.deliver("m1", creation(Instance { created_at: at(60), ..node(2, "n1", "b") }));
    world.deliver("m2", creation(Instance { created_at: at(0), ..node(1, "n1", "a") }));
    assert_eq!(world.spot_running(), 1);
    assert_eq!(world.deliver("m3", interruption(named(0, "n1"))), words(&[(3, "counted b")]));
    assert_eq!(world.deliver("m4", interruption(named(1, "n1"))), words(&[(4, "counted a")]));
}

#[test]
fn a_successor_takes_the_name_of_an_interrupted_instance() {
    for (first, second) in [(1, 2), (0, 2), (1, 0), (0, 0)] {
        let mut world = World::new();
        world.deliver("m1", creation(node(first, "n1", "a")));
        world.deliver("m2", interruption(named(first, "n1")));
        world.deliver("m3", creation(node(second, "n1", "b")));
        assert_eq!(world.spot_running(), 1, "{first} {second}");
        assert_eq!(world.deliver("m4", interruption(named(0, "n1"))), words(&[(4, "counted b")]));
        assert_eq!(world.spot_running(), 0);
    }
}

#[test]
fn an_outsider_takes_the_name_too() {
    let mut world = World::new();
    world.deliver("m1", creation(node(1, "n1", "a")));
    assert_eq!(world.deliver("m2", creation(outsider(2, "n1"))), words(&[(2, "ignored not_kubernetes")]));
    assert_eq!(world.spot_running(), 0);
    assert_eq!(world.deliver("m3", interruption(named(0, "n1"))), words(&[]));
    assert_eq!(world.deliver("m4", interruption(named(1, "n1"))), words(&[(4, "counted a")]));
    assert_eq!(world.pass(GRACE), words(&[(3, "unattributed")]));
}

#[test]
fn a_projects_number_is_compatible_with_any_id() {
    let numbered = |id, name| InstanceRef { project: None, ..named(id, name) };
    let mut world = World::new();
    world.deliver("m1", creation(Instance { instance: numbered(0, "n1"), ..node(0, "n1", "a") }));
    world.deliver("m2", creation(node(0, "n2", "a")));
    let outcomes = [
        world.deliver("m3", interruption(named(0, "n1"))),
        world.deliver("m4", interruption(numbered(0, "n2"))),
    ];
    assert_eq!(outcomes.concat(), words(&[(3, "counted a"), (4, "counted a")]));
    assert_eq!(&*world.attribution.inventory().profiles()[0].project, "mock-project");
}

#[test]
fn an_instance_of_another_project_is_another_instance() {
    let elsewhere = |id, name| InstanceRef { project: Some("other-project".into()), ..named(id, name) };
    let mut world = World::new();
    world.deliver("m1", creation(node(0, "n1", "a")));
    assert_eq!(world.deliver("m2", interruption(elsewhere(0, "n1"))), words(&[]));
    let settled =
        world.deliver("m3", creation(Instance { instance: elsewhere(0, "n1"), ..node(0, "n1", "b") }));
    assert_eq!(settled, words(&[(3, "added"), (2, "counted b")]));
    assert_eq!(world.deliver("m4", interruption(named(0, "n1"))), words(&[(4, "counted a")]));
    assert_eq!(world.known(), 2);
}
