//! Many instances and many warnings.

use harness::Usage;

use super::super::services::total;
use super::{Services, node};

#[tokio::test]
async fn counts_ten_thousand_warnings_at_once() {
    let (services, nodes) = Services::with_nodes(10_000).await;
    let exporter = services.ready_exporter(&[]).await;
    let bodies = nodes.iter().map(|node| sandbox::aws::Event::interruption_warning(node).body());
    services.aws.queue().send_all(bodies);
    exporter.scraped("all are counted", |scrape| scrape.sample(&total("prod")) == Some(10_000.0)).await;
    services.aws.queue().wait_until_deleted(10_000).await;
    assert_eq!(exporter.scrape().await.sum("interruption_events_unattributed_total"), 0.0);
}

/// Ten thousand nodes of five kilobytes each.
#[tokio::test]
async fn lists_ten_thousand_instances_within_60_mib() {
    let services = Services::new().await;
    services.aws.configure_ec2(|ec2| ec2.padding = 5_000);
    services.aws.launch_all((1..=10_000).map(|number| node(number, "prod")));
    let exporter = services.ready_exporter(&[]).await;
    exporter.scraped("all run", |scrape| scrape.sum("spot_instances") == 10_000.0).await;
    let peak = Usage::of(exporter.pid()).peak;
    assert!(peak <= 60 * 1024, "{peak} KiB");
}
