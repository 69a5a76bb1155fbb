//! Which instance an interruption is about.

use super::*;

#[test]
fn counts_an_interruption_for_the_cluster_of_its_instance() {
    let mut fixture = Fixture::new();
    assert_eq!(fixture.deliver("m1", creation(node(1, "n1", "a"))), outcomes(&[(1, "added")]));
    assert_eq!(fixture.deliver("m2", interruption(named(1, "n1"))), outcomes(&[(2, "counted a")]));
}

#[test]
fn counts_with_all_labels_and_the_lifetime() {
    let mut fixture = Fixture::new();
    let details = Instance {
        location: Some("europe-west1".into()),
        node_pool: Some("pool".into()),
        machine_type: Some("n2-standard-8".into()),
        created_at: at(0),
        ..node(1, "n1", "a")
    };
    fixture.deliver("m1", creation(details));
    let event = Entry { timestamp: at(7200), ..interruption(named(1, "n1")) };
    fixture.attribution.message("m2", Ok(event), 2, fixture.now);
    let [(2, Outcome::Counted(counted))] = fixture.take_outcomes()[..] else { panic!() };
    assert_eq!(counted.at, at(7200));
    assert_eq!(counted.lifetime, Some(Duration::from_secs(7200)));
    let profile = fixture.profile(counted);
    let labels =
        [&profile.cluster, &profile.location, &profile.node_pool, &profile.machine_type, &profile.zone];
    assert_eq!(labels.map(|label| &**label), ["a", "europe-west1", "pool", "n2-standard-8", ZONE]);
    assert_eq!(&*profile.project, "mock-project");
}

#[test]
fn omits_a_negative_lifetime() {
    let mut fixture = Fixture::new();
    fixture.deliver("m1", creation(Instance { created_at: at(10), ..node(1, "n1", "a") }));
    let event = Entry { timestamp: at(9), ..interruption(named(1, "n1")) };
    fixture.attribution.message("m2", Ok(event), 2, fixture.now);
    let [(2, Outcome::Counted(counted))] = fixture.take_outcomes()[..] else { panic!() };
    assert_eq!(counted.lifetime, None);
}

#[test]
fn attributes_to_listed_instances() {
    let mut fixture = Fixture::without_listing();
    assert!(!fixture.attribution.is_initial_listing_done());
    fixture.list_all(&[node(1, "n1", "a")]);
    assert!(fixture.attribution.is_initial_listing_done());
    assert_eq!(fixture.deliver("m1", interruption(named(1, "n1"))), outcomes(&[(1, "counted a")]));
}

#[test]
fn matches_by_id_when_both_sides_have_one() {
    let mut fixture = Fixture::new();
    fixture.deliver("m1", creation(node(1, "n1", "a")));
    assert_eq!(
        fixture.deliver("m2", interruption(named(2, "n1"))),
        outcomes(&[]),
        "it is another instance with the same name"
    );
    assert_eq!(fixture.deliver("m3", interruption(named(1, "another-name"))), outcomes(&[(3, "counted a")]));
    assert_eq!(fixture.advance(GRACE), outcomes(&[(2, "unattributed")]));
}

#[test]
fn matches_by_zone_and_name_when_one_side_has_no_id() {
    let mut fixture = Fixture::new();
    fixture.deliver("m1", creation(node(0, "n1", "a")));
    fixture.deliver("m2", creation(node(2, "n2", "b")));
    assert_eq!(fixture.deliver("m3", interruption(named(7, "n1"))), outcomes(&[(3, "counted a")]));
    assert_eq!(fixture.deliver("m4", interruption(named(0, "n2"))), outcomes(&[(4, "counted b")]));

    let elsewhere = InstanceRef { zone: Some("us-east1-b".into()), ..named(0, "n2") };
    assert_eq!(fixture.deliver("m5", interruption(elsewhere)), outcomes(&[]));
}

#[test]
fn adds_the_id_to_an_instance_known_by_name() {
    let mut fixture = Fixture::new();
    fixture.deliver("m1", creation(node(0, "n1", "a")));
    fixture.list_all(&[node(1, "n1", "a")]);
    assert_eq!(fixture.known(), 1);
    assert_eq!(
        fixture.deliver("m2", interruption(named(2, "n1"))),
        outcomes(&[]),
        "the name belongs to another id"
    );
    assert_eq!(fixture.deliver("m3", interruption(named(1, "n1"))), outcomes(&[(3, "counted a")]));

    fixture.deliver("m4", creation(node(0, "n4", "a")));
    let end = entry(Event::CreationFinished(named(4, "n4")));
    assert_eq!(fixture.deliver("m5", end), outcomes(&[(5, "ignored operation_end")]));
    let by_id = InstanceRef { id: InstanceId::new(4), ..InstanceRef::default() };
    assert_eq!(fixture.deliver("m6", interruption(by_id)), outcomes(&[(6, "counted a")]));
}

#[test]
fn merges_first_entry_last_entry_and_listing() {
    let mut fixture = Fixture::new();
    fixture.deliver("m1", logged("i1", "op", creation(node(1, "n1", "a"))));
    fixture.deliver("m2", logged("i2", "op", entry(Event::CreationFinished(named(1, "n1")))));
    fixture.list_all(&[node(1, "n1", "a")]);
    assert_eq!((fixture.known(), fixture.spot_running()), (1, 1));
}

#[test]
fn matches_a_name_to_the_newest_instance() {
    let mut fixture = Fixture::new();
    fixture.deliver("m1", creation(Instance { created_at: at(0), ..node(1, "n1", "a") }));
    fixture.deliver("m2", creation(Instance { created_at: at(60), ..node(2, "n1", "b") }));
    assert_eq!(fixture.spot_running(), 1, "the first instance is replaced");
    assert_eq!(fixture.deliver("m3", interruption(named(0, "n1"))), outcomes(&[(3, "counted b")]));
    assert_eq!(fixture.deliver("m4", interruption(named(1, "n1"))), outcomes(&[(4, "counted a")]));
}

#[test]
fn matches_a_name_to_the_newest_instance_in_any_order() {
    let mut fixture = Fixture::new();
    fixture.deliver("m1", creation(Instance { created_at: at(60), ..node(2, "n1", "b") }));
    fixture.deliver("m2", creation(Instance { created_at: at(0), ..node(1, "n1", "a") }));
    assert_eq!(fixture.spot_running(), 1);
    assert_eq!(fixture.deliver("m3", interruption(named(0, "n1"))), outcomes(&[(3, "counted b")]));
    assert_eq!(fixture.deliver("m4", interruption(named(1, "n1"))), outcomes(&[(4, "counted a")]));
}

#[test]
fn matches_a_reused_name_to_the_new_instance() {
    for (first, second) in [(1, 2), (0, 2), (1, 0), (0, 0)] {
        let mut fixture = Fixture::new();
        fixture.deliver("m1", creation(node(first, "n1", "a")));
        fixture.deliver("m2", interruption(named(first, "n1")));
        fixture.deliver("m3", creation(node(second, "n1", "b")));
        assert_eq!(fixture.spot_running(), 1, "{first} {second}");
        assert_eq!(fixture.deliver("m4", interruption(named(0, "n1"))), outcomes(&[(4, "counted b")]));
        assert_eq!(fixture.spot_running(), 0);
    }
}

#[test]
fn an_instance_outside_any_cluster_can_reuse_a_name() {
    let mut fixture = Fixture::new();
    fixture.deliver("m1", creation(node(1, "n1", "a")));
    assert_eq!(
        fixture.deliver("m2", creation(outside_cluster(2, "n1"))),
        outcomes(&[(2, "ignored not_kubernetes")])
    );
    assert_eq!(fixture.spot_running(), 0);
    assert_eq!(fixture.deliver("m3", interruption(named(0, "n1"))), outcomes(&[]));
    assert_eq!(fixture.deliver("m4", interruption(named(1, "n1"))), outcomes(&[(4, "counted a")]));
    assert_eq!(fixture.advance(GRACE), outcomes(&[(3, "unattributed")]));
}

#[test]
fn matches_a_project_number_with_any_project_id() {
    let numbered = |id, name| InstanceRef { project: None, ..named(id, name) };
    let mut fixture = Fixture::new();
    fixture.deliver("m1", creation(Instance { instance: numbered(0, "n1"), ..node(0, "n1", "a") }));
    fixture.deliver("m2", creation(node(0, "n2", "a")));
    let resolved = [
        fixture.deliver("m3", interruption(named(0, "n1"))),
        fixture.deliver("m4", interruption(numbered(0, "n2"))),
    ];
    assert_eq!(resolved.concat(), outcomes(&[(3, "counted a"), (4, "counted a")]));
    assert_eq!(&*fixture.attribution.inventory().profiles()[0].project, "mock-project");
}

#[test]
fn distinguishes_instances_of_different_projects() {
    let elsewhere = |id, name| InstanceRef { project: Some("other-project".into()), ..named(id, name) };
    let mut fixture = Fixture::new();
    fixture.deliver("m1", creation(node(0, "n1", "a")));
    assert_eq!(fixture.deliver("m2", interruption(elsewhere(0, "n1"))), outcomes(&[]));
    let settled =
        fixture.deliver("m3", creation(Instance { instance: elsewhere(0, "n1"), ..node(0, "n1", "b") }));
    assert_eq!(settled, outcomes(&[(3, "added"), (2, "counted b")]));
    assert_eq!(fixture.deliver("m4", interruption(named(0, "n1"))), outcomes(&[(4, "counted a")]));
    assert_eq!(fixture.known(), 2);
}
