//! Log entries of failed creations.

use super::*;

fn failed(event: Result<Event<'static>, Invalid>) -> FailedCreation<'static> {
    match event.unwrap() {
        Event::CreationFailed(failed) => failed,
        other => panic!("{other:?}"),
    }
}

#[test]
fn parses_a_failed_creation() {
    for code in [json!(8), json!(-1), json!("8")] {
        let failed = failed(event_with(CREATION, "/protoPayload/status", json!({"code": code})));
        let expected = FailedCreation {
            instance: gke_n1(),
            is_described: true,
            on_demand: false,
            had_begun: false,
            reason: FailureReason::Other,
        };
        assert_eq!(failed, expected, "{code}");
    }
    for status in [json!(null), json!({}), json!({"code": 0}), json!({"code": null}), json!("OK")] {
        let event = event_with(CREATION, "/protoPayload/status", status.clone()).unwrap();
        assert_eq!(event, Event::Creation(gke_n1()), "{status}");
    }
}

#[test]
fn identifies_the_instance_of_a_creation_that_fails_later() {
    let failed = failed(read(CREATION_FAILED).map(|entry| entry.event));
    assert_eq!(failed.instance.instance, instance(Some(ID), Some("mock-project"), "gke-n1"));
    assert!(failed.had_begun && !failed.is_described);
    assert_eq!(failed.reason, FailureReason::Stockout);
}

#[test]
fn classifies_the_reasons_of_failed_creations() {
    for (code, message, expected) in [
        (8, "ZONE_RESOURCE_POOL_EXHAUSTED", FailureReason::Stockout),
        (
            8,
            "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS: The zone 'projects/p/zones/z' does not have enough \
             resources available to fulfill the request.  '(resource type:compute)'.",
            FailureReason::Stockout,
        ),
        (8, "REGION_RESOURCE_POOL_EXHAUSTED", FailureReason::Stockout),
        (8, "The zone 'z' does not have enough resources available.", FailureReason::Stockout),
        (8, "QUOTA_EXCEEDED", FailureReason::Quota),
        (8, "Quota 'PREEMPTIBLE_CPUS' exceeded.  Limit: 24.0 in region europe-west1.", FailureReason::Quota),
        (7, "", FailureReason::Permission),
        (
            7,
            "Required 'compute.instances.create' permission for 'projects/p/zones/z/instances/n'",
            FailureReason::Permission,
        ),
        (13, "PERMISSION_DENIED", FailureReason::Permission),
        (3, "Invalid value for field 'resource.name'", FailureReason::Other),
        (6, "The resource 'projects/p/zones/z/instances/n' already exists", FailureReason::Other),
        (8, "", FailureReason::Other),
    ] {
        let status = json!({"code": code, "message": message});
        let failed = failed(event_with(CREATION, "/protoPayload/status", status));
        assert_eq!(failed.reason, expected, "{code} {message}");
    }
}

#[test]
fn describes_the_instance_of_a_failed_creation() {
    let mut entry: Value = serde_json::from_str(BULK_REQUEST).unwrap();
    entry["protoPayload"]["status"] = json!({"code": 8, "message": "ZONE_RESOURCE_POOL_EXHAUSTED"});
    entry["protoPayload"]["resourceName"] = json!("projects/123456789/zones/europe-west1-c/instances");
    let bulk = failed(Ok(read(entry.to_string().leak()).unwrap().event));
    assert_eq!(bulk.instance.cluster.as_deref(), Some("bulk-cluster"));
    assert_eq!(bulk.instance.instance.zone.as_deref(), Some("europe-west1-c"));
    assert!(bulk.is_described);

    let mut entry: Value = serde_json::from_str(CREATION).unwrap();
    entry["protoPayload"]["status"] = json!({"code": 8});
    entry["protoPayload"]["request"]["scheduling"] = json!({"provisioningModel": "STANDARD"});
    assert!(failed(Ok(read(entry.to_string().leak()).unwrap().event)).on_demand);
}
