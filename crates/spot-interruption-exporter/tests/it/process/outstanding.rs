//! Interruptions of unknown instances that fill the limit of outstanding messages.

use google_cloud_googleapis::pubsub::v1::{DeadLetterPolicy, Subscription as Definition};
use sandbox::google::Instance;
use serde_json::Value;

use super::services::{EventKind, Services, node, total};

const UNKNOWN: u64 = 25_000;
const UNATTRIBUTED: &str = "interruption_events_unattributed_total";
const RETURNED: &str = "spot_interruption_exporter_messages_given_back_total";

fn publish(services: &mut Services, instances: &[Instance]) {
    let entries: Vec<Value> = instances.iter().map(|instance| services.log.preempted(instance)).collect();
    services.pubsub().publish(&services.topic(EventKind::Interruption), entries).unwrap();
}

#[tokio::test]
async fn unknown_instances_do_not_delay_known_nodes() {
    let mut services = Services::sandbox().await;
    let known = node(1, "known");
    services.compute.insert(known.clone());
    let exporter = services.ready_exporter(&[("SIE_ATTRIBUTION_GRACE", "10m")]).await;
    let unknown: Vec<_> = (2..UNKNOWN + 2).map(|id| node(id, "unknown")).collect();
    publish(&mut services, &unknown);
    publish(&mut services, &[known]);
    let counted =
        exporter.scraped("it is counted", |scrape| scrape.sample(&total("known")) == Some(1.0)).await;
    assert_eq!(counted.sample(UNATTRIBUTED), Some(0.0), "the others are held for their grace");
    assert!(counted.sample(RETURNED).unwrap() >= 5_000.0);
}

/// Each return of a message counts as a delivery attempt. After too many attempts Pub/Sub moves the message to the
/// dead-letter topic.
#[tokio::test]
async fn returned_messages_do_not_become_dead_letters() {
    let mut services = Services::without_subscriptions(super::services::Broker::Sandbox).await.unwrap();
    services.create(EventKind::Creation).await;
    let dead_letters = format!("projects/{}/topics/dead-letters", super::services::PROJECT);
    services.pubsub().create_topic(&dead_letters).unwrap();
    let policy = DeadLetterPolicy { dead_letter_topic: dead_letters, max_delivery_attempts: 5 };
    let definition = Definition { dead_letter_policy: Some(policy), ..Definition::default() };
    services.create_with(EventKind::Interruption, definition).await;
    let known = node(1, "known");
    services.compute.insert(known.clone());
    let exporter = services.ready_exporter(&[("SIE_ATTRIBUTION_GRACE", "20s")]).await;
    let unknown: Vec<_> = (2..UNKNOWN + 2).map(|id| node(id, "unknown")).collect();
    publish(&mut services, &unknown);
    publish(&mut services, &[known]);
    let interruptions = services.subscription(EventKind::Interruption);
    services.pubsub().wait_until_drained(&interruptions).await;
    let counts = services.pubsub().counts(&interruptions);
    assert_eq!((counts.dead_lettered, counts.acked), (0, UNKNOWN + 1));
    assert!(counts.nacked > 0 && counts.nacked <= UNKNOWN, "{}", counts.nacked);
    let scrape = exporter.scrape().await;
    assert_eq!(scrape.sample(UNATTRIBUTED), Some(UNKNOWN as f64));
    assert_eq!(scrape.sample(&total("known")), Some(1.0));
}
