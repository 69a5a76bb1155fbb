//! Streams that break, and acknowledgements that are lost.

use super::*;

/// Returns 5 s, or 60 s with `LONG_TESTS` in the environment.
fn duration_of_fault() -> Duration {
    Duration::from_secs(if std::env::var_os("LONG_TESTS").is_some() { 60 } else { 5 })
}

#[tokio::test]
async fn counts_once_when_streams_are_reset_every_second() {
    let (mut services, nodes) = services_with(2_000).await;
    services.pubsub().set_faults(Faults {
        reset_every: Some(Duration::from_secs(1)),
        duplicates: 0.05,
        reorder: 50,
        ..Faults::default()
    });
    let exporter = services.ready_exporter(&[]).await;
    for nodes in nodes.chunks(nodes.len() / 20) {
        publish_burst(&mut services, nodes);
        // The fault must last for this time.
        tokio::time::sleep(duration_of_fault() / 20).await;
    }
    wait_until_counted(&exporter, 2_000.0).await;
    services.pubsub().wait_until_drained(&services.subscription(EventKind::Interruption)).await;
    wait_until_counted(&exporter, 2_000.0).await;
}

#[tokio::test]
async fn reconnects_when_a_connection_is_frozen() {
    let (mut services, nodes) = services_with(1).await;
    let exporter = services.ready_exporter(&[]).await;
    services.pubsub().set_faults(Faults { freeze: true, ..Faults::default() });
    publish_burst(&mut services, &nodes);
    let line = exporter.log("Pub/Sub cannot be reached").await;
    assert!(line.contains("no response within"), "{line}");
    services.pubsub().clear_faults();
    wait_until_counted(&exporter, 1.0).await;
}

#[tokio::test]
async fn kill_between_count_and_acknowledgement_leads_to_redelivery() {
    let (mut services, nodes) = services_with(500).await;
    let interruptions = services.subscription(EventKind::Interruption);
    // Every acknowledgement is lost, and the leases of a killed process expire after two seconds.
    services.pubsub().set_faults(Faults {
        lost_acks: 1.0,
        max_lease: Some(Duration::from_secs(2)),
        ..Faults::default()
    });
    let mut first = services.ready_exporter(&[]).await;
    publish_burst(&mut services, &nodes);
    wait_until_counted(&first, 500.0).await;
    first.signal("KILL");
    first.exit().await;
    assert_eq!(services.pubsub().acked(&interruptions), 0);

    services.pubsub().clear_faults();
    let second = services.ready_exporter(&[]).await;
    wait_until_counted(&second, 500.0).await;
    services.pubsub().wait_until_drained(&interruptions).await;
    wait_until_counted(&second, 500.0).await;
}

#[tokio::test]
async fn counts_once_when_acknowledgements_are_lost() {
    let (mut services, nodes) = services_with(300).await;
    services.pubsub().set_faults(Faults {
        lost_acks: 0.5,
        max_lease: Some(Duration::from_secs(1)),
        ..Faults::default()
    });
    let exporter = services.ready_exporter(&[]).await;
    publish_burst(&mut services, &nodes);
    services.pubsub().wait_until_drained(&services.subscription(EventKind::Interruption)).await;
    wait_until_counted(&exporter, 300.0).await;
}
