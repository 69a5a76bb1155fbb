//! Failed creations.

use harness::{Exporter, HttpResponse};
use sandbox::google::Provisioning;
use serde_json::Value;

use super::services::{EventKind, Services, ZONE, node, total};

fn failures(cluster: &str, reason: &str) -> String {
    format!(
        "spot_creation_failures_total{{kubernetes_cluster=\"{cluster}\",node_pool=\"spot-pool\",machine_type=\"n2-standard-4\",zone=\"{ZONE}\",reason=\"{reason}\"}}"
    )
}

async fn wait_for_failures(exporter: &Exporter, cluster: &str, reason: &str, count: f64) -> HttpResponse {
    let series = failures(cluster, reason);
    exporter.scraped(&series, |scrape| scrape.sample(&series) == Some(count)).await
}

#[tokio::test]
async fn counts_failed_creations_by_reason() {
    let mut services = Services::sandbox().await;
    services.compute.insert(node(1, "known"));
    let exporter = services.ready_exporter(&[]).await;
    let scrape = exporter.scrape().await;
    for reason in ["stockout", "quota", "permission", "other"] {
        assert_eq!(scrape.sample(&failures("known", reason)), Some(0.0), "{reason}");
    }

    let log = &mut services.log;
    let began = log.insert_began_and_failed(&node(2, "known"));
    let refused = log.insert_failed(&node(3, "known"));
    let denied = log.insert_refused(&node(5, "known"), 7, "Required 'compute.instances.create' permission");
    let on_demand = log.insert_failed(&node(6, "known").provisioning(Provisioning::Standard));
    let elsewhere = log.insert_failed(&node(7, "elsewhere"));
    let quota = log.insert_refused(&node(4, "known"), 8, "QUOTA_EXCEEDED");
    let entries =
        [&began.first, &began.last, &began.last, &refused, &refused, &denied, &on_demand, &elsewhere, &quota];
    services.publish(EventKind::Creation, entries).await;
    let scrape = wait_for_failures(&exporter, "known", "quota", 1.0).await;
    assert_eq!(scrape.sample(&failures("known", "stockout")), Some(2.0), "{}", scrape.text());
    assert_eq!(scrape.sample(&failures("known", "permission")), Some(1.0));
    assert_eq!(scrape.sample(&failures("known", "other")), Some(0.0));
    assert_eq!(scrape.sample(&failures("elsewhere", "stockout")), Some(1.0));
    assert_eq!(scrape.sample(&total("elsewhere")), None, "a failed creation does not register its cluster");
    assert_eq!(scrape.sum("spot_instances"), 1.0, "a failed creation does not run");
    services.pubsub().wait_until_drained(&services.subscription(EventKind::Creation)).await;
}

#[tokio::test]
async fn counts_of_failed_creations_survive_a_kill() {
    let mut services = Services::sandbox().await;
    let directory = tempfile::tempdir().unwrap();
    let state = [("SIE_STATE__PATH", directory.path().to_str().unwrap())];
    let mut first = services.ready_exporter(&state).await;
    let entries: Vec<Value> = (1..=3).map(|id| services.log.insert_failed(&node(id, "durable"))).collect();
    services.publish(EventKind::Creation, &entries).await;
    wait_for_failures(&first, "durable", "stockout", 3.0).await;
    first.signal("KILL");
    first.exit().await;

    let second = services.ready_exporter(&state).await;
    wait_for_failures(&second, "durable", "stockout", 3.0).await;
    // A repeated entry is still recognised.
    let another = services.log.insert_failed(&node(9, "durable"));
    services.publish(EventKind::Creation, [&entries[0], &another]).await;
    wait_for_failures(&second, "durable", "stockout", 4.0).await;
    services.pubsub().wait_until_drained(&services.subscription(EventKind::Creation)).await;
    wait_for_failures(&second, "durable", "stockout", 4.0).await;
}
