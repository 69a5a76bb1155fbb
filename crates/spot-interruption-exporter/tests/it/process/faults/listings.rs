//! Listings that are long, partial or incomplete.

use super::*;

#[tokio::test]
async fn reports_a_zone_that_cannot_be_listed() {
    let (services, _) = services_with(3).await;
    services.compute.set_unreachable([crate::process::services::ZONE]);
    let exporter = services.exporter(&[("SIE_COMPUTE__RESYNC_INTERVAL", "200ms")]).await;
    let impaired = exporter.readiness(200).await;
    exporter.log("listed the instances partially").await;
    assert!(impaired.contains(crate::process::services::ZONE), "{impaired}");
    let partial = "spot_interruption_exporter_scopes{state=\"partial\"}";
    exporter.scraped("the listing is partial", |scrape| scrape.sample(partial) == Some(1.0)).await;
    services.compute.set_unreachable::<&str>([]);
    exporter.scraped("all are known", |scrape| scrape.sum("spot_instances") == 3.0).await;
}

#[tokio::test]
async fn reads_all_pages_of_a_listing() {
    let (services, _) = services_with(1_234).await;
    let exporter = services.ready_exporter(&[]).await;
    assert_eq!(exporter.scrape().await.sum("spot_instances"), 1_234.0);
}

#[tokio::test]
async fn removes_a_deleted_instance_after_two_listings() {
    let (services, nodes) = services_with(2).await;
    let exporter = services.ready_exporter(&[("SIE_COMPUTE__RESYNC_INTERVAL", "200ms")]).await;
    services.compute.remove(&nodes[0].zone, &nodes[0].name);
    exporter.scraped("one instance remains", |scrape| scrape.sum("spot_instances") == 1.0).await;
}
