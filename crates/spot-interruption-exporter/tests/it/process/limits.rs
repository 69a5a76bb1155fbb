//! What bounds the questions to the Compute API: its own word, and a listing's end.

use std::time::Duration;

use sandbox::google::Instance;
use sandbox::google::compute::{Operation, Recorded, Reply, rate_limited};
use tokio::time::Instant;

use super::world::{World, ZONE, node, total};

/// When requests of an operation arrived; for a list, those of first pages.
fn arrivals(world: &World, operation: Operation) -> Vec<Instant> {
    let is_asked = |request: &Recorded| request.operation == Some(operation);
    world.compute.requests().into_iter().filter(is_asked).map(|request| request.at).collect()
}

const LIMITS: &str = "spot_interruption_exporter_compute_rate_limits_total";

#[tokio::test]
async fn a_listing_waits_for_as_long_as_the_api_asks() {
    let world = World::sandbox().await;
    world.compute.insert(node(1, "limited"));
    world.compute.override_reply(Operation::List, rate_limited(Duration::from_secs(4)).once());
    let exporter = world.exporter(&[]).await;
    let reason = exporter.readiness(503).await;
    assert!(reason.contains("Compute API"), "{reason}");
    exporter.log("asks not to be asked for a while").await;
    let reason = exporter.readiness(503).await;
    assert!(reason.contains("429 RESOURCE_EXHAUSTED"), "{reason}");
    exporter.readiness(200).await;
    let listings = arrivals(&world, Operation::Page(1));
    // The first of the exporter's own pauses would be half a second.
    assert!(listings[1] - listings[0] >= Duration::from_secs(4), "{listings:?}");
    assert_eq!(exporter.scrape().await.sample(LIMITS), Some(1.0));
}

#[tokio::test]
async fn look_ups_wait_for_as_long_as_the_api_asks() {
    let mut world = World::sandbox().await;
    let exporter = world.ready(&[]).await;
    let nodes: Vec<Instance> = (1..=200).map(|id| node(id, "limited")).collect();
    world.compute.insert_all(nodes.clone());
    world.compute.override_reply(Operation::Get, rate_limited(Duration::from_secs(4)).once());
    world.preempted(&nodes).await;
    let limited = |scrape: &harness::Answer| scrape.sample(LIMITS) == Some(1.0);
    exporter.scraped("the limit is counted", limited).await;
    exporter.scraped("all are counted", |scrape| scrape.sample(&total("limited")) == Some(200.0)).await;
    let asked = arrivals(&world, Operation::Get);
    let early = asked.iter().filter(|at| **at - asked[0] < Duration::from_millis(3_900)).count();
    // What was under way together with the first one cannot be taken back.
    assert!(early <= 16, "{early} of {}", asked.len());
}

#[tokio::test]
async fn what_a_listing_cannot_see_is_not_gone() {
    let mut world = World::sandbox().await;
    let nodes = [node(1, "unseen"), node(2, "unseen")];
    world.compute.insert_all(nodes.clone());
    let exporter = world.ready(&[("SIE_COMPUTE__RESYNC_INTERVAL", "100ms")]).await;
    world.compute.set_unreachable([ZONE]);
    exporter.log("cannot be reached").await;
    // Two complete listings without them would drop them.
    let partial = "spot_interruption_exporter_resyncs_total{outcome=\"partial\"}";
    let scrape =
        exporter.scraped("it is listed in part again", |scrape| scrape.sample(partial) >= Some(3.0)).await;
    assert_eq!(scrape.sum("spot_instances"), 2.0);
    world.preempted(&nodes).await;
    exporter.scraped("both are counted", |scrape| scrape.sample(&total("unseen")) == Some(2.0)).await;
}

#[tokio::test]
async fn a_listing_whose_pages_repeat_ends() {
    let world = World::sandbox().await;
    let page = r#"{"items": {}, "nextPageToken": "Cg312f612f62"}"#;
    world.compute.override_reply(Operation::List, Reply::Json(page.to_owned()));
    let exporter = world.exporter(&[]).await;
    let line = exporter.log("cannot list all instances").await;
    assert!(line.contains("the API repeats a page"), "{line}");
    assert!(exporter.readiness(503).await.contains("the API repeats a page"));
    world.compute.clear_overrides();
    exporter.readiness(200).await;
}
