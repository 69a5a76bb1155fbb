//! Compares log entries with real ones.

use std::{
    collections::HashSet,
    time::{Duration, SystemTime},
};

use sandbox::google::{
    Instance,
    audit_log::{AuditLog, Naming, Version},
};
use serde_json::{Value, json};

fn log() -> AuditLog {
    let mut log = AuditLog::new("mock-project", 123_456_789);
    log.at(SystemTime::UNIX_EPOCH + Duration::from_micros(1_694_860_951_325_309));
    log
}

fn node() -> Instance {
    Instance::new(1_844_488_190_000_000_001, "europe-west1-c", "gke-n1")
        .spot()
        .machine_type("n2-standard-8")
        .gke("kubernetes-cluster", "europe-west1", "spot-pool")
}

#[test]
fn matches_a_real_interruption() {
    let entry = log().preempted(&node());
    let insert_id = entry["insertId"].clone();
    let operation_id = entry["operation"]["id"].clone();
    assert!(operation_id.as_str().unwrap().starts_with("systemevent-1694860951325-"));
    assert_eq!(
        entry,
        json!({
            "protoPayload": {
                "@type": "type.googleapis.com/google.cloud.audit.AuditLog",
                "status": { "message": "Instance was preempted." },
                "authenticationInfo": { "principalEmail": "system@google.com" },
                "serviceName": "compute.googleapis.com",
                "methodName": "compute.instances.preempted",
                "resourceName": "projects/mock-project/zones/europe-west1-c/instances/gke-n1",
                "request": { "@type": "type.googleapis.com/compute.instances.preempted" },
            },
            "insertId": insert_id,
            "resource": {
                "type": "gce_instance",
                "labels": {
                    "instance_id": "1844488190000000001",
                    "project_id": "mock-project",
                    "zone": "europe-west1-c",
                },
            },
            "timestamp": "2023-09-16T10:42:31.325309Z",
            "severity": "INFO",
            "logName": "projects/mock-project/logs/cloudaudit.googleapis.com%2Fsystem_event",
            "operation": {
                "id": operation_id,
                "producer": "compute.instances.preempted",
                "first": true,
                "last": true,
            },
            "receiveTimestamp": "2023-09-16T10:42:31.782309Z",
        })
    );
}

#[test]
fn a_creation_has_two_entries() {
    let operation = log().inserted(&node());
    let (first, last) = (&operation.first["protoPayload"], &operation.last["protoPayload"]);
    assert_eq!(first["methodName"], "v1.compute.instances.insert");
    assert_eq!(first["resourceName"], "projects/mock-project/zones/europe-west1-c/instances/gke-n1");
    let labels = first["request"]["labels"].as_array().unwrap();
    assert!(labels.contains(&json!({ "key": "goog-k8s-cluster-name", "value": "kubernetes-cluster" })));
    assert!(first["request"]["machineType"].as_str().unwrap().ends_with("/machineTypes/n2-standard-8"));
    assert_eq!(first["request"]["scheduling"]["provisioningModel"], "SPOT");
    assert_eq!(
        first["response"]["targetLink"],
        "https://www.googleapis.com/compute/v1/projects/mock-project/zones/europe-west1-c/instances/gke-n1"
    );
    assert_eq!(first["response"]["targetId"], "1844488190000000001");
    assert_eq!(last["request"], json!({ "@type": "type.googleapis.com/compute.instances.insert" }));
    assert!(last["response"].is_null());

    let (begun, ended) = (&operation.first["operation"], &operation.last["operation"]);
    assert_eq!(begun["id"], ended["id"]);
    assert_eq!((&begun["first"], &begun["last"]), (&true.into(), &Value::Null));
    assert_eq!((&ended["first"], &ended["last"]), (&Value::Null, &true.into()));
    assert_ne!(operation.first["insertId"], operation.last["insertId"]);
    assert_eq!(operation.first["resource"]["labels"]["instance_id"], "1844488190000000001");
}

#[test]
fn supports_variants_of_creations() {
    let mut log = log();
    let entry = log.through(Version::Beta).named_by(Naming::Number).inserted(&node()).first;
    assert_eq!(entry["protoPayload"]["methodName"], "beta.compute.instances.insert");
    assert_eq!(
        entry["protoPayload"]["resourceName"],
        "projects/123456789/zones/europe-west1-c/instances/gke-n1"
    );
    assert_eq!(entry["resource"]["labels"]["project_id"], "mock-project");

    let failed = log.through(Version::V1).insert_failed(&node());
    assert_eq!(failed["protoPayload"]["status"]["code"], 8);
    assert_eq!(failed["severity"], "ERROR");
    assert!(failed["protoPayload"]["request"]["labels"].is_array());

    let karpenter = Instance::new(1, "z-a", "n").spot().karpenter("blue", "z", "default");
    let labels = log.inserted(&karpenter).first["protoPayload"]["request"]["labels"].clone();
    assert!(
        labels.as_array().unwrap().contains(&json!({ "key": "karpenter-sh-nodepool", "value": "default" }))
    );
    let plain = log.inserted(&Instance::new(1, "z-a", "n")).first;
    assert!(plain["protoPayload"]["request"]["labels"].is_null());

    assert_eq!(log.deleted(&node())["protoPayload"]["methodName"], "v1.compute.instances.delete");
}

#[test]
fn bulk_creations_have_an_entry_per_instance() {
    let nodes = [node(), Instance { id: 2, name: "gke-n2".to_owned(), ..node() }];
    let bulk = log().bulk_inserted(&nodes);
    let parent = &bulk.parent.first;
    assert_eq!(parent["resource"]["type"], "audited_resource");
    let payload = &parent["protoPayload"];
    assert_eq!(payload["methodName"], "v1.compute.instances.bulkInsert");
    assert_eq!(payload["resourceName"], "projects/mock-project/zones/europe-west1-c/instances");
    let properties = &payload["request"]["instanceProperties"];
    assert!(properties["labels"].is_array());
    assert_eq!(properties["machineType"], "n2-standard-8");
    assert_eq!(properties["scheduling"]["preemptible"], true);
    assert!(bulk.parent.last["protoPayload"]["request"]["instanceProperties"].is_null());

    assert_eq!(bulk.instances.len(), 2);
    let mut operations = HashSet::from([parent["operation"]["id"].to_string()]);
    for (entry, node) in bulk.instances.iter().zip(&nodes) {
        assert_eq!(entry["resource"]["type"], "gce_instance");
        assert_eq!(entry["resource"]["labels"]["instance_id"], node.id.to_string());
        assert!(entry["protoPayload"]["resourceName"].as_str().unwrap().ends_with(&node.name));
        assert_eq!(
            entry["protoPayload"]["request"],
            json!({ "@type": "type.googleapis.com/compute.instances.bulkInsert" })
        );
        assert_eq!((&entry["operation"]["first"], &entry["operation"]["last"]), (&true.into(), &true.into()));
        assert!(operations.insert(entry["operation"]["id"].to_string()), "each has a separate operation");
    }
    assert!(log().bulk_inserted(&[]).instances.is_empty());
}

#[test]
fn a_handmade_interruption_has_only_the_required_fields() {
    let entry = log().handmade_interruption(&node());
    assert_eq!(entry.as_object().unwrap().keys().collect::<Vec<_>>(), ["protoPayload"]);
    assert_eq!(
        entry["protoPayload"]["resourceName"],
        "projects/mock-project/zones/europe-west1-c/instances/gke-n1"
    );
}

#[test]
fn entries_have_unique_and_reproducible_ids() {
    let make = || {
        let mut log = log();
        let mut entries: Vec<Value> = (0..1000).map(|_| log.preempted(&node())).collect();
        let operation = log.inserted(&node());
        entries.extend([operation.first, operation.last]);
        entries
    };
    let entries = make();
    let ids: HashSet<String> = entries.iter().map(|entry| entry["insertId"].to_string()).collect();
    assert_eq!(ids.len(), entries.len());
    assert_eq!(entries, make());
}
