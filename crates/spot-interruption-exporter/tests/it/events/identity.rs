//! How an entry identifies its instance: id, project, zone and name.

use super::*;

#[test]
fn accepts_ids_as_text_or_number() {
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
fn finds_project_zone_and_name() {
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
    let located = |zone: &'static str, name: &'static str| InstanceRef {
        zone: Some(zone.into()),
        name: Some(name.into()),
        ..InstanceRef::default()
    };
    let of = |project: &'static str, instance: InstanceRef<'static>| InstanceRef {
        project: Some(project.into()),
        ..instance
    };

    for (name, resource, expected) in [
        ("projects/p/zones/z/instances/n", json!(null), Ok(of("p", located("z", "n")))),
        (
            "//compute.googleapis.com/projects/p/zones/z/instances/n",
            json!(null),
            Ok(of("p", located("z", "n"))),
        ),
        (
            "https://x/compute/beta/projects/p/zones/z/instances/n",
            json!(null),
            Ok(of("p", located("z", "n"))),
        ),
        ("projects/google.com:p/zones/z/instances/n", json!(null), Ok(of("google.com:p", located("z", "n")))),
        ("projects/123/zones/z/instances/n", json!(null), Ok(located("z", "n"))),
        (
            "projects/123/zones/z/instances/n",
            labels(json!({"project_id": "p"})),
            Ok(of("p", located("z", "n"))),
        ),
        ("zones/z/instances/n", json!(null), Ok(located("z", "n"))),
        ("zones/z/instances/n", labels(json!({"project_id": "123"})), Ok(located("z", "n"))),
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
fn identifies_a_creation_by_its_request() {
    let message = json!({"protoPayload": {"methodName": "v1.compute.instances.insert",
        "request": {"name": "n", "labels": [{"key": "goog-k8s-cluster-name", "value": "c"}]}},
        "resource": {"labels": {"zone": "z"}}})
    .to_string();
    let Event::Creation(instance) = event(&message) else { panic!("{message}") };
    assert_eq!(instance.instance.zone_and_name(), Some(("z", "n")));
}
