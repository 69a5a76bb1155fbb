//! Runs the published queries in a real Prometheus that scrapes the exporter.

use harness::Prometheus;
use sandbox::spacelift::{Account, Spacelift};

use super::support::Exporter;

/// Returns the results of a query by pool name, which is empty for results without a pool.
async fn by_pool(prometheus: &Prometheus, query: &str) -> Vec<(String, f64)> {
    let name = |labels: serde_json::Value| labels["worker_pool_name"].as_str().unwrap_or_default().to_owned();
    sorted(prometheus.query(query).await.into_iter().map(|(labels, value)| (name(labels), value)).collect())
}

fn sorted(mut series: Vec<(String, f64)>) -> Vec<(String, f64)> {
    series.sort_by(|one, other| one.0.cmp(&other.0));
    series
}

#[tokio::test]
async fn published_queries_match_the_account() {
    let mut account = Account::with_pools(4, 5);
    account.pools[0].workers.clear();
    account.pools[0].busy_workers = 0;
    for (pool, pending) in account.pools.iter_mut().zip([3, 10, 9, 250]) {
        pool.pending_runs = pending;
    }
    let api = Spacelift::builder().account(account.clone()).start().await.unwrap();
    let exporter = Exporter::ready(&api, &[]).await;
    let Some(prometheus) = Prometheus::scraping(&exporter.address).await else { return };

    let pools = &account.pools;
    let without_workers =
        by_pool(&prometheus, "max(spacelift_worker_pool_workers) by (worker_pool_id, worker_pool_name) <= 0")
            .await;
    assert_eq!(without_workers, [(pools[0].name.clone(), 0.0)]);

    let queued = by_pool(
        &prometheus,
        "max(spacelift_worker_pool_runs_pending) by (worker_pool_id, worker_pool_name) >= 10",
    )
    .await;
    assert_eq!(queued, sorted(vec![(pools[1].name.clone(), 10.0), (pools[3].name.clone(), 250.0)]));

    let utilisation = by_pool(&prometheus, "(max(spacelift_worker_pool_workers_busy) by (worker_pool_id, worker_pool_name) / max(spacelift_worker_pool_workers) by (worker_pool_id, worker_pool_name)) or vector(0)").await;
    let mut expected: Vec<(String, f64)> = pools
        .iter()
        .map(|pool| (pool.name.clone(), pool.busy_workers as f64 / pool.workers.len() as f64))
        .collect();
    expected.push((String::new(), 0.0));
    let expected = sorted(expected);
    assert_eq!(utilisation.len(), expected.len(), "{utilisation:?}");
    for ((name, value), (expected_name, expected_value)) in utilisation.iter().zip(&expected) {
        assert_eq!(name, expected_name);
        assert!(value == expected_value || (value.is_nan() && expected_value.is_nan()), "{name}: {value}");
    }
}
