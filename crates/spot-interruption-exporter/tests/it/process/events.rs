//! The way of events from end to end, the same against the simulated Pub/Sub and Google's emulator.

use std::time::{Duration, SystemTime};

use sandbox::google::compute::Operation;
use sandbox::google::{Instance, Status};
use serde_json::{Value, json};

use super::world::{Broker, Way, World, ZONE, node, total};

const UNATTRIBUTED: &str = "interruption_events_unattributed_total";

/// Runs a test against both, or against the first only where there is no emulator.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod on_the_sandbox {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::World::new(super::Broker::Sandbox).await.unwrap()).await;
            })+
        }

        mod on_the_emulator {
            $(#[tokio::test]
            async fn $name() {
                if let Some(world) = super::World::new(super::Broker::Emulator).await {
                    super::$name(world).await;
                }
            })+
        }
    };
}

on_both!(
    the_published_messages_count,
    a_creation_after_its_interruption,
    a_seeded_instance_in_detail,
    the_same_entry_three_times,
    what_cannot_be_read_is_dropped_once,
    an_instance_that_nobody_knows,
    an_instance_that_still_exists,
    nodes_of_a_bulk_insert,
);

async fn the_published_messages_count(world: World) {
    let exporter = world.ready(&[]).await;
    let creation = include_str!("../fixtures/published_creation.json");
    let interruption = include_str!("../fixtures/published_interruption.json");
    world.publish(Way::Creation, [creation]).await;
    exporter
        .scraped("the cluster is known", |scrape| scrape.sample(&total("fake-cluster")) == Some(0.0))
        .await;
    world.publish(Way::Interruption, [interruption]).await;
    exporter.scraped("it is counted", |scrape| scrape.sample(&total("fake-cluster")) == Some(1.0)).await;
}

async fn a_creation_after_its_interruption(mut world: World) {
    let exporter = world.ready(&[]).await;
    let late = node(7, "late");
    world.preempted(std::slice::from_ref(&late)).await;
    let held = "spot_interruption_exporter_held_interruptions";
    exporter.scraped("it is held", |scrape| scrape.sample(held) == Some(1.0)).await;
    world.created(&[late]).await;
    let scrape = exporter.scraped("it is counted", |scrape| scrape.sample(&total("late")) == Some(1.0)).await;
    assert_eq!(scrape.sample(held), Some(0.0));
    assert_eq!(scrape.sample(UNATTRIBUTED), Some(0.0));
}

async fn a_seeded_instance_in_detail(mut world: World) {
    let hour_ago = SystemTime::now() - Duration::from_secs(3_600);
    let seeded = node(11, "seeded").created(hour_ago);
    world.compute.insert_all([seeded.clone(), node(12, "seeded"), Instance::new(13, ZONE, "lonely")]);
    let exporter = world.ready(&[]).await;
    let labels = "kubernetes_cluster=\"seeded\",cluster_location=\"europe-west1\",node_pool=\"spot-pool\",machine_type=\"n2-standard-4\",zone=\"europe-west1-c\",project=\"example-project\"";
    let running = format!("spot_instances{{{labels}}}");
    let detail = format!("spot_interruptions_total{{{labels},reason=\"preempted\"}}");
    let scrape = exporter.scrape().await;
    assert_eq!(scrape.sample(&total("seeded")), Some(0.0), "a known cluster starts at 0");
    let lifetimes =
        |suffix| format!("spot_instance_lifetime_seconds_{suffix}{{kubernetes_cluster=\"seeded\"}}");
    assert_eq!(scrape.sample(&lifetimes("count")), Some(0.0), "and so do its lifetimes");
    assert_eq!(scrape.sample(&lifetimes("sum")), Some(0.0));
    assert_eq!(scrape.sample(&running), Some(2.0));
    assert_eq!(scrape.sample(&detail), Some(0.0));
    world.preempted(&[seeded]).await;
    let scrape =
        exporter.scraped("it is counted", |scrape| scrape.sample(&total("seeded")) == Some(1.0)).await;
    assert_eq!(scrape.sample(&running), Some(1.0));
    assert_eq!(scrape.sample(&detail), Some(1.0));
    assert_eq!(scrape.sample(&lifetimes("count")), Some(1.0));
    let lifetime = scrape.sample(&lifetimes("sum")).unwrap();
    assert!((3_500.0..3_700.0).contains(&lifetime), "{lifetime}");
    assert_eq!(scrape.sample("spot_interruption_delivery_seconds_count"), Some(1.0));
}

async fn the_same_entry_three_times(mut world: World) {
    let instance = node(21, "thrice");
    world.compute.insert(instance.clone());
    let exporter = world.ready(&[]).await;
    let entry = world.log.preempted(&instance);
    world.publish(Way::Interruption, vec![entry; 3]).await;
    let duplicates = format!(
        "spot_interruption_exporter_messages_total{{subscription=\"{}\",outcome=\"duplicate\"}}",
        world.short_subscription(Way::Interruption)
    );
    let scrape = exporter.scraped("all came", |scrape| scrape.sample(&duplicates) == Some(2.0)).await;
    assert_eq!(scrape.sample(&total("thrice")), Some(1.0));
}

async fn what_cannot_be_read_is_dropped_once(mut world: World) {
    let instance = node(31, "after");
    world.compute.insert(instance.clone());
    let exporter = world.ready(&[]).await;
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
    // Google's emulator refuses a message without data and attributes, as Pub/Sub does.
    let malformed: Vec<String> = malformed.into_iter().filter(|message| !message.is_empty()).collect();
    let count = malformed.len() as f64;
    world.publish(Way::Interruption, malformed).await;
    world.preempted(&[instance]).await;
    exporter.scraped("what follows is counted", |scrape| scrape.sample(&total("after")) == Some(1.0)).await;
    let invalid = format!(
        "spot_interruption_exporter_messages_total{{subscription=\"{}\",outcome=\"invalid\"}}",
        world.short_subscription(Way::Interruption)
    );
    exporter.scraped("the rest is invalid", |scrape| scrape.sample(&invalid) == Some(count)).await;
    if let Some(pubsub) = &world.sandbox {
        pubsub.wait_until_drained(&world.subscription(Way::Interruption)).await;
    }
}

async fn an_instance_that_nobody_knows(mut world: World) {
    let exporter = world.ready(&[("SIE_ATTRIBUTION_GRACE", "1s")]).await;
    world.preempted(&[node(41, "gone")]).await;
    let scrape =
        exporter.scraped("it is unattributed", |scrape| scrape.sample(UNATTRIBUTED) == Some(1.0)).await;
    assert_eq!(scrape.sample(&total("gone")), None);
    assert_eq!(world.compute.count(Operation::Get), 1, "it was looked up once");
}

async fn an_instance_that_still_exists(mut world: World) {
    let exporter = world.ready(&[]).await;
    // It appears after the listing, and no creation event tells of it.
    let terminated = node(51, "looked-up").status(Status::Terminated);
    let outsider = Instance::new(52, ZONE, "outsider").spot();
    world.compute.insert_all([terminated.clone(), outsider.clone()]);
    world.preempted(&[terminated, outsider]).await;
    exporter.scraped("it is attributed", |scrape| scrape.sample(&total("looked-up")) == Some(1.0)).await;
    exporter.scraped("the other is not", |scrape| scrape.sample(UNATTRIBUTED) == Some(1.0)).await;
}

async fn nodes_of_a_bulk_insert(mut world: World) {
    let exporter = world.ready(&[]).await;
    let nodes = [node(61, "bulk"), node(62, "bulk")];
    world.compute.insert_all(nodes.clone());
    let entries = world.log.bulk_inserted(&nodes);
    let mut creations: Vec<Value> = vec![entries.parent.first, entries.parent.last];
    creations.extend(entries.instances);
    world.publish(Way::Creation, creations).await;
    let inventory = "spot_interruption_exporter_inventory_instances";
    exporter.scraped("both are known", |scrape| scrape.sample(inventory) == Some(2.0)).await;
    world.preempted(&nodes).await;
    exporter.scraped("both are counted", |scrape| scrape.sample(&total("bulk")) == Some(2.0)).await;
}

#[tokio::test]
async fn the_label_of_a_later_release() {
    let mut world = World::sandbox().await;
    let instance = node(71, "renamed");
    world.compute.insert(instance.clone());
    let label =
        [("SIE_PROMETHEUS__CLUSTER_LABEL", "target_kubernetes_cluster"), ("SIE_PROMETHEUS__PATH", "/stats")];
    let exporter = world.ready(&label).await;
    world.preempted(&[instance]).await;
    world.pubsub().wait_until_drained(&world.subscription(Way::Interruption)).await;
    let stats = exporter.get("/stats").await;
    assert_eq!(stats.sample("interruption_events_total{target_kubernetes_cluster=\"renamed\"}"), Some(1.0));
    assert!(!stats.text().contains("kubernetes_cluster=") || !stats.text().contains("{kubernetes_cluster="));
    assert_eq!(exporter.get("/metrics").await.status, 404);
}

#[tokio::test]
async fn other_methods_can_count_too() {
    let mut world = World::sandbox().await;
    let instance = node(81, "hosts");
    world.compute.insert(instance.clone());
    let methods = [("SIE_INTERRUPTION_METHODS", "compute.instances.preempted, compute.instances.hostError")];
    let exporter = world.ready(&methods).await;
    let entry = world.log.system_event("compute.instances.hostError", "Host error.", &instance);
    world.publish(Way::Interruption, [entry]).await;
    let scrape =
        exporter.scraped("it is counted", |scrape| scrape.sample(&total("hosts")) == Some(1.0)).await;
    let text = scrape.text();
    let mut lines = text.lines().filter(|line| line.starts_with("spot_interruptions_total{"));
    assert!(lines.any(|line| line.contains("reason=\"host_error\"") && line.ends_with(" 1")), "{text}");
}

#[tokio::test]
async fn a_message_of_ten_megabytes_is_like_a_small_one() {
    let mut world = World::sandbox().await;
    let instance = node(91, "large");
    world.compute.insert(instance.clone());
    let exporter = world.ready(&[]).await;
    let mut entry = world.log.preempted(&instance);
    entry["protoPayload"]["response"] = json!({ "filler": "x".repeat(9_000_000) });
    let topic = world.topic(Way::Interruption);
    world.pubsub().publish(&topic, [entry]).unwrap();
    exporter.scraped("it is counted", |scrape| scrape.sample(&total("large")) == Some(1.0)).await;
}
