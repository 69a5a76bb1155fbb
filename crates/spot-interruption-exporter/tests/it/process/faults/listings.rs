//! Listings that are long, partial or incomplete.

use super::*;

#[tokio::test]
async fn a_zone_that_cannot_be_listed() {
    let (world, _) = world_with(3).await;
    world.compute.set_unreachable([crate::process::world::ZONE]);
    let exporter = world.exporter(&[("SIE_COMPUTE__RESYNC_INTERVAL", "200ms")]).await;
    let impaired = exporter.readiness(200).await;
    exporter.log("listed a part of the instances").await;
    assert!(impaired.contains(crate::process::world::ZONE), "{impaired}");
    let partial = "spot_interruption_exporter_scopes{state=\"partial\"}";
    exporter.scraped("it is partial", |scrape| scrape.sample(partial) == Some(1.0)).await;
    world.compute.set_unreachable::<&str>([]);
    exporter.scraped("all are known", |scrape| scrape.sum("spot_instances") == 3.0).await;
}

#[tokio::test]
async fn a_listing_of_many_pages() {
    let (world, _) = world_with(1_234).await;
    let exporter = world.ready(&[]).await;
    assert_eq!(exporter.scrape().await.sum("spot_instances"), 1_234.0);
}

#[tokio::test]
async fn what_two_resyncs_miss_is_dropped() {
    let (world, nodes) = world_with(2).await;
    let exporter = world.ready(&[("SIE_COMPUTE__RESYNC_INTERVAL", "200ms")]).await;
    world.compute.remove(&nodes[0].zone, &nodes[0].name);
    exporter.scraped("one is left", |scrape| scrape.sum("spot_instances") == 1.0).await;
}
