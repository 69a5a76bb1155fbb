//! A real Prometheus sees what the Go original hides from it.

use harness::Prometheus;

use super::world::{World, node, total};

#[tokio::test]
async fn increase_sees_the_very_first_interruption_of_a_cluster() {
    let mut world = World::sandbox().await;
    let exporter = world.ready(&[]).await;
    let Some(prometheus) = Prometheus::scraping(&exporter.address).await else { return };
    // The cluster becomes known by its first node, and is there at 0 before anything happens to it.
    let first = node(1, "new");
    world.created(std::slice::from_ref(&first)).await;
    prometheus
        .wait_until("the cluster is at 0", &format!("{} == 0", total("new")), |series| series.len() == 1)
        .await;
    world.preempted(&[first]).await;
    let increase = format!("increase({}[5m])", total("new"));
    let series = prometheus.wait_until("the first one increases it", &increase, |series| {
        series.first().is_some_and(|(_, value)| *value > 0.0)
    });
    assert_eq!(series.await[0].0["kubernetes_cluster"], "new");
}
