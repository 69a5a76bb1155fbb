//! Subscriptions with exactly-once delivery: what is counted is confirmed before the process ends, and never handed back.

use std::time::Duration;

use google_cloud_googleapis::pubsub::v1::Subscription as Definition;
use harness::Exporter;
use sandbox::google::Instance;
use sandbox::google::pubsub::Faults;
use serde_json::Value;

use super::world::{Broker, Way, World, node, total};

const MESSAGES: usize = 12_000;

async fn world_with(broker: Broker, nodes: u64) -> Option<(World, Vec<Instance>)> {
    let world = World::without_subscriptions(broker).await?;
    world.create(Way::Creation).await;
    let exactly_once = Definition { enable_exactly_once_delivery: true, ..Definition::default() };
    world.create_with(Way::Interruption, exactly_once).await;
    let nodes: Vec<Instance> = (1..=nodes).map(|id| node(id, "blue")).collect();
    world.compute.insert_all(nodes.clone());
    Some((world, nodes))
}

async fn storm(world: &mut World, nodes: &[Instance]) {
    let entries: Vec<Value> =
        (0..MESSAGES).map(|number| world.log.preempted(&nodes[number % nodes.len()])).collect();
    if world.sandbox.is_some() {
        world.pubsub().publish(&world.topic(Way::Interruption), entries).unwrap();
    } else {
        world.publish(Way::Interruption, entries).await;
    }
}

/// Stops the exporter amid all this, and says how many it has counted.
async fn stopped_amid(mut exporter: Exporter) -> u64 {
    exporter.scraped("some are counted", |scrape| scrape.sample(&total("blue")) > Some(500.0)).await;
    exporter.signal("TERM");
    assert_eq!(exporter.exit().await.code(), Some(0));
    let line: Value = serde_json::from_str(&exporter.log("\"stopped\"").await).unwrap();
    line["interruptions"].as_u64().unwrap()
}

#[tokio::test]
async fn sigterm_waits_for_confirmations_that_take_their_time() {
    let (mut world, nodes) = world_with(Broker::Sandbox, 100).await.unwrap();
    let interruptions = world.subscription(Way::Interruption);
    world.pubsub().set_faults(Faults { slow_acks: Duration::from_millis(300), ..Faults::default() });
    let first = world.ready(&[]).await;
    storm(&mut world, &nodes).await;
    let counted = stopped_amid(first).await;
    assert_eq!(world.pubsub().acked(&interruptions), counted, "what is counted is acknowledged");

    let second = world.ready(&[]).await;
    world.pubsub().wait_until_drained(&interruptions).await;
    let rest = second.scrape().await.sample(&total("blue")).unwrap();
    assert_eq!(counted + rest as u64, MESSAGES as u64);
}

/// What is not confirmed in time may be acknowledged or not, but is not handed back: that would be a promise to count
/// it again.
#[tokio::test]
async fn sigterm_hands_nothing_back_that_is_counted() {
    let (mut world, nodes) = world_with(Broker::Sandbox, 100).await.unwrap();
    let interruptions = world.subscription(Way::Interruption);
    world.pubsub().set_faults(Faults { slow_acks: Duration::from_secs(60), ..Faults::default() });
    let mut exporter = world.ready(&[]).await;
    let entries: Vec<Value> = nodes.iter().map(|node| world.log.preempted(node)).collect();
    world.pubsub().publish(&world.topic(Way::Interruption), entries).unwrap();
    world.pubsub().wait_until_acked(&interruptions, 100).await;
    exporter.signal("TERM");
    assert_eq!(exporter.exit().await.code(), Some(0));
    let counts = world.pubsub().counts(&interruptions);
    assert_eq!((counts.acked, counts.nacked), (100, 0));
}

#[tokio::test]
async fn sigterm_counts_nothing_twice_on_the_emulator() {
    let Some((mut world, nodes)) = world_with(Broker::Emulator, 100).await else { return };
    let first = world.ready(&[]).await;
    storm(&mut world, &nodes).await;
    let counted = stopped_amid(first).await;

    let second = world.ready(&[]).await;
    let rest = (MESSAGES as u64 - counted) as f64;
    // The emulator keeps the stream of a client that is gone, and sends to it for a minute or more.
    for _ in 0..1_000 {
        if second.scrape().await.sample(&total("blue")) >= Some(rest) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(second.scrape().await.sample(&total("blue")), Some(rest));
}

/// Acknowledgements that are under way when their stream breaks are confirmed all the same, or their messages come again
/// and are known.
#[tokio::test]
async fn a_stream_that_breaks_amid_confirmations_counts_nothing_twice() {
    let (mut world, nodes) = world_with(Broker::Sandbox, 100).await.unwrap();
    let interruptions = world.subscription(Way::Interruption);
    world.pubsub().set_faults(Faults { slow_acks: Duration::from_secs(2), ..Faults::default() });
    let exporter = world.ready(&[]).await;
    storm(&mut world, &nodes).await;
    exporter.scraped("some are counted", |scrape| scrape.sample(&total("blue")) > Some(500.0)).await;
    world.pubsub().reset_streams(&interruptions);
    world.pubsub().wait_until_drained(&interruptions).await;
    assert_eq!(exporter.scrape().await.sample(&total("blue")), Some(MESSAGES as f64));
}
