//! The JSON payloads of a delivery.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{Changes, Delivery, RunInfo};

/// Returns Spacelift's default payload.
pub(super) fn default(delivery: &Delivery) -> Value {
    let Delivery { run, note, old, .. } = delivery;
    let at = delivery.at();
    let stack = &run.stack;
    let mut payload = json!({
        "account": run.account,
        "state": delivery.current(),
        "stateVersion": delivery.version(),
        "timestamp": at.as_secs(),
        "run": {
            "id": run.id,
            "branch": run.branch,
            "commit": {
                "authorName": run.commit.author_name,
                "hash": run.commit.hash,
                "message": run.commit.message,
                "timestamp": run.commit.at.as_secs(),
                "url": commit_url(run),
            },
            "createdAt": run.created_at.as_secs(),
            "driftDetection": run.drift_detection,
            "type": run.run_type,
            "url": run.url(),
        },
        "stack": {
            "id": stack.id,
            "name": stack.name,
            "labels": stack.labels,
            "repository": stack.repository,
            "url": run.stack_url(),
            "vcs": "GITHUB",
        },
    });
    if !old {
        payload["timestamp_millis"] = millis(at);
        payload["event_source"] = json!("spacelift");
        payload["event_type"] = json!("run_state_changed_event");
    }
    set(&mut payload, "note", note.as_ref());
    set(&mut payload["run"], "triggeredBy", run.triggered_by.as_ref());
    set(&mut payload["run"], "command", run.command.as_ref());
    set(&mut payload["run"]["commit"], "authorLogin", run.commit.author_login.as_ref());
    set(&mut payload["stack"], "description", stack.description.as_ref());
    if let Some(changes) = run.changes {
        let (added, changed, deleted) = changes.delta();
        payload["run"]["delta"] =
            json!({ "added": added, "changed": changed, "deleted": deleted, "resources": run.resources });
    }
    match &run.worker_pool {
        Some(pool) => {
            payload["workerPool"] =
                json!({ "public": false, "id": pool.id, "name": pool.name, "labels": pool.labels });
        }
        // The field is optional: old payloads omit it.
        None if *old => {}
        None => payload["workerPool"] = json!({ "public": true, "id": "", "name": "", "labels": [] }),
    }
    payload
}

/// Returns the fields of the policy input that the policy selects.
pub(super) fn policy(delivery: &Delivery) -> Value {
    let input = policy_input(delivery, &[]);
    let updated = &input["run_updated"];
    let mut payload = json!({ "account": input["account"]["name"] });
    copy(updated, &mut payload, &["state", "username", "note"]);
    payload["run"] = picked(
        &updated["run"],
        &["id", "type", "created_at", "updated_at", "drift_detection", "triggered_by"],
    );
    payload["run"]["changes"] = changes(delivery, false).into();
    payload["stack"] = picked(&updated["stack"], &["id", "name", "labels"]);
    payload["stack"]["space"] = picked(&updated["stack"]["space"], &["id", "name"]);
    if updated["stack"].get("worker_pool").is_some() {
        payload["stack"]["worker_pool"] = picked(&updated["stack"]["worker_pool"], &["id", "name", "public"]);
    }
    payload["timing"] = updated["timing"].clone();
    payload["policy_receipts"] = updated["policy_receipts"].clone();
    payload["urls"] = updated["urls"].clone();
    payload
}

/// Returns the input of a notification policy, including fields that the policy must not select.
pub(super) fn policy_input(delivery: &Delivery, webhooks: &[(&str, &[&str])]) -> Value {
    let Delivery { run, username, note, .. } = delivery;
    let stack = &run.stack;
    let commit = json!({
        "author": run.commit.author_login.as_ref().unwrap_or(&run.commit.author_name),
        "branch": run.branch,
        "created_at": nanos(run.commit.at),
        "hash": run.commit.hash,
        "message": run.commit.message,
        "url": commit_url(run),
    });
    let timing: Vec<Value> = delivery
        .timing()
        .into_iter()
        .map(|(state, spent)| json!({ "state": state, "duration": nanos(spent) }))
        .collect();
    let states: Vec<Value> = delivery
        .states
        .iter()
        .map(|(state, version, at)| json!({ "state": state, "state_version": version, "created_at": nanos(*at) }))
        .collect();
    let receipts: Vec<Value> = run
        .policy_receipts
        .iter()
        .map(|receipt| {
            json!({
                "name": receipt.name, "type": receipt.policy_type, "outcome": receipt.outcome, "flags": receipt.flags,
            })
        })
        .collect();
    let mut input = json!({
        "account": { "name": run.account },
        "run_updated": {
            "state": delivery.current(),
            "username": username.as_deref().unwrap_or_default(),
            "note": note.as_deref().unwrap_or_default(),
            "run": {
                "based_on_local_workspace": false,
                "branch": run.branch,
                "changes": changes(delivery, true),
                "command": run.command.as_deref().unwrap_or_default(),
                "commit": commit,
                "created_at": nanos(run.created_at),
                "creator_session": {
                    "admin": false, "creator_ip": "192.0.2.1", "login": "developer", "machine": false,
                    "name": "A. Developer", "teams": ["core"],
                },
                "drift_detection": run.drift_detection,
                "flags": [],
                "id": run.id,
                "runtime_config": {
                    "before_init": ["./login.sh"], "environment": { "TF_VAR_password": "not to be passed on" },
                    "project_root": "", "runner_image": "", "terraform_version": "1.5.7",
                },
                "state": delivery.current(),
                "states_history": states,
                "triggered_by": run.triggered_by,
                "type": run.run_type,
                "updated_at": nanos(delivery.at()),
                "user_provided_metadata": [],
            },
            "stack": {
                "administrative": false,
                "autodeploy": false,
                "branch": run.branch,
                "id": stack.id,
                "labels": stack.labels,
                "locked_by": null,
                "name": stack.name,
                "namespace": "acme",
                "project_root": "",
                "repository": stack.repository,
                "space": { "id": stack.space_id, "labels": [], "name": stack.space_name },
                "state": delivery.current(),
                "terraform_version": "1.5.7",
                "tracked_commit": commit,
            },
            "timing": timing,
            "policy_receipts": receipts,
            "urls": { "run": run.url() },
        },
        "webhook_endpoints": webhooks.iter().map(|(id, labels)| json!({ "id": id, "labels": labels })).collect::<Value>(),
    });
    if let Some(pool) = &run.worker_pool {
        input["run_updated"]["stack"]["worker_pool"] =
            json!({ "public": false, "id": pool.id, "name": pool.name, "labels": pool.labels });
    }
    input
}

/// Returns the planned changes and, after the run has finished, the applied changes.
fn changes(delivery: &Delivery, with_entities: bool) -> Vec<Value> {
    let run = &delivery.run;
    let Some(Changes { added, changed, deleted, replaced }) = run.changes else { return Vec::new() };
    let applied = delivery.current() == "FINISHED" && run.run_type != "PROPOSED";
    let phases: &[&str] = if applied { &["plan", "apply"] } else { &["plan"] };
    let actions = [
        ("added", added),
        ("changed", changed),
        ("deleted", deleted),
        ("destroy-Before-create-replaced", replaced),
    ];
    let mut list = Vec::new();
    for phase in phases {
        for (action, count) in actions {
            for number in 0..count {
                let mut change = json!({ "action": action, "phase": phase, "moved": false });
                if with_entities {
                    let address = format!("null_resource.{action}[{number}]");
                    change["entity"] = json!({
                        "address": address, "data": { "values": { "password": "not to be passed on" } },
                        "entity_type": "resource", "entity_vendor": "terraform", "name": action, "type": "null_resource",
                    });
                }
                list.push(change);
            }
        }
    }
    list
}

fn commit_url(run: &RunInfo) -> String {
    format!("https://github.com/acme/{}/commit/{}", run.stack.repository, run.commit.hash)
}

fn millis(at: Duration) -> Value {
    json!(u64::try_from(at.as_millis()).unwrap_or(u64::MAX))
}

fn nanos(duration: Duration) -> Value {
    json!(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}

/// Sets a field that is omitted without a value.
fn set(object: &mut Value, name: &str, value: Option<&String>) {
    if let Some(value) = value {
        object[name] = json!(value);
    }
}

fn copy(from: &Value, to: &mut Value, names: &[&str]) {
    for name in names {
        to[*name] = from[*name].clone();
    }
}

fn picked(from: &Value, names: &[&str]) -> Value {
    let mut object = Value::Object(Map::new());
    copy(from, &mut object, names);
    object
}
