//! Compute Engine's own operations: as a second net under Pub/Sub, and in its place.

use std::time::{Duration, SystemTime};

use harness::{Answer, Exporter};
use sandbox::google::audit_log::AuditLog;
use sandbox::google::compute::{Operation, ZoneOperation};
use sandbox::google::{CREATION_SUBSCRIPTION, Google, INTERRUPTION_SUBSCRIPTION};
use serde_json::Value;

use super::durable::kill;
use super::world::{Way, World, node, source, source_command, total};

pub(super) const OFTEN: (&str, &str) = ("SIE_COMPUTE__OPERATIONS_INTERVAL", "200ms");
const SHORT_GRACE: (&str, &str) = ("SIE_ATTRIBUTION_GRACE", "1s");
const RECONCILED: &str = "spot_interruption_exporter_reconciled_total";

fn state(scrape: &Answer, state: &str) -> Option<f64> {
    scrape.sample(&format!("spot_interruption_exporter_operations_scopes{{state=\"{state}\"}}"))
}

/// The log entry of a preemption, and the operation that it belongs to.
pub(super) fn preemption(log: &mut AuditLog, instance: &sandbox::google::Instance) -> (Value, ZoneOperation) {
    let entry = log.preempted(instance);
    let name = entry["operation"]["id"].as_str().unwrap().to_owned();
    (entry, ZoneOperation::preempted(name, instance, SystemTime::now()))
}

pub(super) async fn listings(exporter: &Exporter, more: f64) {
    let series = "spot_interruption_exporter_operations_listings_total{outcome=\"success\"}";
    let now = exporter.scrape().await.sample(series).unwrap();
    exporter.scraped("it lists on", |scrape| scrape.sample(series) >= Some(now + more)).await;
}

#[tokio::test]
async fn what_pubsub_misses_is_counted() {
    let mut world = World::sandbox().await;
    let nodes = [node(1, "told"), node(2, "missed"), node(3, "both")];
    world.compute.insert_all(nodes.clone());
    let exporter = world.ready(&[OFTEN, SHORT_GRACE]).await;
    listings(&exporter, 1.0).await;
    let told = preemption(&mut world.log, &nodes[0]);
    let missed = preemption(&mut world.log, &nodes[1]);
    let both = preemption(&mut world.log, &nodes[2]);
    world.publish(Way::Interruption, [told.0, both.0]).await;
    world.compute.insert_operation(missed.1);
    world.compute.insert_operation(both.1);
    for cluster in ["told", "missed", "both"] {
        exporter.scraped("it is counted", |scrape| scrape.sample(&total(cluster)) == Some(1.0)).await;
    }
    assert_eq!(exporter.scrape().await.sample(RECONCILED), Some(1.0));
    // The message that comes after all counts nothing.
    world.publish(Way::Interruption, [missed.0]).await;
    let duplicate = format!(
        "spot_interruption_exporter_messages_total{{subscription=\"{}\",outcome=\"duplicate\"}}",
        world.short_subscription(Way::Interruption)
    );
    let scrape = exporter.scraped("it came", |scrape| scrape.sample(&duplicate) == Some(1.0)).await;
    assert_eq!(scrape.sum("interruption_events_total"), 3.0);
    assert_eq!(state(&scrape, "complete"), Some(1.0));
}

#[tokio::test]
async fn what_happened_before_the_start_is_not_counted_without_state() {
    let mut world = World::sandbox().await;
    let nodes = [node(1, "before"), node(2, "after")];
    world.compute.insert_all(nodes.clone());
    let (_, mut before) = preemption(&mut world.log, &nodes[0]);
    before.inserted = SystemTime::now() - Duration::from_secs(5);
    world.compute.insert_operation(before);
    let exporter = world.ready(&[OFTEN, SHORT_GRACE]).await;
    listings(&exporter, 1.0).await;
    world.compute.insert_operation(preemption(&mut world.log, &nodes[1]).1);
    exporter.scraped("it is counted", |scrape| scrape.sample(&total("after")) == Some(1.0)).await;
    assert_eq!(exporter.scrape().await.sample(&total("before")), Some(0.0));
}

#[tokio::test]
async fn without_the_permission_it_is_off_and_ready() {
    let world = World::sandbox().await;
    world.compute.first().set_denied(["compute.zoneOperations.list", "compute.globalOperations.list"]);
    let exporter = world.exporter(&[OFTEN]).await;
    let scrape = exporter.scraped("it is off", |scrape| state(scrape, "off") == Some(1.0)).await;
    assert_eq!(state(&scrape, "failing"), Some(0.0));
    let line = exporter.log("operations may not be listed").await;
    assert!(line.contains("compute."), "{line}");
    assert!(exporter.readiness(200).await.contains("listing operations of 1 of 1 projects"));
}

#[tokio::test]
async fn switched_off_it_asks_for_nothing() {
    let world = World::sandbox().await;
    for off in ["off", "false"] {
        let exporter = world.ready(&[OFTEN, ("SIE_COMPUTE__OPERATIONS", off)]).await;
        let scrape = exporter.scrape().await;
        let states = ["complete", "partial", "failing", "off"].map(|name| state(&scrape, name));
        assert_eq!(states, [Some(0.0); 4]);
    }
    assert_eq!(world.compute.count(Operation::Operations), 0);
}

#[tokio::test]
async fn the_source_alone_counts_what_the_world_preempts() {
    let google = Google::builder().seed(5).start().await.unwrap();
    let exporter = source(&google.compute().url(), &[("SIE_COMPUTE__RESYNC_INTERVAL", "1s")]).await;
    for _ in 0..20 {
        // A node lives longer than that.
        google.advance(Duration::from_secs(1)).await.unwrap();
        listings(&exporter, 1.0).await;
    }
    google.storm(0.3).await.unwrap();
    let truth = google.truth().await;
    let counted: u64 = truth.interruptions_by_cluster.values().sum();
    assert!(counted > 20, "{truth:?}");
    for (cluster, interruptions) in &truth.interruptions_by_cluster {
        let exact = Some(*interruptions as f64);
        exporter.scraped("it is exact", |scrape| scrape.sample(&total(cluster)) == exact).await;
    }
    assert_eq!(exporter.scrape().await.sample(RECONCILED), Some(0.0), "nothing was missed");
}

#[tokio::test]
async fn a_node_that_lives_between_two_listings_is_attributed() {
    let world = World::sandbox().await;
    let exporter = source(&world.compute.url(), &[]).await;
    let short = node(1, "short-lived");
    world.compute.insert(short.clone());
    world.compute.insert_operation(ZoneOperation::inserted("operation-1", &short, SystemTime::now()));
    exporter.scraped("it is known", |scrape| scrape.sum("spot_instances") == 1.0).await;
    world.compute.remove(&short.zone, &short.name);
    world.compute.insert_operation(ZoneOperation::preempted("systemevent-1", &short, SystemTime::now()));
    exporter.scraped("it is counted", |scrape| scrape.sample(&total("short-lived")) == Some(1.0)).await;
    assert!(!exporter.scrape().await.text().contains("subscription="));
}

#[tokio::test]
async fn as_the_source_it_is_what_ready_waits_for() {
    let world = World::sandbox().await;
    world.compute.first().set_denied(["compute.zoneOperations.list", "compute.globalOperations.list"]);
    let exporter = Exporter::run(source_command(&world.compute.url())).await;
    exporter.scraped("it fails", |scrape| state(scrape, "failing") == Some(1.0)).await;
    let missing = exporter.readiness(503).await;
    assert!(missing.contains("Operations.list"), "{missing}");
    world.compute.first().set_denied::<&str>([]);
    exporter.readiness(200).await;
}

#[tokio::test]
async fn a_sink_that_stops_in_a_burst_costs_nothing() {
    let google = Google::builder().seed(7).start().await.unwrap();
    let mut command = source_command(&google.compute().url());
    command
        .env("SIE_PUBSUB__INSTANCE_CREATION_SUBSCRIPTION_NAME", CREATION_SUBSCRIPTION)
        .env("SIE_PUBSUB__INSTANCE_INTERRUPTION_SUBSCRIPTION_NAME", INTERRUPTION_SUBSCRIPTION)
        .env("SIE_PUBSUB__ENDPOINT", google.pubsub().unwrap().endpoint())
        .envs([SHORT_GRACE]);
    let exporter = Exporter::run(command).await;
    exporter.readiness(200).await;
    google.storm(0.2).await.unwrap();
    google.set_sink(false);
    google.storm(0.2).await.unwrap();
    let truth = google.truth().await;
    for (cluster, interruptions) in &truth.interruptions_by_cluster {
        let exact = Some(*interruptions as f64);
        exporter.scraped("it is exact", |scrape| scrape.sample(&total(cluster)) == exact).await;
    }
    assert!(exporter.scrape().await.sample(RECONCILED) > Some(0.0));
}

#[tokio::test]
async fn late_partial_and_full_lists() {
    let mut world = World::sandbox().await;
    let nodes: Vec<_> = (1..=40).map(|id| node(id, "many")).collect();
    world.compute.insert_all(nodes.clone());
    let project = world.compute.first().clone();
    project.set_operations_late(Duration::ZERO, Duration::from_secs(2));
    project.set_operations_unreachable([super::world::ZONE]);
    let exporter = world.ready(&[OFTEN, SHORT_GRACE]).await;
    for instance in &nodes {
        world.compute.insert_operation(preemption(&mut world.log, instance).1);
    }
    exporter.scraped("it is partial", |scrape| state(scrape, "partial") == Some(1.0)).await;
    project.set_operations_unreachable::<&str>([]);
    exporter.scraped("all are counted", |scrape| scrape.sample(&total("many")) == Some(40.0)).await;
}

#[tokio::test]
async fn ten_thousand_operations_in_one_listing() {
    let mut world = World::sandbox().await;
    let zones = ["europe-west1-b", "europe-west1-c", "europe-west1-d"];
    let nodes: Vec<_> = (0..10_000_u64)
        .map(|id| {
            let zone = zones[id as usize % zones.len()];
            sandbox::google::Instance::new(id + 1, zone, format!("gke-many-{id}")).spot().gke(
                "many",
                "europe-west1",
                "p",
            )
        })
        .collect();
    world.compute.insert_all(nodes.clone());
    let exporter = world.ready(&[OFTEN, SHORT_GRACE, ("SIE_COMPUTE__RESYNC_INTERVAL", "1h")]).await;
    listings(&exporter, 1.0).await;
    let operations: Vec<_> = nodes.iter().map(|instance| preemption(&mut world.log, instance).1).collect();
    world.compute.first().insert_operations(operations);
    exporter.scraped("all are counted", |scrape| scrape.sample(&total("many")) == Some(10_000.0)).await;
    let peak = harness::Usage::of(exporter.pid()).peak / 1_024;
    assert!(peak < 64, "{peak} MiB");
}

/// What happened while the exporter was down counts once, also when Pub/Sub has lost it; what a message told of before is
/// recognised.
#[tokio::test]
async fn a_restart_goes_on_where_the_operations_were() {
    let mut world = World::sandbox().await;
    let nodes = [node(1, "told"), node(2, "missed"), node(3, "down")];
    world.compute.insert_all(nodes.clone());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    let variables = [OFTEN, SHORT_GRACE, ("SIE_STATE__PATH", path), ("SIE_DEDUP_WINDOW", "0s")];
    let exporter = world.ready(&variables).await;
    listings(&exporter, 1.0).await;
    let told = preemption(&mut world.log, &nodes[0]);
    world.publish(Way::Interruption, [told.0]).await;
    world.compute.insert_operation(preemption(&mut world.log, &nodes[1]).1);
    for cluster in ["told", "missed"] {
        exporter.scraped("it is counted", |scrape| scrape.sample(&total(cluster)) == Some(1.0)).await;
    }
    listings(&exporter, 2.0).await;
    kill(exporter).await;

    world.compute.insert_operation(told.1);
    world.compute.insert_operation(preemption(&mut world.log, &nodes[2]).1);
    let exporter = world.ready(&variables).await;
    exporter.scraped("it is counted", |scrape| scrape.sample(&total("down")) == Some(1.0)).await;
    listings(&exporter, 2.0).await;
    let scrape = exporter.scrape().await;
    assert_eq!(scrape.sum("interruption_events_total"), 3.0, "{}", scrape.text());
    assert_eq!(scrape.sample(RECONCILED), Some(2.0));
}
