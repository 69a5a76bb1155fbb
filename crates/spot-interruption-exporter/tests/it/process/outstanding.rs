//! Interruptions of instances that nobody knows, in numbers that fill what may be outstanding.

use google_cloud_googleapis::pubsub::v1::{DeadLetterPolicy, Subscription as Definition};
use sandbox::google::Instance;
use serde_json::Value;

use super::world::{Way, World, node, total};

const STRANGERS: u64 = 25_000;
const UNATTRIBUTED: &str = "interruption_events_unattributed_total";
const GIVEN_BACK: &str = "spot_interruption_exporter_messages_given_back_total";

fn publish(world: &mut World, instances: &[Instance]) {
    let entries: Vec<Value> = instances.iter().map(|instance| world.log.preempted(instance)).collect();
    world.pubsub().publish(&world.topic(Way::Interruption), entries).unwrap();
}

#[tokio::test]
async fn strangers_do_not_keep_a_known_node_waiting() {
    let mut world = World::sandbox().await;
    let known = node(1, "known");
    world.compute.insert(known.clone());
    let exporter = world.ready(&[("SIE_ATTRIBUTION_GRACE", "10m")]).await;
    let strangers: Vec<_> = (2..STRANGERS + 2).map(|id| node(id, "strange")).collect();
    publish(&mut world, &strangers);
    publish(&mut world, &[known]);
    let counted =
        exporter.scraped("it is counted", |scrape| scrape.sample(&total("known")) == Some(1.0)).await;
    assert_eq!(counted.sample(UNATTRIBUTED), Some(0.0), "they wait for their grace");
    assert!(counted.sample(GIVEN_BACK).unwrap() >= 5_000.0);
}

/// Each time that a message goes back counts as a delivery. Too many of them, and Pub/Sub gives it up.
#[tokio::test]
async fn strangers_do_not_become_dead_letters() {
    let mut world = World::without_subscriptions(super::world::Broker::Sandbox).await.unwrap();
    world.create(Way::Creation).await;
    let dead = format!("projects/{}/topics/dead", super::world::PROJECT);
    world.pubsub().create_topic(&dead).unwrap();
    let policy = DeadLetterPolicy { dead_letter_topic: dead, max_delivery_attempts: 5 };
    let definition = Definition { dead_letter_policy: Some(policy), ..Definition::default() };
    world.create_with(Way::Interruption, definition).await;
    let known = node(1, "known");
    world.compute.insert(known.clone());
    let exporter = world.ready(&[("SIE_ATTRIBUTION_GRACE", "20s")]).await;
    let strangers: Vec<_> = (2..STRANGERS + 2).map(|id| node(id, "strange")).collect();
    publish(&mut world, &strangers);
    publish(&mut world, &[known]);
    let interruptions = world.subscription(Way::Interruption);
    world.pubsub().wait_until_drained(&interruptions).await;
    let counts = world.pubsub().counts(&interruptions);
    assert_eq!((counts.dead_lettered, counts.acked), (0, STRANGERS + 1));
    assert!(counts.nacked > 0 && counts.nacked <= STRANGERS, "{}", counts.nacked);
    let scrape = exporter.scrape().await;
    assert_eq!(scrape.sample(UNATTRIBUTED), Some(STRANGERS as f64));
    assert_eq!(scrape.sample(&total("known")), Some(1.0));
}
