//! Limits of requests to the Compute API: rate limits, unreachable zones and repeated pages.

use std::time::Duration;

use sandbox::google::Instance;
use sandbox::google::compute::{Operation, Recorded, Reply, rate_limited};
use tokio::time::Instant;

use super::services::{Services, ZONE, node, total};

/// Returns the arrival times of the requests of an operation.
fn arrivals(services: &Services, operation: Operation) -> Vec<Instant> {
    let is_wanted = |request: &Recorded| request.operation == Some(operation);
    services.compute.requests().into_iter().filter(is_wanted).map(|request| request.at).collect()
}

const LIMITS: &str = "spot_interruption_exporter_compute_rate_limits_total";

#[tokio::test]
async fn listings_wait_for_retry_after() {
    let services = Services::sandbox().await;
    services.compute.insert(node(1, "limited"));
    services.compute.override_reply(Operation::List, rate_limited(Duration::from_secs(4)).once());
    let exporter = services.exporter(&[]).await;
    let reason = exporter.readiness(503).await;
    assert!(reason.contains("Compute API"), "{reason}");
    exporter.log("limits the request rate, requests are paused").await;
    let reason = exporter.readiness(503).await;
    assert!(reason.contains("429 RESOURCE_EXHAUSTED"), "{reason}");
    exporter.readiness(200).await;
    let listings = arrivals(&services, Operation::Page(1));
    // Without Retry-After, the first backoff would be half a second.
    assert!(listings[1] - listings[0] >= Duration::from_secs(4), "{listings:?}");
    assert_eq!(exporter.scrape().await.sample(LIMITS), Some(1.0));
}

#[tokio::test]
async fn lookups_wait_for_retry_after() {
    let mut services = Services::sandbox().await;
    let exporter = services.ready_exporter(&[]).await;
    let nodes: Vec<Instance> = (1..=200).map(|id| node(id, "limited")).collect();
    services.compute.insert_all(nodes.clone());
    services.compute.override_reply(Operation::Get, rate_limited(Duration::from_secs(4)).once());
    services.preempted(&nodes).await;
    let limited = |scrape: &harness::HttpResponse| scrape.sample(LIMITS) == Some(1.0);
    exporter.scraped("the limit is counted", limited).await;
    exporter.scraped("all are counted", |scrape| scrape.sample(&total("limited")) == Some(200.0)).await;
    let lookups = arrivals(&services, Operation::Get);
    let early = lookups.iter().filter(|at| **at - lookups[0] < Duration::from_millis(3_900)).count();
    // Up to 16 lookups were already in progress.
    assert!(early <= 16, "{early} of {}", lookups.len());
}

#[tokio::test]
async fn keeps_instances_of_an_unreachable_zone() {
    let mut services = Services::sandbox().await;
    let nodes = [node(1, "unseen"), node(2, "unseen")];
    services.compute.insert_all(nodes.clone());
    let exporter = services.ready_exporter(&[("SIE_COMPUTE__RESYNC_INTERVAL", "100ms")]).await;
    services.compute.set_unreachable([ZONE]);
    exporter.log("cannot be reached").await;
    // Two complete listings without the instances would remove them.
    let partial = "spot_interruption_exporter_resyncs_total{outcome=\"partial\"}";
    let scrape =
        exporter.scraped("three listings were partial", |scrape| scrape.sample(partial) >= Some(3.0)).await;
    assert_eq!(scrape.sum("spot_instances"), 2.0);
    services.preempted(&nodes).await;
    exporter.scraped("both are counted", |scrape| scrape.sample(&total("unseen")) == Some(2.0)).await;
}

#[tokio::test]
async fn stops_a_listing_with_repeated_pages() {
    let services = Services::sandbox().await;
    let page = r#"{"items": {}, "nextPageToken": "Cg312f612f62"}"#;
    services.compute.override_reply(Operation::List, Reply::Json(page.to_owned()));
    let exporter = services.exporter(&[]).await;
    let line = exporter.log("cannot list all instances").await;
    assert!(line.contains("the API repeats a page"), "{line}");
    assert!(exporter.readiness(503).await.contains("the API repeats a page"));
    services.compute.clear_overrides();
    exporter.readiness(200).await;
}
