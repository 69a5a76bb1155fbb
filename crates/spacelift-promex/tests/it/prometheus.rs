//! A real Prometheus scrapes the exporter, and the queries of the published guide give what the account holds.

use std::process::Stdio;
use std::time::Duration;

use sandbox::spacelift::{Account, Spacelift};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use super::support::{Exporter, get, tool};

struct Prometheus {
    _child: Child,
    _data: tempfile::TempDir,
    url: String,
}

impl Prometheus {
    async fn scraping(target: &str) -> Option<Self> {
        let program = tool("prometheus")?;
        let data = tempfile::tempdir().unwrap();
        let config = data.path().join("prometheus.yml");
        std::fs::write(
            &config,
            format!("scrape_configs:\n- job_name: spacelift-promex\n  scrape_interval: 500ms\n  scrape_timeout: 500ms\n  static_configs: [{{targets: ['{target}']}}]\n"),
        )
        .unwrap();
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let child = Command::new(program)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", data.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Some(Self { _child: child, _data: data, url: format!("http://127.0.0.1:{port}") })
    }

    /// The result of an instant query: the pool's name (empty where there is none) and the value.
    async fn query(&self, query: &str) -> Vec<(String, f64)> {
        let query: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = get(&format!("{}/api/v1/query?query={query}", self.url), &[]).await;
        let answer: Value = serde_json::from_str(&answer.text()).unwrap();
        assert_eq!(answer["status"], "success", "{answer}");
        let mut series: Vec<(String, f64)> = answer["data"]["result"]
            .as_array()
            .unwrap()
            .iter()
            .map(|series| {
                let name = series["metric"]["worker_pool_name"].as_str().unwrap_or_default().to_owned();
                (name, series["value"][1].as_str().unwrap().parse().unwrap())
            })
            .collect();
        series.sort_by(|one, other| one.0.cmp(&other.0));
        series
    }

    /// Waits until the target was scraped; Prometheus can only be asked.
    async fn scraped(&self) {
        let up = async {
            loop {
                let listens =
                    tokio::net::TcpStream::connect(self.url.trim_start_matches("http://")).await.is_ok();
                if listens
                    && get(&format!("{}/-/ready", self.url), &[]).await.status == 200
                    && self.query("up == 1").await.len() == 1
                {
                    return;
                }
                sleep(Duration::from_millis(100)).await;
            }
        };
        timeout(Duration::from_secs(60), up).await.expect("Prometheus does not scrape the exporter");
    }
}

#[tokio::test]
async fn the_published_queries_return_what_the_account_holds() {
    let mut account = Account::with_pools(4, 5);
    account.pools[0].workers.clear();
    account.pools[0].busy_workers = 0;
    for (pool, pending) in account.pools.iter_mut().zip([3, 10, 9, 250]) {
        pool.pending_runs = pending;
    }
    let api = Spacelift::builder().account(account.clone()).start().await.unwrap();
    let exporter = Exporter::ready(&api, &[]).await;
    let Some(prometheus) = Prometheus::scraping(&exporter.address).await else { return };
    prometheus.scraped().await;

    let pools = &account.pools;
    let sorted = |mut series: Vec<(String, f64)>| {
        series.sort_by(|one, other| one.0.cmp(&other.0));
        series
    };
    let without_workers = prometheus
        .query("max(spacelift_worker_pool_workers) by (worker_pool_id, worker_pool_name) <= 0")
        .await;
    assert_eq!(without_workers, [(pools[0].name.clone(), 0.0)]);

    let queued = prometheus
        .query("max(spacelift_worker_pool_runs_pending) by (worker_pool_id, worker_pool_name) >= 10")
        .await;
    assert_eq!(queued, sorted(vec![(pools[1].name.clone(), 10.0), (pools[3].name.clone(), 250.0)]));

    let utilisation = prometheus
        .query("(max(spacelift_worker_pool_workers_busy) by (worker_pool_id, worker_pool_name) / max(spacelift_worker_pool_workers) by (worker_pool_id, worker_pool_name)) or vector(0)")
        .await;
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
