//! A Prometheus process.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::{TIMEOUT, get, tool};

/// A Prometheus that scrapes one target twice a second; killed when dropped.
pub struct Prometheus {
    address: String,
    _child: Child,
    _data: tempfile::TempDir,
}

impl Prometheus {
    /// Starts Prometheus and waits until it has scraped the target. Returns `None` if it is not installed.
    pub async fn scraping(target: &str) -> Option<Self> {
        Self::scraping_with(target, "").await
    }

    /// Does the same with more lines of the scrape configuration: YAML with an indent of two.
    pub async fn scraping_with(target: &str, configuration: &str) -> Option<Self> {
        let program = tool("prometheus")?;
        let data = tempfile::tempdir().unwrap();
        let config = data.path().join("prometheus.yml");
        std::fs::write(
            &config,
            format!(
                "scrape_configs:\n- job_name: exporter\n  scrape_interval: 500ms\n  scrape_timeout: 500ms\n  static_configs: [{{targets: ['{target}']}}]\n{configuration}"
            ),
        )
        .unwrap();
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let address = free.to_string();
        let child = Command::new(program)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", data.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let prometheus = Self { address, _child: child, _data: data };
        prometheus.wait_until("the exporter is scraped", "up == 1", |series| series.len() == 1).await;
        Some(prometheus)
    }

    /// Returns the result of an instant query: labels and value of each series.
    pub async fn query(&self, query: &str) -> Vec<(Value, f64)> {
        let query: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let response = get(&format!("http://{}/api/v1/query?query={query}", self.address), &[]).await;
        let response: Value = serde_json::from_str(&response.text()).unwrap();
        assert_eq!(response["status"], "success", "{response}");
        let value = |series: &Value| series["value"][1].as_str().unwrap().parse().unwrap();
        response["data"]["result"]
            .as_array()
            .unwrap()
            .iter()
            .map(|series| (series["metric"].clone(), value(series)))
            .collect()
    }

    /// Queries repeatedly until the result matches `condition`.
    pub async fn wait_until(
        &self,
        what: &str,
        query: &str,
        condition: impl Fn(&[(Value, f64)]) -> bool,
    ) -> Vec<(Value, f64)> {
        let matching = async {
            loop {
                let ready = TcpStream::connect(&self.address).await.is_ok()
                    && get(&format!("http://{}/-/ready", self.address), &[]).await.status == 200;
                if ready {
                    let series = self.query(query).await;
                    if condition(&series) {
                        return series;
                    }
                }
                sleep(Duration::from_millis(100)).await;
            }
        };
        timeout(TIMEOUT, matching).await.unwrap_or_else(|_| panic!("not in Prometheus: {what}"))
    }
}
