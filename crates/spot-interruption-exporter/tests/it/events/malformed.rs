//! Malformed, unusual and very large entries.

use super::*;

#[test]
fn decodes_escapes() {
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
fn parses_times_with_fractions_and_offsets() {
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
fn rejects_invalid_messages_with_a_reason() {
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
fn ignores_nulls_and_wrong_types_of_optional_fields() {
    // Each field at every level is replaced by a value of each JSON type.
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
                // The resource name identifies the instance when the other fields are not objects.
                let names = result == Err(audit_log::NO_INSTANCE) && path == "/protoPayload/resourceName";
                assert!(needed || labels || names || result.is_ok(), "{path} = {value}: {result:?}");
            }
        }
    }
}

#[test]
fn the_last_of_repeated_keys_wins() {
    let message = r#"{"insertId": "a", "insertId": "b", "protoPayload": {"methodName": "x"},
        "protoPayload": {"methodName": "compute.instances.preempted", "resourceName": "zones/z/instances/n"}}"#;
    let entry = read(message).unwrap();
    assert!(matches!(entry.event, Event::Interruption { .. }));
    assert_eq!(entry.insert_id.as_deref(), Some("b"));
}

#[test]
fn accepts_deeply_nested_unknown_fields() {
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
fn parses_a_message_of_10_mb() {
    let script = "#!/bin/sh\\n".repeat(1_000_000);
    let metadata =
        format!("\"metadata\": {{\"items\": [{{\"key\": \"startup-script\", \"value\": \"{script}\"}}]}}, ");
    let large = CREATION.replace("\"machineType\"", &(metadata + "\"machineType\""));
    assert!(large.len() > 10_000_000);
    assert_eq!(event(&large), Event::Creation(gke_n1()));
}
