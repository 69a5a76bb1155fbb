//! Log entries of creations.

use super::*;

#[test]
fn parses_a_creation() {
    assert_eq!(event(CREATION), Event::Creation(gke_n1()));
}

#[test]
fn parses_the_creation_of_the_readme_with_a_project_number() {
    assert_eq!(
        event(CREATION_README),
        Event::Creation(Instance {
            instance: instance(None, None, "fake-resource"),
            cluster: Some("fake-cluster".into()),
            running: true,
            ..Instance::default()
        })
    );
}

#[test]
fn identifies_a_creation_by_its_target_link() {
    assert_eq!(
        event(CREATION_TARGET_ONLY),
        Event::Creation(Instance {
            instance: instance(Some(77), Some("mock-project"), "karpenter-n7"),
            cluster: Some("karpenter-cluster".into()),
            node_pool: Some("general".into()),
            running: true,
            ..Instance::default()
        })
    );
}

#[test]
fn recognises_creation_methods() {
    for method in ["v1.compute.instances.insert", "beta.compute.instances.insert", "compute.instances.insert"]
    {
        let event = event_with(CREATION, "/protoPayload/methodName", method.into()).unwrap();
        assert_eq!(event, Event::Creation(gke_n1()), "{method}");
    }
    for method in [
        "v1.compute.instances.bulkInsert",
        "alpha.compute.instances.bulkInsert",
        "compute.instances.bulkInsert",
        "v1.compute.regionInstances.bulkInsert",
    ] {
        let event = event_with(BULK_INSTANCE, "/protoPayload/methodName", method.into()).unwrap();
        assert!(matches!(event, Event::UnlabelledCreation(_)), "{method}: {event:?}");
    }
    for method in
        ["v1.compute.instances.delete", "v1.compute.disks.insert", "xcompute.instances.insert", "insert"]
    {
        let event = event_with(CREATION, "/protoPayload/methodName", method.into()).unwrap();
        assert_eq!(event, Event::Ignored(Ignored::OtherMethod), "{method}");
    }
}

#[test]
fn recognises_spot_instances() {
    for (label, scheduling, expected) in [
        (json!("spot"), json!(null), true),
        (json!("SPOT"), json!({}), true),
        (json!("Preemptible"), json!({}), true),
        (json!("standard"), json!({}), false),
        (json!(null), json!({"provisioningModel": "SPOT"}), true),
        (json!(null), json!({"provisioningModel": "STANDARD"}), false),
        (json!(null), json!({"preemptible": true}), true),
        (json!(null), json!({"preemptible": "true"}), true),
        (json!(null), json!({"preemptible": false}), false),
        (json!("standard"), json!({"preemptible": true}), true),
        // Karpenter also creates on-demand nodes from the template of a spot pool.
        (json!("spot"), json!({"provisioningModel": "STANDARD", "preemptible": false}), false),
        (json!("spot"), json!({"preemptible": false}), true),
        (json!(7), json!("SPOT"), false),
    ] {
        let message = json!({"protoPayload": {"methodName": "v1.compute.instances.insert",
            "resourceName": "projects/p/zones/z/instances/n", "request": {"scheduling": scheduling,
            "labels": [{"key": "goog-k8s-cluster-name", "value": "c"},
                       {"key": "goog-gke-node-pool-provisioning-model", "value": label}]}}})
        .to_string();
        let Event::Creation(instance) = event(&message) else { panic!("{message}") };
        assert_eq!(instance.spot, expected, "{message}");
    }
}

#[test]
fn takes_the_machine_type_from_the_end_of_its_url() {
    for (url, expected) in [
        (json!("n2-standard-8"), Some("n2-standard-8")),
        (json!("zones/z/machineTypes/custom-4-8192"), Some("custom-4-8192")),
        (
            json!("https://www.googleapis.com/compute/v1/projects/p/zones/z/machineTypes/e2-micro"),
            Some("e2-micro"),
        ),
        (json!(""), None),
        (json!("zones/z/machineTypes/"), None),
        (json!(null), None),
        (json!(17), None),
    ] {
        let instance = creation_with("/protoPayload/request/machineType", url.clone());
        assert_eq!(instance.machine_type.as_deref(), expected, "{url}");
    }
}

#[test]
fn accepts_the_last_entry_of_an_operation_without_a_request() {
    let expected = Event::CreationFinished(instance(Some(ID), Some("mock-project"), "gke-n1"));
    assert_eq!(event(CREATION_END), expected);
    assert_eq!(event_with(CREATION_END, "/protoPayload/request", json!(null)).unwrap(), expected);

    let nameless =
        json!({"protoPayload": {"methodName": "v1.compute.instances.insert"}, "operation": {"last": true}});
    assert_eq!(event(&nameless.to_string()), Event::Ignored(Ignored::OperationEnd));
}

#[test]
fn a_bulk_insert_yields_only_its_cluster() {
    assert_eq!(event(BULK_REQUEST), Event::BulkRequest { cluster: Some("bulk-cluster".into()) });
}

#[test]
fn an_instance_of_a_bulk_insert_is_unlabelled() {
    let expected = instance(Some(8_693_801_480_000_000_000), Some("mock-project"), "inst-0003");
    assert_eq!(event(BULK_INSTANCE), Event::UnlabelledCreation(expected));
}

#[test]
fn parses_the_labels_of_a_bulk_insert_instance() {
    let properties = json!({"labels": [{"key": "goog-k8s-cluster-name", "value": "bulk-cluster"}], "machineType": "e2-micro"});
    let event = event_with(BULK_INSTANCE, "/protoPayload/request/instanceProperties", properties).unwrap();
    let Event::Creation(instance) = event else { panic!("{event:?}") };
    assert_eq!(instance.cluster.as_deref(), Some("bulk-cluster"));
    assert_eq!(instance.machine_type.as_deref(), Some("e2-micro"));
}

#[test]
fn borrows_text_from_the_message() {
    let Event::Creation(instance) = event(CREATION) else { panic!() };
    for text in [&instance.cluster, &instance.node_pool, &instance.machine_type, &instance.instance.name] {
        assert!(matches!(text, Some(Cow::Borrowed(_))), "{text:?}");
    }
}
