//! Evaluates the notification policy of `deploy/spacelift` with the documented input.

use std::time::Duration;

use regorus::Engine;
use sandbox::spacelift::webhook::{Changes, Delivery, RunInfo};
use serde_json::{Value, json};

const POLICY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/spacelift/policy.rego");
const OURS: (&str, &[&str]) = ("metrics-01K5", &["team:core", "spacelift-promex"]);
const OTHER: (&str, &[&str]) = ("chat", &["spacelift"]);

fn engine(rego_v0: bool) -> Engine {
    let mut engine = Engine::new();
    engine.set_rego_v0(rego_v0);
    engine.add_policy_from_file(POLICY).unwrap();
    engine
}

/// Evaluates the rule `webhook` with the Rego syntax before and after version 1.0 of Open Policy Agent.
fn webhooks(input: &Value) -> Vec<Value> {
    let [new, old] = [false, true].map(|rego_v0| {
        let mut engine = engine(rego_v0);
        engine.set_input_json(&input.to_string()).unwrap();
        let decision = engine.eval_rule("data.spacelift.webhook".to_owned()).unwrap();
        serde_json::from_str::<Value>(&decision.to_json_str().unwrap()).unwrap()
    });
    assert_eq!(new, old);
    new.as_array().expect("a set").clone()
}

fn payload(input: &Value) -> Value {
    let webhooks = webhooks(input);
    assert_eq!(webhooks.len(), 1, "{webhooks:?}");
    assert_eq!(webhooks[0]["endpoint_id"], OURS.0);
    webhooks[0]["payload"].clone()
}

fn run() -> RunInfo {
    RunInfo::new("01EF9PFPNFFM2MQXTJKHK1B869", "network")
        .triggered_by("developer")
        .space("infra-01", "infra")
        .labels(["team:core"])
        .changes(Changes { added: 1, changed: 0, deleted: 2, replaced: 1 })
        .policy_receipt("PLAN", "warn")
}

/// Returns all state changes of a run, on a private pool and on the public one.
fn deliveries() -> Vec<Delivery> {
    let at = |seconds| run().created_at + Duration::from_secs(seconds);
    let states = ["QUEUED", "READY", "PLANNING", "UNCONFIRMED", "CONFIRMED", "APPLYING", "FINISHED"];
    let states: Vec<_> = states.into_iter().zip((0..).map(at)).collect();
    let private = run().worker_pool("01G8", "blue").drift_detection(true);
    [run(), private]
        .iter()
        .flat_map(|run| Delivery::history(run, states.clone()))
        .map(|delivery| delivery.username("developer").note("looks good"))
        .collect()
}

#[test]
fn matches_the_sandbox_payload() {
    for delivery in deliveries() {
        let made = payload(&delivery.policy_input(&[OTHER, OURS]));
        assert_eq!(made, delivery.policy_payload());
        assert!(!made.to_string().contains("not to be passed on"));
        for name in ["commit", "creator_session", "runtime_config", "entity", "environment", "tracked_commit"]
        {
            assert!(!made.to_string().contains(&format!("\"{name}\"")), "{name}");
        }
    }
}

#[test]
fn selects_the_webhook_by_label_or_id() {
    let delivery = deliveries().remove(0);
    let chosen = |webhooks_given: &[(&str, &[&str])]| -> Vec<String> {
        let webhooks = webhooks(&delivery.policy_input(webhooks_given));
        webhooks.iter().map(|webhook| webhook["endpoint_id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(chosen(&[OTHER]), [""; 0]);
    assert_eq!(chosen(&[OURS, OTHER]), [OURS.0]);
    assert_eq!(chosen(&[("spacelift-promex", &[])]), ["spacelift-promex"]);
    assert_eq!(chosen(&[("spacelift-promex", &["spacelift-promex"])]), ["spacelift-promex"]);
    assert_eq!(chosen(&[("a", &["spacelift-promex"]), ("b", &["spacelift-promex"])]), ["a", "b"]);
}

/// Collects the JSON pointers of all fields of an object.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    if let Value::Object(fields) = value {
        for (name, field) in fields {
            let at = format!("{at}/{name}");
            pointers(field, &at, found);
            found.push(at);
        }
    }
}

fn remove(value: &mut Value, pointer: &str) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    value.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name);
}

#[test]
fn missing_fields_do_not_affect_others() {
    let input = deliveries().pop().unwrap().policy_input(&[OURS]);
    let whole = payload(&input);
    let mut places = Vec::new();
    pointers(&input["run_updated"], "/run_updated", &mut places);
    places.extend(["/account".to_owned(), "/account/name".to_owned()]);
    assert!(places.len() > 50);
    for place in places {
        let mut without = input.clone();
        remove(&mut without, &place);
        let mut with_null = input.clone();
        *with_null.pointer_mut(&place).unwrap() = Value::Null;

        let ours = place.strip_prefix("/run_updated").unwrap_or("/account").to_owned();
        for input in [without, with_null] {
            let mut made = payload(&input);
            let mut expected = whole.clone();
            // Only the removed field differs.
            for payload in [&mut made, &mut expected] {
                if payload.pointer(&ours).is_some() {
                    remove(payload, &ours);
                }
            }
            assert_eq!(made, expected, "{place}");
        }
    }
}

#[test]
fn reads_lists_at_their_older_location() {
    let mut input = deliveries().pop().unwrap().policy_input(&[OURS]);
    let whole = payload(&input);
    input["run_updated"]["run"]["policy_receipts"] = input["run_updated"]["policy_receipts"].take();
    assert_eq!(payload(&input), whole);
}

#[test]
fn forwards_internal_errors_and_ignores_other_events() {
    let endpoints = json!([{ "id": OURS.0, "labels": OURS.1 }, { "id": OTHER.0, "labels": OTHER.1 }]);
    let error = json!({
        "account": { "name": "acme" }, "webhook_endpoints": endpoints,
        "internal_error": { "error": "e", "message": "m", "severity": "ERROR" },
    });
    assert_eq!(webhooks(&error), [json!({ "endpoint_id": OURS.0 })]);
    for other in [
        json!({ "account": { "name": "acme" }, "webhook_endpoints": endpoints, "module_version": { "module": {} } }),
        json!({ "account": { "name": "acme" }, "webhook_endpoints": endpoints, "run_updated": null }),
        json!({ "account": { "name": "acme" }, "run_updated": {} }),
        json!({}),
    ] {
        let expected: [Value; 0] = [];
        assert_eq!(webhooks(&other), expected, "{other}");
    }
}
