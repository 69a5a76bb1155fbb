//! SIGTERM under load.

use super::*;

#[tokio::test]
async fn sigterm_under_load_loses_no_acknowledgement() {
    let (mut world, nodes) = world_with(10_000).await;
    let interruptions = world.subscription(Way::Interruption);
    let mut first = world.ready(&[]).await;
    storm(&mut world, &nodes);
    world.pubsub().wait_until(&interruptions, |counts| counts.acked > 500).await;
    let began = Instant::now();
    first.signal("TERM");
    assert_eq!(first.exit().await.code(), Some(0));
    assert!(began.elapsed() < HUNG, "{:?}", began.elapsed());
    let line: Value = serde_json::from_str(&first.log("\"stopped\"").await).unwrap();
    let counted_first = line["interruptions"].as_u64().unwrap();
    let acked_first = world.pubsub().acked(&interruptions);
    assert_eq!(acked_first, counted_first, "counted and acknowledged are the same");

    let second = world.ready(&[]).await;
    world.pubsub().wait_until_drained(&interruptions).await;
    counted(&second, (10_000 - counted_first) as f64).await;
}

#[tokio::test]
async fn sigterm_does_not_wait_for_look_ups() {
    let mut world = World::sandbox().await;
    let never = Hold::new();
    world.compute.override_reply(Operation::Get, Reply::Hold(never.clone()));
    let mut exporter = world.ready(&[]).await;
    let unknown: Vec<Instance> = (1..=40).map(|id| node(id, CLUSTER)).collect();
    world.preempted(&unknown).await;
    never.arrived(16).await;
    exporter.signal("TERM");
    let began = Instant::now();
    assert_eq!(exporter.exit().await.code(), Some(0));
    assert!(began.elapsed() < HUNG, "{:?}", began.elapsed());
}
