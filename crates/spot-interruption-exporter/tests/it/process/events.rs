//! Events from Pub/Sub to `/metrics`, with the simulated Pub/Sub and with Google's emulator.

use std::time::{Duration, SystemTime};

use sandbox::google::compute::Operation;
use sandbox::google::{Instance, Status};
use serde_json::{Value, json};

use super::services::{Broker, EventKind, Services, ZONE, node, total};

const UNATTRIBUTED: &str = "interruption_events_unattributed_total";

/// Defines each test for both implementations of Pub/Sub. Tests with the emulator are skipped if it is not installed.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod on_the_sandbox {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Services::new(super::Broker::Sandbox).await.unwrap()).await;
            })+
        }

        mod on_the_emulator {
            $(#[tokio::test]
            async fn $name() {
                if let Some(services) = super::Services::new(super::Broker::Emulator).await {
                    super::$name(services).await;
                }
            })+
        }
    };
}

on_both!(
    counts_the_published_messages,
    counts_an_interruption_before_its_creation,
    counts_a_listed_instance_with_all_labels,
    counts_a_repeated_entry_once,
    drops_invalid_messages_once,
    counts_an_unknown_instance_as_unattributed,
    attributes_by_looking_the_instance_up,
    attributes_nodes_of_a_bulk_insert,
);

async fn counts_the_published_messages(services: Services) {
    let exporter = services.ready_exporter(&[]).await;
    let creation = include_str!("../fixtures/published_creation.json");
    let interruption = include_str!("../fixtures/published_interruption.json");
    services.publish(EventKind::Creation, [creation]).await;
    exporter
        .scraped("the cluster is known", |scrape| scrape.sample(&total("fake-cluster")) == Some(0.0))
        .await;
    services.publish(EventKind::Interruption, [interruption]).await;
    exporter.scraped("it is counted", |scrape| scrape.sample(&total("fake-cluster")) == Some(1.0)).await;
}

async fn counts_an_interruption_before_its_creation(mut services: Services) {
    let exporter = services.ready_exporter(&[]).await;
    let late = node(7, "late");
    services.preempted(std::slice::from_ref(&late)).await;
    let held = "spot_interruption_exporter_held_interruptions";
    exporter.scraped("it is held", |scrape| scrape.sample(held) == Some(1.0)).await;
    services.created(&[late]).await;
    let scrape = exporter.scraped("it is counted", |scrape| scrape.sample(&total("late")) == Some(1.0)).await;
    assert_eq!(scrape.sample(held), Some(0.0));
    assert_eq!(scrape.sample(UNATTRIBUTED), Some(0.0));
}

async fn counts_a_listed_instance_with_all_labels(mut services: Services) {
    let hour_ago = SystemTime::now() - Duration::from_secs(3_600);
    let seeded = node(11, "seeded").created(hour_ago);
    services.compute.insert_all([seeded.clone(), node(12, "seeded"), Instance::new(13, ZONE, "lonely")]);
    let exporter = services.ready_exporter(&[]).await;
    let labels = "kubernetes_cluster=\"seeded\",cluster_location=\"europe-west1\",node_pool=\"spot-pool\",machine_type=\"n2-standard-4\",zone=\"europe-west1-c\",project=\"example-project\"";
    let running = format!("spot_instances{{{labels}}}");
    let detail = format!("spot_interruptions_total{{{labels},reason=\"preempted\"}}");
    let scrape = exporter.scrape().await;
    assert_eq!(scrape.sample(&total("seeded")), Some(0.0), "a known cluster starts at 0");
    let lifetimes =
        |suffix| format!("spot_instance_lifetime_seconds_{suffix}{{kubernetes_cluster=\"seeded\"}}");
    assert_eq!(scrape.sample(&lifetimes("count")), Some(0.0), "its lifetimes start at 0");
    assert_eq!(scrape.sample(&lifetimes("sum")), Some(0.0));
    assert_eq!(scrape.sample(&running), Some(2.0));
    assert_eq!(scrape.sample(&detail), Some(0.0));
    services.preempted(&[seeded]).await;
    let scrape =
        exporter.scraped("it is counted", |scrape| scrape.sample(&total("seeded")) == Some(1.0)).await;
    assert_eq!(scrape.sample(&running), Some(1.0));
    assert_eq!(scrape.sample(&detail), Some(1.0));
    assert_eq!(scrape.sample(&lifetimes("count")), Some(1.0));
    let lifetime = scrape.sample(&lifetimes("sum")).unwrap();
    assert!((3_500.0..3_700.0).contains(&lifetime), "{lifetime}");
    assert_eq!(scrape.sample("spot_interruption_delivery_seconds_count"), Some(1.0));
}

async fn counts_a_repeated_entry_once(mut services: Services) {
    let instance = node(21, "thrice");
    services.compute.insert(instance.clone());
    let exporter = services.ready_exporter(&[]).await;
    let entry = services.log.preempted(&instance);
    services.publish(EventKind::Interruption, vec![entry; 3]).await;
    let duplicates = format!(
        "spot_interruption_exporter_messages_total{{subscription=\"{}\",outcome=\"duplicate\"}}",
        services.short_subscription(EventKind::Interruption)
    );
    let scrape =
        exporter.scraped("all are processed", |scrape| scrape.sample(&duplicates) == Some(2.0)).await;
    assert_eq!(scrape.sample(&total("thrice")), Some(1.0));
}

async fn drops_invalid_messages_once(mut services: Services) {
    let instance = node(31, "after");
    services.compute.insert(instance.clone());
    let exporter = services.ready_exporter(&[]).await;
    let malformed = [
        String::new(),
        "{}".to_owned(),
        "[]".to_owned(),
        "null".to_owned(),
        "not json".to_owned(),
        r#"{"protoPayload":{}}"#.to_owned(),
        r#"{"protoPayload":{"methodName":"compute.instances.preempted"}}"#.to_owned(),
        r#"{"protoPayload":{"methodName":"compute.instances.preempted","resourceName":42}}"#.to_owned(),
        "[".repeat(100_000),
        format!("{{\"protoPayload\":{}", "{\"a\":".repeat(100_000)),
        "\u{0}".to_owned(),
    ];
    // Like Pub/Sub, the emulator rejects a message without data and attributes.
    let malformed: Vec<String> = malformed.into_iter().filter(|message| !message.is_empty()).collect();
    let count = malformed.len() as f64;
    services.publish(EventKind::Interruption, malformed).await;
    services.preempted(&[instance]).await;
    exporter
        .scraped("the next message is counted", |scrape| scrape.sample(&total("after")) == Some(1.0))
        .await;
    let invalid = format!(
        "spot_interruption_exporter_messages_total{{subscription=\"{}\",outcome=\"invalid\"}}",
        services.short_subscription(EventKind::Interruption)
    );
    exporter.scraped("the others are invalid", |scrape| scrape.sample(&invalid) == Some(count)).await;
    if let Some(pubsub) = &services.sandbox {
        pubsub.wait_until_drained(&services.subscription(EventKind::Interruption)).await;
    }
}

async fn counts_an_unknown_instance_as_unattributed(mut services: Services) {
    let exporter = services.ready_exporter(&[("SIE_ATTRIBUTION_GRACE", "1s")]).await;
    services.preempted(&[node(41, "gone")]).await;
    let scrape =
        exporter.scraped("it is unattributed", |scrape| scrape.sample(UNATTRIBUTED) == Some(1.0)).await;
    assert_eq!(scrape.sample(&total("gone")), None);
    assert_eq!(services.compute.count(Operation::Get), 1, "it was looked up once");
}

async fn attributes_by_looking_the_instance_up(mut services: Services) {
    let exporter = services.ready_exporter(&[]).await;
    // The instance is created after the listing, without a creation event.
    let terminated = node(51, "looked-up").status(Status::Terminated);
    let outsider = Instance::new(52, ZONE, "outsider").spot();
    services.compute.insert_all([terminated.clone(), outsider.clone()]);
    services.preempted(&[terminated, outsider]).await;
    exporter.scraped("it is attributed", |scrape| scrape.sample(&total("looked-up")) == Some(1.0)).await;
    exporter.scraped("the other is not", |scrape| scrape.sample(UNATTRIBUTED) == Some(1.0)).await;
}

async fn attributes_nodes_of_a_bulk_insert(mut services: Services) {
    let exporter = services.ready_exporter(&[]).await;
    let nodes = [node(61, "bulk"), node(62, "bulk")];
    services.compute.insert_all(nodes.clone());
    let entries = services.log.bulk_inserted(&nodes);
    let mut creations: Vec<Value> = vec![entries.parent.first, entries.parent.last];
    creations.extend(entries.instances);
    services.publish(EventKind::Creation, creations).await;
    let inventory = "spot_interruption_exporter_inventory_instances";
    exporter.scraped("both are known", |scrape| scrape.sample(inventory) == Some(2.0)).await;
    services.preempted(&nodes).await;
    exporter.scraped("both are counted", |scrape| scrape.sample(&total("bulk")) == Some(2.0)).await;
}

#[tokio::test]
async fn uses_the_configured_cluster_label_and_path() {
    let mut services = Services::sandbox().await;
    let instance = node(71, "renamed");
    services.compute.insert(instance.clone());
    let label =
        [("SIE_PROMETHEUS__CLUSTER_LABEL", "target_kubernetes_cluster"), ("SIE_PROMETHEUS__PATH", "/stats")];
    let exporter = services.ready_exporter(&label).await;
    services.preempted(&[instance]).await;
    services.pubsub().wait_until_drained(&services.subscription(EventKind::Interruption)).await;
    let stats = exporter.get("/stats").await;
    assert_eq!(stats.sample("interruption_events_total{target_kubernetes_cluster=\"renamed\"}"), Some(1.0));
    assert!(!stats.text().contains("kubernetes_cluster=") || !stats.text().contains("{kubernetes_cluster="));
    assert_eq!(exporter.get("/metrics").await.status, 404);
}

#[tokio::test]
async fn counts_configured_interruption_methods() {
    let mut services = Services::sandbox().await;
    let instance = node(81, "hosts");
    services.compute.insert(instance.clone());
    let methods = [("SIE_INTERRUPTION_METHODS", "compute.instances.preempted, compute.instances.hostError")];
    let exporter = services.ready_exporter(&methods).await;
    let entry = services.log.system_event("compute.instances.hostError", "Host error.", &instance);
    services.publish(EventKind::Interruption, [entry]).await;
    let scrape =
        exporter.scraped("it is counted", |scrape| scrape.sample(&total("hosts")) == Some(1.0)).await;
    let text = scrape.text();
    let mut lines = text.lines().filter(|line| line.starts_with("spot_interruptions_total{"));
    assert!(lines.any(|line| line.contains("reason=\"host_error\"") && line.ends_with(" 1")), "{text}");
}

#[tokio::test]
async fn counts_a_message_of_9_mb() {
    let mut services = Services::sandbox().await;
    let instance = node(91, "large");
    services.compute.insert(instance.clone());
    let exporter = services.ready_exporter(&[]).await;
    let mut entry = services.log.preempted(&instance);
    entry["protoPayload"]["response"] = json!({ "filler": "x".repeat(9_000_000) });
    let topic = services.topic(EventKind::Interruption);
    services.pubsub().publish(&topic, [entry]).unwrap();
    exporter.scraped("it is counted", |scrape| scrape.sample(&total("large")) == Some(1.0)).await;
}
