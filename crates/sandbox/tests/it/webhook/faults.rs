//! Tests of fault injection.

use std::{collections::HashMap, time::Duration};

use sandbox::spacelift::{
    Spacelift,
    webhook::{Delivery, RunInfo, WebhookFaults},
};
use tokio::time::Instant;

use super::receiver::Receiver;

const STATES: [&str; 5] = ["QUEUED", "READY", "PREPARING", "PLANNING", "FAILED"];

/// Delivers forty runs with five states each.
async fn deliver_with(faults: WebhookFaults) -> (Spacelift, Receiver) {
    let receiver = Receiver::start().await;
    let spacelift = Spacelift::builder().webhook(receiver.webhook()).start().await.unwrap();
    spacelift.set_webhook_faults(faults);
    for number in 0..40 {
        let run = RunInfo::new(format!("01RUN{number}"), "network");
        let states =
            (0..).zip(STATES).map(|(seconds, state)| (state, run.created_at + Duration::from_secs(seconds)));
        for delivery in Delivery::history(&run, states) {
            spacelift.deliver(delivery);
        }
    }
    spacelift.webhook_settled().await;
    (spacelift, receiver)
}

/// Returns how often each pair of run and version was received.
fn seen(receiver: &Receiver) -> HashMap<(String, u64), usize> {
    let mut seen = HashMap::new();
    for payload in receiver.json() {
        let key = (payload["run"]["id"].to_string(), payload["stateVersion"].as_u64().unwrap());
        *seen.entry(key).or_default() += 1;
    }
    seen
}

#[tokio::test]
async fn duplicates_deliveries() {
    let (spacelift, receiver) = deliver_with(WebhookFaults { duplicates: 0.3, ..Default::default() }).await;
    let seen = seen(&receiver);
    assert_eq!(seen.len(), 200);
    let twice = seen.values().filter(|count| **count == 2).count();
    assert!((20..120).contains(&twice), "{twice}");
    assert_eq!(spacelift.webhook_status().duplicates, twice as u64);
}

#[tokio::test]
async fn drops_deliveries_of_non_final_states() {
    let (spacelift, receiver) = deliver_with(WebhookFaults { lost: 1.0, ..Default::default() }).await;
    assert_eq!(receiver.received().len(), 40);
    assert!(receiver.json().iter().all(|payload| payload["state"] == "FAILED"));
    assert_eq!(spacelift.webhook_status().lost, 160);
}

#[tokio::test(start_paused = true)]
async fn reorders_deliveries() {
    let (_, receiver) = deliver_with(WebhookFaults { reorder: 0.5, ..Default::default() }).await;
    assert_eq!(seen(&receiver).len(), 200, "nothing is lost");
    let versions: Vec<_> =
        receiver.json().iter().map(|payload| payload["stateVersion"].as_u64().unwrap()).collect();
    let last_first = versions.iter().rposition(|version| *version == 0).unwrap();
    let first_last = versions.iter().position(|version| *version == 4).unwrap();
    assert!(first_last < last_first);
    let mut last = HashMap::new();
    let is_reordered = receiver.json().into_iter().any(|payload| {
        let version = payload["stateVersion"].as_u64();
        let before = last.insert(payload["run"]["id"].to_string(), version).flatten();
        before > version
    });
    assert!(is_reordered, "states of one run are reordered");
}

#[tokio::test]
async fn sends_wrong_signatures() {
    let (spacelift, receiver) =
        deliver_with(WebhookFaults { bad_signatures: 1.0, ..Default::default() }).await;
    let received = receiver.received();
    let genuine = received.iter().filter(|received| received.is_genuine()).count();
    assert_eq!((received.len(), genuine), (400, 200));
    assert_eq!(spacelift.webhook_status().bad_signatures, 200);
    assert_eq!(spacelift.webhook_status().accepted, 200, "forged requests are not counted");
}

#[tokio::test]
async fn sends_old_payloads() {
    let (_, receiver) = deliver_with(WebhookFaults { old_payloads: 0.5, ..Default::default() }).await;
    let old = receiver.json().iter().filter(|payload| payload.get("timestamp_millis").is_none()).count();
    assert!((50..150).contains(&old), "{old}");
}

#[tokio::test(start_paused = true)]
async fn delays_deliveries() {
    let start = Instant::now();
    let faults = WebhookFaults { delay: Duration::from_secs(60), ..Default::default() };
    let (_, receiver) = deliver_with(faults).await;
    assert!(start.elapsed() >= Duration::from_secs(60));
    assert_eq!(receiver.received().len(), 200);
}
