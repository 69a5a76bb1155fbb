//! Compute Engine operations, in addition to Pub/Sub and as the only source.

use std::time::{Duration, SystemTime};

use harness::{Exporter, HttpResponse};
use sandbox::google::audit_log::AuditLog;
use sandbox::google::compute::{Operation, ZoneOperation};
use sandbox::google::{CREATION_SUBSCRIPTION, Google, INTERRUPTION_SUBSCRIPTION};
use serde_json::Value;

use super::durable::kill;
use super::services::{EventKind, Services, node, operations_command, operations_exporter, total};

pub(super) const OFTEN: (&str, &str) = ("SIE_COMPUTE__OPERATIONS_INTERVAL", "200ms");
const SHORT_GRACE: (&str, &str) = ("SIE_ATTRIBUTION_GRACE", "1s");
const RECONCILED: &str = "spot_interruption_exporter_reconciled_total";

fn state(scrape: &HttpResponse, state: &str) -> Option<f64> {
    scrape.sample(&format!("spot_interruption_exporter_operations_scopes{{state=\"{state}\"}}"))
}

/// Returns the log entry of a preemption and its operation.
pub(super) fn preemption(log: &mut AuditLog, instance: &sandbox::google::Instance) -> (Value, ZoneOperation) {
    let entry = log.preempted(instance);
    let name = entry["operation"]["id"].as_str().unwrap().to_owned();
    (entry, ZoneOperation::preempted(name, instance, SystemTime::now()))
}

/// Waits for this many further operations listings.
pub(super) async fn listings(exporter: &Exporter, more: f64) {
    let series = "spot_interruption_exporter_operations_listings_total{outcome=\"success\"}";
    let now = exporter.scrape().await.sample(series).unwrap();
    exporter.scraped("further listings succeed", |scrape| scrape.sample(series) >= Some(now + more)).await;
}

#[tokio::test]
async fn counts_interruptions_that_pubsub_missed() {
    let mut services = Services::sandbox().await;
    let nodes = [node(1, "published"), node(2, "missed"), node(3, "both")];
    services.compute.insert_all(nodes.clone());
    let exporter = services.ready_exporter(&[OFTEN, SHORT_GRACE]).await;
    listings(&exporter, 1.0).await;
    let published = preemption(&mut services.log, &nodes[0]);
    let missed = preemption(&mut services.log, &nodes[1]);
    let both = preemption(&mut services.log, &nodes[2]);
    services.publish(EventKind::Interruption, [published.0, both.0]).await;
    services.compute.insert_operation(missed.1);
    services.compute.insert_operation(both.1);
    for cluster in ["published", "missed", "both"] {
        exporter.scraped("it is counted", |scrape| scrape.sample(&total(cluster)) == Some(1.0)).await;
    }
    assert_eq!(exporter.scrape().await.sample(RECONCILED), Some(1.0));
    // A message that arrives later is a duplicate.
    services.publish(EventKind::Interruption, [missed.0]).await;
    let duplicate = format!(
        "spot_interruption_exporter_messages_total{{subscription=\"{}\",outcome=\"duplicate\"}}",
        services.short_subscription(EventKind::Interruption)
    );
    let scrape =
        exporter.scraped("the message is processed", |scrape| scrape.sample(&duplicate) == Some(1.0)).await;
    assert_eq!(scrape.sum("interruption_events_total"), 3.0);
    assert_eq!(state(&scrape, "complete"), Some(1.0));
}

#[tokio::test]
async fn without_state_ignores_operations_before_the_start() {
    let mut services = Services::sandbox().await;
    let nodes = [node(1, "before"), node(2, "after")];
    services.compute.insert_all(nodes.clone());
    let (_, mut before) = preemption(&mut services.log, &nodes[0]);
    before.inserted = SystemTime::now() - Duration::from_secs(5);
    services.compute.insert_operation(before);
    let exporter = services.ready_exporter(&[OFTEN, SHORT_GRACE]).await;
    listings(&exporter, 1.0).await;
    services.compute.insert_operation(preemption(&mut services.log, &nodes[1]).1);
    exporter.scraped("it is counted", |scrape| scrape.sample(&total("after")) == Some(1.0)).await;
    assert_eq!(exporter.scrape().await.sample(&total("before")), Some(0.0));
}

#[tokio::test]
async fn without_permission_operations_are_off_and_it_is_ready() {
    let services = Services::sandbox().await;
    services.compute.first().set_denied(["compute.zoneOperations.list", "compute.globalOperations.list"]);
    let exporter = services.exporter(&[OFTEN]).await;
    let scrape = exporter.scraped("operations are off", |scrape| state(scrape, "off") == Some(1.0)).await;
    assert_eq!(state(&scrape, "failing"), Some(0.0));
    let line = exporter.log("operations may not be listed").await;
    assert!(line.contains("compute."), "{line}");
    assert!(exporter.readiness(200).await.contains("listing operations of 1 of 1 projects"));
}

#[tokio::test]
async fn sends_no_requests_when_disabled() {
    let services = Services::sandbox().await;
    for off in ["off", "false"] {
        let exporter = services.ready_exporter(&[OFTEN, ("SIE_COMPUTE__OPERATIONS", off)]).await;
        let scrape = exporter.scrape().await;
        let states = ["complete", "partial", "failing", "off"].map(|name| state(&scrape, name));
        assert_eq!(states, [Some(0.0); 4]);
    }
    assert_eq!(services.compute.count(Operation::Operations), 0);
}

#[tokio::test]
async fn counts_all_preemptions_with_operations_alone() {
    let google = Google::builder().seed(5).start().await.unwrap();
    let exporter =
        operations_exporter(&google.compute().url(), &[("SIE_COMPUTE__RESYNC_INTERVAL", "1s")]).await;
    for _ in 0..20 {
        // Nodes exist for longer than one second.
        google.advance(Duration::from_secs(1)).await.unwrap();
        listings(&exporter, 1.0).await;
    }
    google.burst(0.3).await.unwrap();
    let truth = google.truth().await;
    let counted: u64 = truth.interruptions_by_cluster.values().sum();
    assert!(counted > 20, "{truth:?}");
    for (cluster, interruptions) in &truth.interruptions_by_cluster {
        let exact = Some(*interruptions as f64);
        exporter.scraped("the count is exact", |scrape| scrape.sample(&total(cluster)) == exact).await;
    }
    assert_eq!(
        exporter.scrape().await.sample(RECONCILED),
        Some(0.0),
        "without Pub/Sub nothing is reconciled"
    );
}

#[tokio::test]
async fn attributes_a_node_that_exists_only_between_two_listings() {
    let services = Services::sandbox().await;
    let exporter = operations_exporter(&services.compute.url(), &[]).await;
    let short = node(1, "short-lived");
    services.compute.insert(short.clone());
    services.compute.insert_operation(ZoneOperation::inserted("operation-1", &short, SystemTime::now()));
    exporter.scraped("it is known", |scrape| scrape.sum("spot_instances") == 1.0).await;
    services.compute.remove(&short.zone, &short.name);
    services.compute.insert_operation(ZoneOperation::preempted("systemevent-1", &short, SystemTime::now()));
    exporter.scraped("it is counted", |scrape| scrape.sample(&total("short-lived")) == Some(1.0)).await;
    assert!(!exporter.scrape().await.text().contains("subscription="));
}

#[tokio::test]
async fn operations_as_the_only_source_are_required_for_readiness() {
    let services = Services::sandbox().await;
    services.compute.first().set_denied(["compute.zoneOperations.list", "compute.globalOperations.list"]);
    let exporter = Exporter::run(operations_command(&services.compute.url())).await;
    exporter.scraped("operations fail", |scrape| state(scrape, "failing") == Some(1.0)).await;
    let missing = exporter.readiness(503).await;
    assert!(missing.contains("Operations.list"), "{missing}");
    services.compute.first().set_denied::<&str>([]);
    exporter.readiness(200).await;
}

#[tokio::test]
async fn counts_all_interruptions_when_the_sink_stops_in_a_burst() {
    let google = Google::builder().seed(7).start().await.unwrap();
    let mut command = operations_command(&google.compute().url());
    command
        .env("SIE_PUBSUB__INSTANCE_CREATION_SUBSCRIPTION_NAME", CREATION_SUBSCRIPTION)
        .env("SIE_PUBSUB__INSTANCE_INTERRUPTION_SUBSCRIPTION_NAME", INTERRUPTION_SUBSCRIPTION)
        .env("SIE_PUBSUB__ENDPOINT", google.pubsub().unwrap().endpoint())
        .envs([SHORT_GRACE]);
    let exporter = Exporter::run(command).await;
    exporter.readiness(200).await;
    google.burst(0.2).await.unwrap();
    google.set_sink(false);
    google.burst(0.2).await.unwrap();
    let truth = google.truth().await;
    for (cluster, interruptions) in &truth.interruptions_by_cluster {
        let exact = Some(*interruptions as f64);
        exporter.scraped("the count is exact", |scrape| scrape.sample(&total(cluster)) == exact).await;
    }
    assert!(exporter.scrape().await.sample(RECONCILED) > Some(0.0));
}

#[tokio::test]
async fn counts_late_and_partially_listed_operations() {
    let mut services = Services::sandbox().await;
    let nodes: Vec<_> = (1..=40).map(|id| node(id, "many")).collect();
    services.compute.insert_all(nodes.clone());
    let project = services.compute.first().clone();
    project.set_operations_late(Duration::ZERO, Duration::from_secs(2));
    project.set_operations_unreachable([super::services::ZONE]);
    let exporter = services.ready_exporter(&[OFTEN, SHORT_GRACE]).await;
    for instance in &nodes {
        services.compute.insert_operation(preemption(&mut services.log, instance).1);
    }
    exporter.scraped("the listing is partial", |scrape| state(scrape, "partial") == Some(1.0)).await;
    project.set_operations_unreachable::<&str>([]);
    exporter.scraped("all are counted", |scrape| scrape.sample(&total("many")) == Some(40.0)).await;
}

#[tokio::test]
async fn counts_ten_thousand_operations_of_one_listing() {
    let mut services = Services::sandbox().await;
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
    services.compute.insert_all(nodes.clone());
    let exporter =
        services.ready_exporter(&[OFTEN, SHORT_GRACE, ("SIE_COMPUTE__RESYNC_INTERVAL", "1h")]).await;
    listings(&exporter, 1.0).await;
    let operations: Vec<_> = nodes.iter().map(|instance| preemption(&mut services.log, instance).1).collect();
    services.compute.first().insert_operations(operations);
    exporter.scraped("all are counted", |scrape| scrape.sample(&total("many")) == Some(10_000.0)).await;
    let peak = harness::Usage::of(exporter.pid()).peak / 1_024;
    assert!(peak < 64, "{peak} MiB");
}

/// Preemptions that happened while the exporter was down are counted once, also if Pub/Sub lost the message. Preemptions
/// that a message reported before are recognised.
#[tokio::test]
async fn continues_at_the_cursor_after_a_restart() {
    let mut services = Services::sandbox().await;
    let nodes = [node(1, "published"), node(2, "missed"), node(3, "down")];
    services.compute.insert_all(nodes.clone());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    let variables = [OFTEN, SHORT_GRACE, ("SIE_STATE__PATH", path), ("SIE_DEDUP_WINDOW", "0s")];
    let exporter = services.ready_exporter(&variables).await;
    listings(&exporter, 1.0).await;
    let published = preemption(&mut services.log, &nodes[0]);
    services.publish(EventKind::Interruption, [published.0]).await;
    services.compute.insert_operation(preemption(&mut services.log, &nodes[1]).1);
    for cluster in ["published", "missed"] {
        exporter.scraped("it is counted", |scrape| scrape.sample(&total(cluster)) == Some(1.0)).await;
    }
    listings(&exporter, 2.0).await;
    kill(exporter).await;

    services.compute.insert_operation(published.1);
    services.compute.insert_operation(preemption(&mut services.log, &nodes[2]).1);
    let exporter = services.ready_exporter(&variables).await;
    exporter.scraped("it is counted", |scrape| scrape.sample(&total("down")) == Some(1.0)).await;
    listings(&exporter, 2.0).await;
    let scrape = exporter.scrape().await;
    assert_eq!(scrape.sum("interruption_events_total"), 3.0, "{}", scrape.text());
    assert_eq!(scrape.sample(RECONCILED), Some(2.0));
}
