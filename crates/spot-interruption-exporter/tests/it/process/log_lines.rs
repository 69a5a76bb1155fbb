//! Log lines of interruptions.

use std::time::{Duration, SystemTime};

use harness::Exporter;
use sandbox::google::{Instance, Status};
use serde_json::Value;

use super::services::{EventKind, Services, ZONE, node, total};

/// Returns the log lines with this message.
fn lines(exporter: &Exporter, message: &str) -> Vec<Value> {
    let lines = exporter.log_text();
    let lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["message"] == message).collect()
}

const INTERRUPTED: &str = "an instance was interrupted";

#[tokio::test]
async fn logs_the_node_of_a_counted_interruption() {
    let mut services = Services::sandbox().await;
    let hour_ago = SystemTime::now() - Duration::from_secs(3_600);
    let instance = node(7, "named").created(hour_ago);
    services.compute.insert(instance.clone());
    let exporter = services.ready_exporter(&[]).await;
    let entry = services.log.preempted(&instance);
    services.publish(EventKind::Interruption, [&entry, &entry]).await;
    exporter.log(INTERRUPTED).await;
    services.pubsub().wait_until_drained(&services.subscription(EventKind::Interruption)).await;
    let lines = lines(&exporter, INTERRUPTED);
    assert_eq!(lines.len(), 1, "a duplicate is not logged: {lines:?}");
    for (field, value) in [
        ("level", "INFO"),
        ("instance", "gke-named-7"),
        ("project", "example-project"),
        ("zone", ZONE),
        ("cluster", "named"),
        ("node_pool", "spot-pool"),
        ("machine_type", "n2-standard-4"),
        ("reason", "preempted"),
    ] {
        assert_eq!(lines[0][field], value, "{field} of {}", lines[0]);
    }
    assert_eq!(lines[0]["id"], 7);
    let lifetime = lines[0]["lifetime_seconds"].as_f64().unwrap();
    assert!((3_500.0..3_700.0).contains(&lifetime), "{lifetime}");
    assert!(lines[0]["delay_seconds"].as_f64().unwrap() >= 0.0);
    assert_eq!(lines[0].get("unattributed"), None);
}

#[tokio::test]
async fn logs_why_an_interruption_is_unattributed() {
    let mut services = Services::sandbox().await;
    let exporter = services.ready_exporter(&[("SIE_ATTRIBUTION_GRACE", "1s")]).await;
    let outsider = Instance::new(52, ZONE, "outsider").spot().status(Status::Terminated);
    services.compute.insert(outsider.clone());
    services.preempted(&[node(41, "gone"), outsider]).await;
    let no_zone = "{\"protoPayload\":{\"methodName\":\"compute.instances.preempted\"},\"resource\":{\"labels\":{\"instance_id\":\"9\"}}}";
    services.publish(EventKind::Interruption, [no_zone]).await;
    let unattributed = "interruption_events_unattributed_total";
    exporter.scraped("all are unattributed", |scrape| scrape.sample(unattributed) == Some(3.0)).await;
    services.pubsub().wait_until_drained(&services.subscription(EventKind::Interruption)).await;
    let lines = lines(&exporter, INTERRUPTED);
    let why = |id: u64| lines.iter().find(|line| line["id"] == id).map(|line| line["unattributed"].clone());
    assert_eq!(why(41), Some("not_found".into()), "{lines:?}");
    assert_eq!(why(52), Some("not_kubernetes".into()), "{lines:?}");
    assert_eq!(why(9), Some("unknown".into()), "{lines:?}");
    let gone = lines.iter().find(|line| line["id"] == 41).unwrap();
    assert_eq!((&gone["instance"], &gone["zone"]), (&"gke-gone-41".into(), &ZONE.into()));
}

#[tokio::test]
async fn logs_how_many_lines_a_burst_omits() {
    let mut services = Services::sandbox().await;
    let nodes: Vec<Instance> = (1..=500).map(|id| node(id, "burst")).collect();
    services.compute.insert_all(nodes.clone());
    let mut exporter = services.ready_exporter(&[]).await;
    let entries: Vec<Value> = nodes.iter().map(|node| services.log.preempted(node)).collect();
    services.pubsub().publish(&services.topic(EventKind::Interruption), entries).unwrap();
    exporter.scraped("all are counted", |scrape| scrape.sample(&total("burst")) == Some(500.0)).await;
    exporter.signal("TERM");
    exporter.exit().await;
    let last: Value = serde_json::from_str(&exporter.log("\"stopped\"").await).unwrap();
    assert_eq!(last["interruptions"], 500);
    let left_out: u64 = lines(&exporter, "further interruptions in this second were not logged individually")
        .iter()
        .filter_map(|line| line["left_out"].as_u64())
        .sum();
    let written = lines(&exporter, INTERRUPTED).len() as u64;
    assert_eq!(written + left_out, 500, "every interruption is logged or counted as omitted");
    assert!(left_out > 0 && written >= 10, "{written} written");
}
