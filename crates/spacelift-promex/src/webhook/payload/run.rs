//! Parses deliveries about runs, from both payloads.

use super::PayloadError;
use super::object::Object;
use super::time::timestamp;
use crate::runs::{PolicyReceipt, ResourceChanges, RunUpdate, Timestamp, Timing, WorkerPool};

/// Maximum number of timing entries and of policy receipts. A run has about a dozen of each.
const MAX_ENTRIES: usize = 200;

/// Parses a delivery about a run. Returns `None` if it is about something else.
pub(super) fn read(object: &Object<'_>) -> Option<Result<RunUpdate, PayloadError>> {
    let run = object.object(&["run"])?;
    let stack = object.object(&["stack"]);
    if stack.is_none() && (object.has("module") || object.has("version")) {
        // A test run of a module version, which is not counted.
        return None;
    }
    let state = object.upper(&["state"]).or_else(|| run.upper(&["state"]));
    let stack_id = stack.as_ref().and_then(|stack| stack.text(&["id", "slug"]));
    let (Some(state), Some(stack_id), Some(id)) = (state, stack_id, run.text(&["id"])) else {
        return Some(Err(PayloadError::Run));
    };
    let space = space(object).or_else(|| space(stack.as_ref()?)).or_else(|| space(&run));
    Some(Ok(RunUpdate {
        run: id,
        stack: stack_id,
        state,
        version: object.count(&["stateVersion", "state_version"]),
        at: time(object, &["timestamp_millis", "timestampMillis"])
            .or_else(|| time(object, &["timestamp"]))
            .or_else(|| time(&run, &["updated_at", "updatedAt"])),
        created: time(&run, &["createdAt", "created_at"]),
        run_type: run.upper(&["type"]),
        drift_detection: run.flag(&["driftDetection", "drift_detection"]),
        worker_pool: worker_pool(object).or_else(|| worker_pool(stack.as_ref()?)),
        space,
        changes: changes(&run),
        timing: timing(object),
        policies: [policies(object), policies(&run)].concat(),
    }))
}

fn time(object: &Object<'_>, names: &[&str]) -> Option<Timestamp> {
    timestamp(object.number(names)?)
}

fn space(object: &Object<'_>) -> Option<String> {
    const SPACE: &[&str] = &["space"];
    object.object(SPACE).and_then(|space| space.text(&["id", "name"])).or_else(|| object.text(SPACE))
}

fn worker_pool(object: &Object<'_>) -> Option<WorkerPool> {
    let pool = object.object(&["workerPool", "worker_pool"])?;
    if pool.flag(&["public"]) == Some(true) {
        return Some(WorkerPool::Public);
    }
    pool.text(&["name", "id"]).map(WorkerPool::Private)
}

/// Returns the resource changes: from `delta` in the default payload, or counted from the list of changes in the policy
/// payload.
fn changes(run: &Object<'_>) -> Option<ResourceChanges> {
    if let Some(delta) = run.object(&["delta"]) {
        let count = |name: &str| delta.count(&[name]).unwrap_or_default();
        let [added, changed, deleted] = ["added", "changed", "deleted"].map(count);
        return Some(ResourceChanges { added, changed, deleted, replaced: delta.count(&["replaced"]) });
    }
    if !run.has("changes") {
        return None;
    }
    let (mut planned, mut applied) = (None, None);
    run.each_object(&["changes"], |change| {
        let action = change.text(&["action"]).unwrap_or_default().to_ascii_lowercase();
        let is_applied = change.text(&["phase"]).is_some_and(|phase| phase.eq_ignore_ascii_case("apply"));
        let phase = if is_applied { &mut applied } else { &mut planned };
        let counts = phase.get_or_insert(ResourceChanges { replaced: Some(0), ..ResourceChanges::default() });
        match action.as_str() {
            "added" | "create" | "created" => counts.added += 1,
            "changed" | "update" | "updated" => counts.changed += 1,
            "deleted" | "delete" => counts.deleted += 1,
            // The action contains the order, such as `destroy-Before-create-replaced`.
            action if action.ends_with("replaced") => *counts.replaced.get_or_insert_default() += 1,
            _ => {}
        }
    });
    let none = ResourceChanges { replaced: Some(0), ..ResourceChanges::default() };
    // Planned changes are listed again when they are applied, so only the applied ones count.
    Some(applied.or(planned).unwrap_or(none))
}

fn timing(object: &Object<'_>) -> Vec<Timing> {
    let mut timing = Vec::new();
    object.each_object(&["timing"], |entry| {
        let state = entry.upper(&["state"]);
        // A negative time, caused by clocks that differ, counts as zero.
        let nanoseconds = entry.signed(&["duration"]).map(|duration| duration.max(0.0) as u64);
        if let Some((state, nanoseconds)) = state.zip(nanoseconds).filter(|_| timing.len() < MAX_ENTRIES) {
            timing.push(Timing { state, nanoseconds });
        }
    });
    timing
}

fn policies(object: &Object<'_>) -> Vec<PolicyReceipt> {
    let mut policies = Vec::new();
    object.each_object(&["policy_receipts", "policyReceipts"], |receipt| {
        let receipt = receipt.text(&["type"]).zip(receipt.text(&["outcome"]));
        if let Some((policy_type, outcome)) = receipt.filter(|_| policies.len() < MAX_ENTRIES) {
            policies.push(PolicyReceipt { policy_type, outcome });
        }
    });
    policies
}
