//! What the contract says about events: the log entries that Cloud Logging writes, those that people make by hand,
//! and those that nobody should make.

use std::borrow::Cow;

use jiff::Timestamp;
use serde_json::{Value, json};
use spot_interruption_exporter::event::{Entry, Event, FailedCreation, FailureReason, Ignored, Invalid};
use spot_interruption_exporter::instance::{Instance, InstanceId, InstanceRef};
use spot_interruption_exporter::provider::google::audit_log::{
    self, InterruptionMethods, InvalidMethods, parse,
};
use spot_interruption_exporter::provider::google::resource::Resource;

const INTERRUPTION: &str = include_str!("fixtures/interruption.json");
const INTERRUPTION_README: &str = include_str!("fixtures/interruption_readme.json");
const CREATION: &str = include_str!("fixtures/creation.json");
const CREATION_END: &str = include_str!("fixtures/creation_end.json");
const CREATION_FAILED: &str = include_str!("fixtures/creation_failed.json");
const CREATION_README: &str = include_str!("fixtures/creation_readme.json");
const CREATION_TARGET_ONLY: &str = include_str!("fixtures/creation_target_only.json");
const BULK_REQUEST: &str = include_str!("fixtures/bulk_request.json");
const BULK_INSTANCE: &str = include_str!("fixtures/bulk_instance.json");
const LISTED: &str = include_str!("fixtures/listed.json");

const ID: u64 = 1_844_488_190_000_000_001;

fn read(text: &str) -> Result<Entry<'_>, Invalid> {
    parse(text.as_bytes(), &InterruptionMethods::default())
}

fn event(text: &str) -> Event<'_> {
    read(text).unwrap().event
}

/// The event of a fixture with one value put in, at a path like `/protoPayload/request/labels`.
fn event_with(fixture: &str, path: &str, value: Value) -> Result<Event<'static>, Invalid> {
    let mut entry: Value = serde_json::from_str(fixture).unwrap();
    let (parent, key) = path.rsplit_once('/').unwrap();
    entry.pointer_mut(parent).unwrap().as_object_mut().unwrap().insert(key.to_owned(), value);
    // The event borrows from its text, and a test can afford not to give the text back.
    read(entry.to_string().leak()).map(|entry| entry.event)
}

fn creation_with(path: &str, value: Value) -> Instance<'static> {
    match event_with(CREATION, path, value).unwrap() {
        Event::Creation(instance) => instance,
        other => panic!("{other:?}"),
    }
}

fn instance<'a>(id: Option<u64>, project: Option<&'a str>, name: &'a str) -> InstanceRef<'a> {
    InstanceRef {
        id: id.and_then(InstanceId::new),
        project: project.map(Cow::from),
        zone: Some("europe-west1-c".into()),
        name: Some(name.into()),
    }
}

fn time(text: &str) -> Option<Timestamp> {
    Some(text.parse().unwrap())
}

fn gke_n1() -> Instance<'static> {
    Instance {
        instance: instance(Some(ID), Some("mock-project"), "gke-n1"),
        cluster: Some("kubernetes-cluster".into()),
        location: Some("europe-west1".into()),
        node_pool: Some("spot-pool".into()),
        machine_type: Some("n2-standard-8".into()),
        spot: true,
        running: true,
        created_at: time("2023-09-16T08:42:31.325309Z"),
    }
}

#[test]
fn a_real_interruption() {
    let entry = read(INTERRUPTION).unwrap();
    let Event::Interruption { instance: found, reason } = entry.event else { panic!("{entry:?}") };
    assert_eq!(found, instance(Some(ID), Some("mock-project"), "gke-n1"));
    assert_eq!(InterruptionMethods::default().reasons().label(reason), "preempted");
    assert_eq!(entry.insert_id.as_deref(), Some("qnwer3e38dfz"));
    assert_eq!(entry.operation_id.as_deref(), Some("systemevent-1694860946116-1"));
    assert_eq!(entry.timestamp, time("2023-09-16T10:42:31.325309Z"));
}

#[test]
fn the_readmes_interruption() {
    let entry = read(INTERRUPTION_README).unwrap();
    let Event::Interruption { instance: found, .. } = entry.event else { panic!("{entry:?}") };
    assert_eq!(found, instance(None, Some("mock-project"), "mock-instance-spot-3706-5b909138-nr65"));
    assert_eq!((entry.insert_id, entry.operation_id, entry.timestamp), (None, None, None));
}

#[test]
fn a_real_creation() {
    assert_eq!(event(CREATION), Event::Creation(gke_n1()));
}

#[test]
fn the_readmes_creation_with_the_projects_number() {
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
fn a_creation_named_by_its_target_link_only() {
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
fn the_methods_that_create() {
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
fn labels_as_the_compute_api_writes_them() {
    let labels = json!({"goog-k8s-cluster-name": "other-cluster", "goog-k8s-node-pool-name": "pool-2"});
    let instance = creation_with("/protoPayload/request/labels", labels);
    assert_eq!(instance.cluster.as_deref(), Some("other-cluster"));
    assert_eq!(instance.node_pool.as_deref(), Some("pool-2"));
}

#[test]
fn karpenters_node_pools() {
    let label = |key: &str, value: &str| json!({"key": key, "value": value});
    let template = label("goog-k8s-node-pool-name", "template");
    let own = label("karpenter-sh-nodepool", "own");
    let kubernetes = label("karpenter.sh/nodepool", "kubernetes");
    let underscore = label("karpenter-sh_nodepool", "underscore");
    for (labels, expected) in [
        (json!([underscore, kubernetes, template, own]), Some("own")),
        (json!([own, template]), Some("own")),
        (json!([template, underscore, kubernetes]), Some("kubernetes")),
        (json!([underscore, template]), Some("underscore")),
        (json!([template, label("karpenter-sh-nodepool", "")]), Some("template")),
        (json!([template]), Some("template")),
        (json!([]), None),
    ] {
        assert_eq!(creation_with("/protoPayload/request/labels", labels).node_pool.as_deref(), expected);
    }
    // The same from the Compute API, whose labels are an object.
    let listed = r#"{"zone": "z", "name": "n", "labels": {"goog-k8s-node-pool-name": "template",
        "goog-k8s-cluster-name": "c", "karpenter-sh-nodepool": "own"}}"#;
    let listed = serde_json::from_str::<Resource<'_>>(listed).unwrap().into_instance().unwrap();
    assert_eq!(listed.node_pool.as_deref(), Some("own"));
}

#[test]
fn what_makes_an_instance_spot() {
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
        // Karpenter makes nodes on demand from the template of a spot pool too.
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
fn the_machine_type_is_the_last_part_of_its_url() {
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

fn failed(event: Result<Event<'static>, Invalid>) -> FailedCreation<'static> {
    match event.unwrap() {
        Event::CreationFailed(failed) => failed,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_failed_creation_adds_nothing() {
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
fn a_creation_that_began_and_failed_names_its_instance() {
    let failed = failed(read(CREATION_FAILED).map(|entry| entry.event));
    assert_eq!(failed.instance.instance, instance(Some(ID), Some("mock-project"), "gke-n1"));
    assert!(failed.had_begun && !failed.is_described);
    assert_eq!(failed.reason, FailureReason::Stockout);
}

#[test]
fn why_creations_fail() {
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
fn what_failed_creations_were_to_make() {
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

#[test]
fn the_end_of_an_operation_without_a_request_is_no_error() {
    let expected = Event::CreationFinished(instance(Some(ID), Some("mock-project"), "gke-n1"));
    assert_eq!(event(CREATION_END), expected);
    assert_eq!(event_with(CREATION_END, "/protoPayload/request", json!(null)).unwrap(), expected);

    let nameless =
        json!({"protoPayload": {"methodName": "v1.compute.instances.insert"}, "operation": {"last": true}});
    assert_eq!(event(&nameless.to_string()), Event::Ignored(Ignored::OperationEnd));
}

#[test]
fn a_bulk_insert_says_only_that_its_cluster_exists() {
    assert_eq!(event(BULK_REQUEST), Event::BulkRequest { cluster: Some("bulk-cluster".into()) });
}

#[test]
fn an_instance_of_a_bulk_insert_has_no_labels() {
    let expected = instance(Some(8_693_801_480_000_000_000), Some("mock-project"), "inst-0003");
    assert_eq!(event(BULK_INSTANCE), Event::UnlabelledCreation(expected));
}

#[test]
fn an_instance_of_a_bulk_insert_that_has_labels_after_all() {
    let properties = json!({"labels": [{"key": "goog-k8s-cluster-name", "value": "bulk-cluster"}], "machineType": "e2-micro"});
    let event = event_with(BULK_INSTANCE, "/protoPayload/request/instanceProperties", properties).unwrap();
    let Event::Creation(instance) = event else { panic!("{event:?}") };
    assert_eq!(instance.cluster.as_deref(), Some("bulk-cluster"));
    assert_eq!(instance.machine_type.as_deref(), Some("e2-micro"));
}

#[test]
fn an_instance_outside_any_cluster() {
    for labels in [json!([]), json!({}), json!(null), json!([{"key": "goog-k8s-cluster-name", "value": ""}])]
    {
        assert_eq!(creation_with("/protoPayload/request/labels", labels.clone()).cluster, None, "{labels}");
    }
}

#[test]
fn labels_of_a_strange_type_are_invalid_where_they_are_needed() {
    for labels in [json!("goog-k8s-cluster-name"), json!(1), json!(1.5), json!(true)] {
        let event = event_with(CREATION, "/protoPayload/request/labels", labels.clone());
        assert_eq!(event, Err(audit_log::MALFORMED_LABELS), "{labels}");
        let event = event_with(INTERRUPTION, "/protoPayload/request/labels", labels.clone());
        assert!(matches!(event, Ok(Event::Interruption { .. })), "{labels}");
    }
}

#[test]
fn strange_elements_among_the_labels_are_passed_over() {
    let labels = json!([null, 1, "x", [], {}, {"key": 5}, {"value": "v"}, {"key": "goog-k8s-cluster-location"},
        {"key": "goog-k8s-cluster-name", "value": "c", "more": {"deep": [1, 2, 3]}}]);
    let instance = creation_with("/protoPayload/request/labels", labels);
    assert_eq!((instance.cluster.as_deref(), instance.location), (Some("c"), None));
}

#[test]
fn ids_are_text_or_numbers_and_anything_else_is_none() {
    for (id, expected) in [
        (json!("18446744073709551615"), Some(u64::MAX)),
        (json!(18_446_744_073_709_551_615_u64), Some(u64::MAX)),
        (json!(7), Some(7)),
        (json!("0"), None),
        (json!(0), None),
        (json!(-7), None),
        (json!(1.5), None),
        (json!("184448819..."), None),
        (json!("18446744073709551616"), None),
        (json!(""), None),
        (json!(null), None),
        (json!(["7"]), None),
        (json!({"id": "7"}), None),
    ] {
        let event = event_with(INTERRUPTION, "/resource/labels/instance_id", id.clone()).unwrap();
        let Event::Interruption { instance, .. } = event else { panic!("{event:?}") };
        assert_eq!(instance.id.map(InstanceId::get), expected, "{id}");
        assert_eq!(instance.name.as_deref(), Some("gke-n1"));
    }
}

#[test]
fn where_an_instance_is_named() {
    let labels = |labels: Value| json!({"type": "gce_instance", "labels": labels});
    let named = |name: Value, resource: Value| {
        let message = json!({"protoPayload": {"methodName": "compute.instances.preempted", "resourceName": name},
            "resource": resource});
        read(message.to_string().leak()).map(|entry| match entry.event {
            Event::Interruption { instance, .. } => instance,
            other => panic!("{other:?}"),
        })
    };
    let id_only = InstanceRef { id: InstanceId::new(7), ..InstanceRef::default() };
    let place = |zone: &'static str, name: &'static str| InstanceRef {
        zone: Some(zone.into()),
        name: Some(name.into()),
        ..InstanceRef::default()
    };
    let of = |project: &'static str, instance: InstanceRef<'static>| InstanceRef {
        project: Some(project.into()),
        ..instance
    };

    for (name, resource, expected) in [
        ("projects/p/zones/z/instances/n", json!(null), Ok(of("p", place("z", "n")))),
        (
            "//compute.googleapis.com/projects/p/zones/z/instances/n",
            json!(null),
            Ok(of("p", place("z", "n"))),
        ),
        ("https://x/compute/beta/projects/p/zones/z/instances/n", json!(null), Ok(of("p", place("z", "n")))),
        ("projects/google.com:p/zones/z/instances/n", json!(null), Ok(of("google.com:p", place("z", "n")))),
        ("projects/123/zones/z/instances/n", json!(null), Ok(place("z", "n"))),
        (
            "projects/123/zones/z/instances/n",
            labels(json!({"project_id": "p"})),
            Ok(of("p", place("z", "n"))),
        ),
        ("zones/z/instances/n", json!(null), Ok(place("z", "n"))),
        ("zones/z/instances/n", labels(json!({"project_id": "123"})), Ok(place("z", "n"))),
        ("", labels(json!({"instance_id": "7"})), Ok(id_only)),
        ("projects/p/zones/z/instances", json!(null), Err(audit_log::NO_INSTANCE)),
        ("projects/p/zones/z/instances/", json!(null), Err(audit_log::NO_INSTANCE)),
        ("projects/p/zones//instances/n", json!(null), Err(audit_log::NO_INSTANCE)),
        ("projects/p/regions/r/instances/n", json!(null), Err(audit_log::NO_INSTANCE)),
        ("projects/p/zones/z/disks/n", json!(null), Err(audit_log::NO_INSTANCE)),
        ("n", labels(json!({"zone": "z"})), Err(audit_log::NO_INSTANCE)),
        ("", labels(json!([])), Err(audit_log::NO_INSTANCE)),
    ] {
        assert_eq!(named(json!(name), resource.clone()), expected, "{name} {resource}");
    }
    assert_eq!(named(json!(null), json!(7)), Err(audit_log::NO_INSTANCE));
}

#[test]
fn a_creation_can_be_named_by_its_request() {
    let message = json!({"protoPayload": {"methodName": "v1.compute.instances.insert",
        "request": {"name": "n", "labels": [{"key": "goog-k8s-cluster-name", "value": "c"}]}},
        "resource": {"labels": {"zone": "z"}}})
    .to_string();
    let Event::Creation(instance) = event(&message) else { panic!("{message}") };
    assert_eq!(instance.instance.zone_and_name(), Some(("z", "n")));
}

#[test]
fn escapes_are_undone() {
    let message = r#"{"proto\u0050ayload": {"methodName": "v1.compute.instances.insert",
        "resourceName": "projects\/p\/zones\/z\/instances\/n",
        "request": {"machineType": "a\/b", "labels": [{"key": "goog-k8s-cluster-n\u0061me", "value": "\"\\\n\u00e9\ud83d\ude00"}]}}}"#;
    let Event::Creation(instance) = event(message) else { panic!() };
    assert_eq!(instance.instance.zone_and_name(), Some(("z", "n")));
    assert_eq!(instance.instance.project.as_deref(), Some("p"));
    assert_eq!(instance.machine_type.as_deref(), Some("b"));
    assert_eq!(instance.cluster.as_deref(), Some("\"\\\n\u{e9}\u{1f600}"));
}

#[test]
fn times_with_fractions_and_offsets() {
    for (text, expected) in [
        (json!("2023-09-16T10:42:31Z"), time("2023-09-16T10:42:31Z")),
        (json!("2023-09-16T10:42:31.325309123Z"), time("2023-09-16T10:42:31.325309123Z")),
        (json!("2023-09-16T03:42:31.5-07:00"), time("2023-09-16T10:42:31.5Z")),
        (json!("2023-09-16"), None),
        (json!("2023-13-16T10:42:31Z"), None),
        (json!("yesterday"), None),
        (json!(1_694_860_951), None),
        (json!(null), None),
    ] {
        let mut entry: Value = serde_json::from_str(INTERRUPTION).unwrap();
        entry["timestamp"] = text.clone();
        assert_eq!(read(&entry.to_string()).unwrap().timestamp, expected, "{text}");
    }
}

#[test]
fn what_cannot_be_read_has_a_reason() {
    let not_json = |line, column| Invalid::NotJson { line, column };
    for (text, expected) in [
        ("", not_json(1, 0)),
        ("nonsense", not_json(1, 2)),
        ("{\"protoPayload\":", not_json(1, 16)),
        ("{\"insertId\": \"\u{1}\"}", not_json(1, 15)),
        ("{} {}", not_json(1, 4)),
        ("{\n1: 2}", not_json(2, 1)),
        ("null", audit_log::NOT_AN_OBJECT),
        ("[]", audit_log::NOT_AN_OBJECT),
        ("[{\"protoPayload\": {}}]", audit_log::NOT_AN_OBJECT),
        ("\"text\"", audit_log::NOT_AN_OBJECT),
        ("17", audit_log::NOT_AN_OBJECT),
        ("true", audit_log::NOT_AN_OBJECT),
        ("{}", audit_log::NO_PROTO_PAYLOAD),
        ("{\"protoPayload\": null}", audit_log::NO_PROTO_PAYLOAD),
        ("{\"protoPayload\": []}", audit_log::NO_PROTO_PAYLOAD),
        ("{\"protoPayload\": \"text\"}", audit_log::NO_PROTO_PAYLOAD),
        ("{\"jsonPayload\": {}}", audit_log::NO_PROTO_PAYLOAD),
        ("{\"protoPayload\": {}}", audit_log::NO_METHOD_NAME),
        ("{\"protoPayload\": {\"methodName\": null}}", audit_log::NO_METHOD_NAME),
        ("{\"protoPayload\": {\"methodName\": \"\"}}", audit_log::NO_METHOD_NAME),
        (
            "{\"protoPayload\": {\"methodName\": [\"compute.instances.preempted\"]}}",
            audit_log::NO_METHOD_NAME,
        ),
        ("{\"protoPayload\": {\"methodName\": \"compute.instances.preempted\"}}", audit_log::NO_INSTANCE),
        (
            "{\"protoPayload\": {\"methodName\": \"v1.compute.instances.insert\", \"request\": {\"labels\": []}}}",
            audit_log::NO_INSTANCE,
        ),
    ] {
        assert_eq!(read(text), Err(expected), "{text}");
        assert!(!expected.to_string().is_empty() && !expected.label().is_empty());
    }
    assert!(matches!(
        parse(b"{\"insertId\": \"\xff\"}", &InterruptionMethods::default()),
        Err(Invalid::NotJson { .. })
    ));
}

#[test]
fn nulls_and_wrong_types_cost_only_themselves() {
    // Each field of the entry in turn, at every level, becomes each kind of JSON.
    fn paths(value: &Value, at: &str, found: &mut Vec<String>) {
        if let Some(object) = value.as_object() {
            for (key, value) in object {
                let at = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
                found.push(at.clone());
                paths(value, &at, found);
            }
        }
    }
    for fixture in [INTERRUPTION, CREATION, CREATION_END, BULK_REQUEST, BULK_INSTANCE] {
        let entry: Value = serde_json::from_str(fixture).unwrap();
        let mut found = Vec::new();
        paths(&entry, "", &mut found);
        for path in found {
            for value in [
                json!(null),
                json!(true),
                json!(3),
                json!(1.5),
                json!("x"),
                json!([1, [2]]),
                json!({"a": {"b": 1}}),
            ] {
                let mut entry = entry.clone();
                *entry.pointer_mut(&path).unwrap() = value.clone();
                let result = read(entry.to_string().leak());
                let needed = ["/protoPayload", "/protoPayload/methodName"].contains(&path.as_str());
                let labels = path.ends_with("/labels") && result == Err(audit_log::MALFORMED_LABELS);
                // The name can be all there is to go by once the rest is not an object.
                let names = result == Err(audit_log::NO_INSTANCE) && path == "/protoPayload/resourceName";
                assert!(needed || labels || names || result.is_ok(), "{path} = {value}: {result:?}");
            }
        }
    }
}

#[test]
fn the_last_of_repeated_keys_counts() {
    let message = r#"{"insertId": "a", "insertId": "b", "protoPayload": {"methodName": "x"},
        "protoPayload": {"methodName": "compute.instances.preempted", "resourceName": "zones/z/instances/n"}}"#;
    let entry = read(message).unwrap();
    assert!(matches!(entry.event, Event::Interruption { .. }));
    assert_eq!(entry.insert_id.as_deref(), Some("b"));
}

#[test]
fn depth_is_no_danger() {
    let deep = |opening: &str, closing: &str| opening.repeat(1_000_000) + &closing.repeat(1_000_000);
    let unknown = format!("{{\"x\": {}, {}", deep("[", "]"), &INTERRUPTION[1..]);
    assert!(matches!(event(&unknown), Event::Interruption { .. }));

    for opening in ["[", "{\"a\":", "{\"protoPayload\":", "{\"protoPayload\":{\"request\":{\"labels\":"] {
        assert!(read(&opening.repeat(1_000_000)).is_err(), "{opening}");
    }
    let labels = format!(
        "{{\"protoPayload\": {{\"methodName\": \"v1.compute.instances.insert\", \"resourceName\": \
         \"zones/z/instances/n\", \"request\": {{\"labels\": {}}}}}}}",
        deep("[", "]")
    );
    assert!(matches!(event(&labels), Event::Creation(_)));
}

#[test]
fn an_enormous_message_is_like_a_small_one() {
    let script = "#!/bin/sh\\n".repeat(1_000_000);
    let metadata =
        format!("\"metadata\": {{\"items\": [{{\"key\": \"startup-script\", \"value\": \"{script}\"}}]}}, ");
    let large = CREATION.replace("\"machineType\"", &(metadata + "\"machineType\""));
    assert!(large.len() > 10_000_000);
    assert_eq!(event(&large), Event::Creation(gke_n1()));
}

#[test]
fn text_is_borrowed_from_the_message() {
    let Event::Creation(instance) = event(CREATION) else { panic!() };
    for text in [&instance.cluster, &instance.node_pool, &instance.machine_type, &instance.instance.name] {
        assert!(matches!(text, Some(Cow::Borrowed(_))), "{text:?}");
    }
}

#[test]
fn interruption_methods_have_reasons() {
    let methods = InterruptionMethods::new([
        "compute.instances.preempted",
        "compute.instances.hostError",
        "v1.compute.instances.preempted",
        "compute.instances.guestTerminate",
    ])
    .unwrap();
    let label = |method| methods.reason(method).map(|reason| methods.reasons().label(reason));
    assert_eq!(label("compute.instances.preempted"), Some("preempted"));
    assert_eq!(label("v1.compute.instances.preempted"), Some("preempted"));
    assert_eq!(label("compute.instances.hostError"), Some("host_error"));
    assert_eq!(label("compute.instances.guestTerminate"), Some("guest_terminate"));
    for method in ["beta.compute.instances.preempted", "alpha.compute.instances.preempted"] {
        assert_eq!(label(method), Some("preempted"), "{method}");
    }
    assert_eq!(label("v1.compute.instances.hostError"), Some("host_error"));
    assert_eq!(label("compute.instances.automaticRestart"), None);
    assert_eq!(label("xcompute.instances.preempted"), None);
    assert_eq!(
        methods.reason("compute.instances.preempted"),
        methods.reason("v1.compute.instances.preempted"),
        "they share a time series, so they share a reason"
    );

    let versioned = InterruptionMethods::new(["beta.compute.instances.delete"]).unwrap();
    for method in ["compute.instances.delete", "v1.compute.instances.delete", "beta.compute.instances.delete"]
    {
        assert!(versioned.reason(method).is_some(), "{method}");
    }
    let mut preempted: Value = serde_json::from_str(INTERRUPTION).unwrap();
    preempted["protoPayload"]["methodName"] = json!("v1.compute.instances.preempted");
    assert!(matches!(event(&preempted.to_string()), Event::Interruption { .. }));

    let no_methods: [&str; 0] = [];
    assert_eq!(InterruptionMethods::new(no_methods).unwrap_err(), InvalidMethods::Empty);
    for name in ["", " ", "compute.instances.", "compute.instances.pre-empted", "compute instances"] {
        let error = InterruptionMethods::new([name]).unwrap_err();
        assert!(matches!(error, InvalidMethods::NotAMethod(_)), "{name}");
    }
}

#[test]
fn a_listed_instance_reads_like_a_created_one() {
    let listed = serde_json::from_str::<Resource<'_>>(LISTED).unwrap().into_instance().unwrap();
    assert_eq!(listed, Instance { created_at: time("2023-09-16T08:42:31.325Z"), ..gke_n1() });
}

#[test]
fn a_listed_instance_need_not_run() {
    for (status, running) in [
        ("PROVISIONING", true),
        ("STAGING", true),
        ("RUNNING", true),
        ("REPAIRING", true),
        ("STOPPING", false),
        ("SUSPENDED", false),
        ("TERMINATED", false),
    ] {
        let listed = LISTED.replace("RUNNING", status);
        let instance = serde_json::from_str::<Resource<'_>>(&listed).unwrap().into_instance().unwrap();
        assert_eq!(instance.running, running, "{status}");
    }
    assert!(serde_json::from_str::<Resource<'_>>("{}").unwrap().into_instance().is_none());
    assert!(serde_json::from_str::<Resource<'_>>("[1]").unwrap().into_instance().is_none());
}
