//! Subscriptions with exactly-once delivery: acknowledgements are confirmed before the process exits, and counted
//! messages are never returned.

use std::time::Duration;

use google_cloud_googleapis::pubsub::v1::Subscription as Definition;
use harness::Exporter;
use sandbox::google::Instance;
use sandbox::google::pubsub::Faults;
use serde_json::Value;

use super::services::{Broker, EventKind, Services, node, total};

const MESSAGES: usize = 12_000;

async fn services_with(broker: Broker, nodes: u64) -> Option<(Services, Vec<Instance>)> {
    let services = Services::without_subscriptions(broker).await?;
    services.create(EventKind::Creation).await;
    let exactly_once = Definition { enable_exactly_once_delivery: true, ..Definition::default() };
    services.create_with(EventKind::Interruption, exactly_once).await;
    let nodes: Vec<Instance> = (1..=nodes).map(|id| node(id, "blue")).collect();
    services.compute.insert_all(nodes.clone());
    Some((services, nodes))
}

/// Publishes [`MESSAGES`] interruptions.
async fn publish_burst(services: &mut Services, nodes: &[Instance]) {
    let entries: Vec<Value> =
        (0..MESSAGES).map(|number| services.log.preempted(&nodes[number % nodes.len()])).collect();
    if services.sandbox.is_some() {
        services.pubsub().publish(&services.topic(EventKind::Interruption), entries).unwrap();
    } else {
        services.publish(EventKind::Interruption, entries).await;
    }
}

/// Stops the exporter while it counts. Returns the number of interruptions that it counted.
async fn stop_during_burst(mut exporter: Exporter) -> u64 {
    exporter.scraped("some are counted", |scrape| scrape.sample(&total("blue")) > Some(500.0)).await;
    exporter.signal("TERM");
    assert_eq!(exporter.exit().await.code(), Some(0));
    let line: Value = serde_json::from_str(&exporter.log("\"stopped\"").await).unwrap();
    line["interruptions"].as_u64().unwrap()
}

#[tokio::test]
async fn sigterm_waits_for_slow_confirmations() {
    let (mut services, nodes) = services_with(Broker::Sandbox, 100).await.unwrap();
    let interruptions = services.subscription(EventKind::Interruption);
    services.pubsub().set_faults(Faults { slow_acks: Duration::from_millis(300), ..Faults::default() });
    let first = services.ready_exporter(&[]).await;
    publish_burst(&mut services, &nodes).await;
    let counted = stop_during_burst(first).await;
    assert_eq!(services.pubsub().acked(&interruptions), counted, "every counted message is acknowledged");

    let second = services.ready_exporter(&[]).await;
    services.pubsub().wait_until_drained(&interruptions).await;
    let rest = second.scrape().await.sample(&total("blue")).unwrap();
    assert_eq!(counted + rest as u64, MESSAGES as u64);
}

/// An acknowledgement that is not confirmed in time may or may not succeed. The message must not be returned, because it
/// would be counted again.
#[tokio::test]
async fn sigterm_does_not_return_counted_messages() {
    let (mut services, nodes) = services_with(Broker::Sandbox, 100).await.unwrap();
    let interruptions = services.subscription(EventKind::Interruption);
    services.pubsub().set_faults(Faults { slow_acks: Duration::from_secs(60), ..Faults::default() });
    let mut exporter = services.ready_exporter(&[]).await;
    let entries: Vec<Value> = nodes.iter().map(|node| services.log.preempted(node)).collect();
    services.pubsub().publish(&services.topic(EventKind::Interruption), entries).unwrap();
    services.pubsub().wait_until_acked(&interruptions, 100).await;
    exporter.signal("TERM");
    assert_eq!(exporter.exit().await.code(), Some(0));
    let counts = services.pubsub().counts(&interruptions);
    assert_eq!((counts.acked, counts.nacked), (100, 0));
}

#[tokio::test]
async fn sigterm_counts_nothing_twice_on_the_emulator() {
    let Some((mut services, nodes)) = services_with(Broker::Emulator, 100).await else { return };
    let first = services.ready_exporter(&[]).await;
    publish_burst(&mut services, &nodes).await;
    let counted = stop_during_burst(first).await;

    let second = services.ready_exporter(&[]).await;
    let rest = (MESSAGES as u64 - counted) as f64;
    // The emulator keeps the stream of a disconnected client and sends to it for a minute or more.
    for _ in 0..1_000 {
        if second.scrape().await.sample(&total("blue")) >= Some(rest) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(second.scrape().await.sample(&total("blue")), Some(rest));
}

/// Acknowledgements in progress when their stream breaks are still confirmed, or their messages are redelivered and
/// recognised as duplicates.
#[tokio::test]
async fn counts_once_when_a_stream_breaks_during_confirmations() {
    let (mut services, nodes) = services_with(Broker::Sandbox, 100).await.unwrap();
    let interruptions = services.subscription(EventKind::Interruption);
    services.pubsub().set_faults(Faults { slow_acks: Duration::from_secs(2), ..Faults::default() });
    let exporter = services.ready_exporter(&[]).await;
    publish_burst(&mut services, &nodes).await;
    exporter.scraped("some are counted", |scrape| scrape.sample(&total("blue")) > Some(500.0)).await;
    services.pubsub().reset_streams(&interruptions);
    services.pubsub().wait_until_drained(&interruptions).await;
    assert_eq!(exporter.scrape().await.sample(&total("blue")), Some(MESSAGES as f64));
}
