//! Tests of the runs of a simulated account.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use sandbox::spacelift::{
    Spacelift,
    webhook::{ActiveRuns, Changes, EndedRun, Runs, Shape, WebhookFaults},
};
use serde_json::Value;

use super::receiver::Receiver;

/// Returns the states that may follow a state.
fn successors(state: &str) -> &'static [&'static str] {
    match state {
        "QUEUED" => &["READY", "CANCELED", "SKIPPED"],
        "READY" => &["PREPARING", "CANCELED"],
        "PREPARING" => &["INITIALIZING", "FAILED"],
        "INITIALIZING" => &["PLANNING", "PERFORMING", "FAILED"],
        "PLANNING" => &["APPLYING", "UNCONFIRMED", "PENDING_REVIEW", "FINISHED", "FAILED", "STOPPED"],
        "PENDING_REVIEW" => &["UNCONFIRMED"],
        "UNCONFIRMED" => &["CONFIRMED", "DISCARDED", "REPLAN_REQUESTED"],
        "REPLAN_REQUESTED" => &["PREPARING_REPLAN"],
        "PREPARING_REPLAN" => &["PLANNING"],
        "CONFIRMED" => &["PREPARING_APPLY"],
        "PREPARING_APPLY" => &["APPLYING"],
        "APPLYING" | "PERFORMING" => &["FINISHED", "FAILED"],
        _ => &[],
    }
}

/// Returns the runs of twenty simulated minutes without a webhook.
async fn simulated_runs() -> Runs {
    let spacelift = Spacelift::builder().simulated(1, 1.0).start().await.unwrap();
    tokio::time::advance(Duration::from_secs(1200)).await;
    spacelift.runs()
}

fn mean_wait(runs: &[&EndedRun], state: &str) -> f64 {
    let waits: Vec<f64> = runs
        .iter()
        .flat_map(|run| &run.timing)
        .filter(|(name, _)| name == state)
        .map(|(_, spent)| spent.as_secs_f64())
        .collect();
    waits.iter().sum::<f64>() / waits.len() as f64
}

#[tokio::test(start_paused = true)]
async fn covers_states_types_and_outcomes() {
    let runs = simulated_runs().await;
    let outcomes: HashSet<_> = runs.ended.keys().map(|key| &*key.final_state).collect();
    assert_eq!(
        outcomes,
        HashSet::from(["FINISHED", "FAILED", "DISCARDED", "CANCELED", "STOPPED", "SKIPPED"])
    );
    let states: HashSet<_> =
        runs.last.iter().flat_map(|run| &run.timing).map(|(state, _)| &**state).collect();
    for state in ["PENDING_REVIEW", "REPLAN_REQUESTED", "PREPARING_REPLAN", "PREPARING_APPLY", "PERFORMING"] {
        assert!(states.contains(state), "{state}");
    }
    let share = |wanted: &dyn Fn(&EndedRun) -> bool| {
        runs.last.iter().filter(|run| wanted(run)).count() as f64 / runs.last.len() as f64
    };
    assert!((0.2..0.4).contains(&share(&|run| run.outcome.run_type == "PROPOSED")));
    assert!((0.02..0.12).contains(&share(&|run| run.outcome.run_type == "TASK")));
    assert!((0.05..0.25).contains(&share(&|run| run.outcome.drift_detection)));
    assert!((0.03..0.12).contains(&share(&|run| run.outcome.final_state == "FAILED")));
    assert!(share(&|run| run.changes.is_some_and(|changes| changes.replaced > 0)) > 0.02);
    assert!(runs.last.iter().all(|run| run.outcome.run_type != "PROPOSED"
        || run.timing.iter().all(|(state, _)| state != "APPLYING" && state != "UNCONFIRMED")));
    let pools: HashSet<_> = runs.ended.keys().map(|key| &*key.worker_pool).collect();
    assert_eq!(
        pools,
        HashSet::from(["public", "production", "staging", "on-premises", "ephemeral", "playground"])
    );
    assert_eq!(runs.ended.keys().map(|key| &key.space).collect::<HashSet<_>>().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn runs_wait_for_workers() {
    let runs = simulated_runs().await;
    let of = |pool: &str| -> Vec<&EndedRun> {
        runs.last.iter().filter(|run| run.outcome.worker_pool == pool).collect()
    };
    let (overloaded, normal) = (mean_wait(&of("on-premises"), "READY"), mean_wait(&of("staging"), "READY"));
    assert!(overloaded > 5.0 && overloaded > 2.0 * normal, "{overloaded} {normal}");
    let all: Vec<_> = runs.last.iter().collect();
    let locked = mean_wait(&all, "QUEUED");
    assert!(locked > 1.0, "{locked}");
    assert!((20.0..90.0).contains(&mean_wait(&all, "UNCONFIRMED")));
}

/// A run as seen by a receiver.
#[derive(Default)]
struct Seen {
    states: Vec<(u64, String, u64)>,
    last: Value,
}

#[tokio::test]
async fn deliveries_match_the_runs() {
    let receiver = Receiver::start().await;
    let builder = Spacelift::builder().simulated(1, 150.0).webhook(receiver.webhook());
    let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let spacelift = builder.start().await.unwrap();
    receiver.wait_for(2500).await;
    spacelift.set_speed(0.0);
    spacelift.webhook_settled().await;
    let ended = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    assert_eq!(spacelift.webhook_status().failed, 0);

    let mut seen: HashMap<String, Seen> = HashMap::new();
    for received in receiver.received() {
        assert!(received.is_genuine());
        let payload = received.json();
        let run = seen.entry(payload["run"]["id"].as_str().unwrap().to_owned()).or_default();
        let state = payload["state"].as_str().unwrap().to_owned();
        let millis = payload["timestamp_millis"].as_u64().unwrap();
        assert!(u128::from(millis) + 1 >= started.as_millis() && u128::from(millis) <= ended.as_millis() + 1);
        run.states.push((payload["stateVersion"].as_u64().unwrap(), state, millis));
        run.last = payload;
    }
    let runs = spacelift.runs();
    let by_id: HashMap<_, _> = runs.last.iter().map(|run| (run.id.clone(), run)).collect();
    let mut active = BTreeMap::new();
    for (id, Seen { states, last }) in &seen {
        for pair in states.windows(2) {
            let [(version, state, at), (next_version, next, then)] = pair else { unreachable!() };
            assert_eq!(version + 1, *next_version);
            assert!(successors(state).contains(&&**next), "{state} is not followed by {next}");
            assert!(at <= then);
        }
        let (version, state, at) = states.last().unwrap();
        let pool = &last["workerPool"];
        let worker_pool = if pool["public"] == true { "public" } else { pool["name"].as_str().unwrap() };
        let run_type = last["run"]["type"].as_str().unwrap();
        let Some(truth) = by_id.get(id) else {
            assert!(!successors(state).is_empty(), "{state}");
            let key = ActiveRuns {
                state: state.clone(),
                run_type: run_type.to_owned(),
                worker_pool: worker_pool.to_owned(),
            };
            *active.entry(key).or_default() += 1;
            continue;
        };
        assert_eq!(&truth.outcome.final_state, state);
        assert_eq!(truth.outcome.run_type, run_type);
        assert_eq!(truth.outcome.worker_pool, worker_pool);
        assert_eq!(truth.outcome.stack, last["stack"]["id"].as_str().unwrap());
        assert_eq!(truth.outcome.drift_detection, last["run"]["driftDetection"].as_bool().unwrap());
        assert_eq!(truth.ended.as_millis(), u128::from(*at));
        assert_eq!(truth.created.as_secs(), last["run"]["createdAt"].as_u64().unwrap());
        let delta = truth.changes.map(Changes::delta);
        let number = |name: &str| last["run"]["delta"][name].as_u64().map(|number| number as u32);
        assert_eq!(delta.map(|(added, ..)| added), number("added"));
        assert_eq!(delta.map(|(.., deleted)| deleted), number("deleted"));
        if states[0].0 == 0 {
            assert_eq!(states.len() as u64, version + 1, "all states were delivered");
        }
    }
    assert_eq!(by_id.len(), runs.ended.values().sum::<u64>() as usize);
    assert!(by_id.keys().all(|id| seen.contains_key(id)), "all ended runs were delivered");
    assert_eq!(active, runs.active);
    assert!(by_id.len() > 200);
}

#[tokio::test]
async fn both_payloads_agree() {
    let receiver = Receiver::start().await;
    let webhook = receiver.webhook().shape(Shape::Both);
    let spacelift = Spacelift::builder().simulated(2, 100.0).webhook(webhook).start().await.unwrap();
    spacelift.set_webhook_faults(WebhookFaults { duplicates: 0.1, reorder: 0.1, ..Default::default() });
    receiver.wait_for(600).await;
    spacelift.set_speed(0.0);
    spacelift.webhook_settled().await;
    let mut default = HashSet::new();
    let mut policy = HashSet::new();
    for payload in receiver.json() {
        let id = payload["run"]["id"].as_str().unwrap().to_owned();
        let state = payload["state"].as_str().unwrap().to_owned();
        match payload["run"]["updated_at"].as_u64() {
            Some(at) => policy.insert((id, at / 1_000_000, state)),
            None => default.insert((id, payload["timestamp_millis"].as_u64().unwrap(), state)),
        };
    }
    assert!(!default.is_empty());
    assert!(default == policy, "{:?}", default.symmetric_difference(&policy).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_new_webhook_gets_only_later_changes() {
    let receiver = Receiver::start().await;
    let spacelift = Spacelift::builder().simulated(3, 200.0).start().await.unwrap();
    assert_eq!(spacelift.runs().active, BTreeMap::new());
    spacelift.set_webhook(receiver.webhook().others(true));
    spacelift.reset_runs();
    receiver.wait_for(1500).await;
    spacelift.set_speed(0.0);
    spacelift.webhook_settled().await;
    let status = spacelift.webhook_status();
    assert!(status.internal_errors.values().sum::<u64>() > 0 && status.others > 0, "{status:?}");
    let ends: HashSet<_> = receiver
        .json()
        .iter()
        .filter(|payload| successors(payload["state"].as_str().unwrap_or("QUEUED")).is_empty())
        .filter_map(|payload| Some(payload["run"].get("id")?.as_str()?.to_owned()))
        .collect();
    assert_eq!(ends, spacelift.runs().last.into_iter().map(|run| run.id).collect());
}
