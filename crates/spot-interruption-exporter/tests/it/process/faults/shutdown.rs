//! SIGTERM under load.

use super::*;

#[tokio::test]
async fn sigterm_under_load_loses_no_acknowledgement() {
    let (mut services, nodes) = services_with(10_000).await;
    let interruptions = services.subscription(EventKind::Interruption);
    let mut first = services.ready_exporter(&[]).await;
    publish_burst(&mut services, &nodes);
    services.pubsub().wait_until(&interruptions, |counts| counts.acked > 500).await;
    let began = Instant::now();
    first.signal("TERM");
    assert_eq!(first.exit().await.code(), Some(0));
    assert!(began.elapsed() < HANG_TIMEOUT, "{:?}", began.elapsed());
    let line: Value = serde_json::from_str(&first.log("\"stopped\"").await).unwrap();
    let counted_first = line["interruptions"].as_u64().unwrap();
    let acked_first = services.pubsub().acked(&interruptions);
    assert_eq!(acked_first, counted_first, "exactly the counted messages are acknowledged");

    let second = services.ready_exporter(&[]).await;
    services.pubsub().wait_until_drained(&interruptions).await;
    wait_until_counted(&second, (10_000 - counted_first) as f64).await;
}

#[tokio::test]
async fn sigterm_does_not_wait_for_lookups() {
    let mut services = Services::sandbox().await;
    let hold = Hold::new();
    services.compute.override_reply(Operation::Get, Reply::Hold(hold.clone()));
    let mut exporter = services.ready_exporter(&[]).await;
    let unknown: Vec<Instance> = (1..=40).map(|id| node(id, CLUSTER)).collect();
    services.preempted(&unknown).await;
    hold.arrived(16).await;
    exporter.signal("TERM");
    let began = Instant::now();
    assert_eq!(exporter.exit().await.code(), Some(0));
    assert!(began.elapsed() < HANG_TIMEOUT, "{:?}", began.elapsed());
}
