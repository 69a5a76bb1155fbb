//! Queries of a real Prometheus.

use harness::Prometheus;

use super::services::{Services, node, total};

#[tokio::test]
async fn increase_includes_the_first_interruption_of_a_cluster() {
    let mut services = Services::sandbox().await;
    let exporter = services.ready_exporter(&[]).await;
    let Some(prometheus) = Prometheus::scraping(&exporter.address).await else { return };
    // The first node registers the cluster, whose counter then starts at 0.
    let first = node(1, "new");
    services.created(std::slice::from_ref(&first)).await;
    prometheus
        .wait_until("the cluster is at 0", &format!("{} == 0", total("new")), |series| series.len() == 1)
        .await;
    services.preempted(&[first]).await;
    let increase = format!("increase({}[5m])", total("new"));
    let series = prometheus.wait_until("the first interruption increases the counter", &increase, |series| {
        series.first().is_some_and(|(_, value)| *value > 0.0)
    });
    assert_eq!(series.await[0].0["kubernetes_cluster"], "new");
}
