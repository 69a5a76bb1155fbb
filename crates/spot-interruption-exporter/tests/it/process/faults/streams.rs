//! Streams that break, and acknowledgements that are lost.

use super::*;

/// Five seconds, or a whole minute with `LONG_TESTS` in the environment.
fn duration_of_trouble() -> Duration {
    Duration::from_secs(if std::env::var_os("LONG_TESTS").is_some() { 60 } else { 5 })
}

#[tokio::test]
async fn a_stream_that_dies_every_second() {
    let (mut world, nodes) = world_with(2_000).await;
    world.pubsub().set_faults(Faults {
        reset_every: Some(Duration::from_secs(1)),
        duplicates: 0.05,
        reorder: 50,
        ..Faults::default()
    });
    let exporter = world.ready(&[]).await;
    for nodes in nodes.chunks(nodes.len() / 20) {
        storm(&mut world, nodes);
        // The trouble itself takes its time; nothing is waited for.
        tokio::time::sleep(duration_of_trouble() / 20).await;
    }
    counted(&exporter, 2_000.0).await;
    world.pubsub().wait_until_drained(&world.subscription(Way::Interruption)).await;
    counted(&exporter, 2_000.0).await;
}

#[tokio::test]
async fn a_connection_that_is_dead_without_knowing_it() {
    let (mut world, nodes) = world_with(1).await;
    let exporter = world.ready(&[]).await;
    world.pubsub().set_faults(Faults { freeze: true, ..Faults::default() });
    storm(&mut world, &nodes);
    let line = exporter.log("Pub/Sub cannot be reached").await;
    assert!(line.contains("no answer within"), "{line}");
    world.pubsub().clear_faults();
    counted(&exporter, 1.0).await;
}

#[tokio::test]
async fn kill_between_count_and_acknowledgement_leads_to_redelivery() {
    let (mut world, nodes) = world_with(500).await;
    let interruptions = world.subscription(Way::Interruption);
    // Every acknowledgement is lost on its way, and the leases of the dead end soon.
    world.pubsub().set_faults(Faults {
        lost_acks: 1.0,
        max_lease: Some(Duration::from_secs(2)),
        ..Faults::default()
    });
    let mut first = world.ready(&[]).await;
    storm(&mut world, &nodes);
    counted(&first, 500.0).await;
    first.signal("KILL");
    first.exit().await;
    assert_eq!(world.pubsub().acked(&interruptions), 0);

    world.pubsub().clear_faults();
    let second = world.ready(&[]).await;
    counted(&second, 500.0).await;
    world.pubsub().wait_until_drained(&interruptions).await;
    counted(&second, 500.0).await;
}

#[tokio::test]
async fn acknowledgements_that_are_lost_count_once() {
    let (mut world, nodes) = world_with(300).await;
    world.pubsub().set_faults(Faults {
        lost_acks: 0.5,
        max_lease: Some(Duration::from_secs(1)),
        ..Faults::default()
    });
    let exporter = world.ready(&[]).await;
    storm(&mut world, &nodes);
    world.pubsub().wait_until_drained(&world.subscription(Way::Interruption)).await;
    counted(&exporter, 300.0).await;
}
