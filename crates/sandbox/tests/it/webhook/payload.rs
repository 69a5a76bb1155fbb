//! Tests of both payloads.

use std::time::Duration;

use sandbox::spacelift::webhook::{
    Changes, Delivery, PolicyReceipt, RunInfo, Shape, SignedRequest, sha1_signature, signature,
};
use serde_json::{Value, json};

const CREATED: Duration = Duration::from_secs(1_596_979_665);

fn after(millis: u64) -> Duration {
    CREATED + Duration::from_millis(millis)
}

/// Returns a tracked run with data in all fields.
fn run() -> RunInfo {
    let mut run = RunInfo::new("01EF9PFPNFFM2MQXTJKHK1B869", "network")
        .created_at(CREATED)
        .triggered_by("api::01")
        .worker_pool("01G8", "blue")
        .space("infra-01", "infra")
        .labels(["team:core"])
        .changes(Changes { added: 1, changed: 2, deleted: 0, replaced: 1 });
    run.stack.name = "Network".to_owned();
    run.policy_receipts.push(PolicyReceipt {
        name: "no public buckets".to_owned(),
        policy_type: "PLAN".to_owned(),
        outcome: "allow".to_owned(),
        flags: vec!["seen".to_owned()],
    });
    run
}

fn finished() -> Delivery {
    Delivery::new(run())
        .state("QUEUED", 0, CREATED)
        .state("PLANNING", 1, after(1_000))
        .state("UNCONFIRMED", 2, after(3_000))
        .state("PLANNING", 3, after(6_000))
        .state("FINISHED", 4, after(6_500))
        .note("looks good")
        .username("developer")
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn the_default_payload_has_the_documented_fields() {
    let payload = finished().default_payload();
    assert_eq!(
        keys(&payload),
        [
            "account",
            "event_source",
            "event_type",
            "note",
            "run",
            "stack",
            "state",
            "stateVersion",
            "timestamp",
            "timestamp_millis",
            "workerPool"
        ]
    );
    assert_eq!(
        keys(&payload["run"]),
        ["branch", "commit", "createdAt", "delta", "driftDetection", "id", "triggeredBy", "type", "url"]
    );
    assert_eq!(payload["state"], "FINISHED");
    assert_eq!(payload["stateVersion"], 4);
    assert_eq!(payload["timestamp"], 1_596_979_671);
    assert_eq!(payload["timestamp_millis"], 1_596_979_671_500_u64);
    assert_eq!(payload["event_type"], "run_state_changed_event");
    assert_eq!(payload["run"]["createdAt"], 1_596_979_665);
    assert_eq!(payload["run"]["delta"], json!({ "added": 2, "changed": 2, "deleted": 1, "resources": 1 }));
    assert_eq!(payload["workerPool"], json!({ "public": false, "id": "01G8", "name": "blue", "labels": [] }));
    assert_eq!(payload["stack"]["labels"], json!(["team:core"]));
    assert_eq!(
        payload["run"]["url"],
        "https://acme.app.spacelift.io/stack/network/run/01EF9PFPNFFM2MQXTJKHK1B869"
    );
}

#[test]
fn omits_fields_in_old_payloads() {
    let delivery = Delivery::new(RunInfo::new("01", "s")).state("QUEUED", 0, CREATED);
    let payload = delivery.clone().old(true).default_payload();
    assert_eq!(keys(&payload), ["account", "run", "stack", "state", "stateVersion", "timestamp"]);
    assert_eq!(
        keys(&payload["run"]),
        ["branch", "commit", "createdAt", "driftDetection", "id", "type", "url"]
    );
    assert_eq!(delivery.default_payload()["workerPool"]["public"], true);
    let policy = delivery.policy_payload();
    assert_eq!(policy["stack"].get("worker_pool"), None);
    assert_eq!(policy["run"]["changes"], json!([]));
}

#[test]
fn the_policy_payload_has_the_selected_fields() {
    let payload = finished().policy_payload();
    let nanos = |at: Duration| u64::try_from(at.as_nanos()).unwrap();
    let change = |action: &str, phase: &str| json!({ "action": action, "phase": phase, "moved": false });
    let changes: Vec<_> = ["plan", "apply"]
        .into_iter()
        .flat_map(|phase| {
            ["added", "changed", "changed", "destroy-Before-create-replaced"]
                .map(|action| change(action, phase))
        })
        .collect();
    let expected = json!({
        "account": "acme", "state": "FINISHED", "username": "developer", "note": "looks good",
        "run": {
            "id": "01EF9PFPNFFM2MQXTJKHK1B869", "type": "TRACKED", "created_at": nanos(CREATED),
            "updated_at": nanos(after(6_500)), "drift_detection": false, "triggered_by": "api::01", "changes": changes,
        },
        "stack": {
            "id": "network", "name": "Network", "labels": ["team:core"],
            "space": { "id": "infra-01", "name": "infra" }, "worker_pool": { "id": "01G8", "name": "blue", "public": false },
        },
        "timing": [
            { "state": "QUEUED", "duration": 1_000_000_000_u64 },
            { "state": "PLANNING", "duration": 2_500_000_000_u64 },
            { "state": "UNCONFIRMED", "duration": 3_000_000_000_u64 },
        ],
        "policy_receipts": [{ "name": "no public buckets", "type": "PLAN", "outcome": "allow", "flags": ["seen"] }],
        "urls": { "run": "https://acme.app.spacelift.io/stack/network/run/01EF9PFPNFFM2MQXTJKHK1B869" },
    });
    assert_eq!(payload, expected);
    assert!(!payload.to_string().contains("not to be passed on"));
    assert!(finished().policy_input(&[]).to_string().contains("not to be passed on"));
}

#[test]
fn history_has_a_delivery_for_each_state() {
    let deliveries =
        Delivery::history(&run(), [("QUEUED", CREATED), ("PLANNING", after(1)), ("FAILED", after(2))]);
    let seen: Vec<_> = deliveries.iter().map(|d| (d.current(), d.version(), d.is_terminal())).collect();
    assert_eq!(seen, [("QUEUED", 0, false), ("PLANNING", 1, false), ("FAILED", 2, true)]);
    assert_eq!(deliveries[0].timing(), []);
    assert_eq!(deliveries[2].timing().len(), 2);
}

#[test]
fn signs_the_sent_bytes() {
    let request = finished().signed(Shape::Default, "a secret");
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(body, finished().default_payload());
    assert_eq!(request.header("X-Signature-256"), Some(&*signature("a secret", &request.body)));
    assert_eq!(request.header("X-Signature"), Some(&*sha1_signature("a secret", &request.body)));
    assert_eq!(finished().bodies(Shape::Both).len(), 2);
    assert_ne!(SignedRequest::new("x", "a").headers, SignedRequest::new("x", "b").headers);
    assert_eq!("both".parse(), Ok(Shape::Both));
    assert!("nonsense".parse::<Shape>().is_err());
}
