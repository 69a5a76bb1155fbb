//! spacelift-promex and its simulated API.

use std::time::Duration;

use harness::Exporter;
use sandbox::spacelift::{DEFAULT_API_KEY_ID, DEFAULT_API_KEY_SECRET, Scenario, Spacelift};
use tokio::time::sleep;

use crate::program;

pub(crate) struct World {
    api: Spacelift,
    pub(crate) exporter: Exporter,
}

impl World {
    pub(crate) async fn start() -> Self {
        let api = Spacelift::builder().simulated(1, 60.0).start().await.unwrap();
        let mut command = program("spacelift-promex");
        command.args(["serve", "--api-endpoint", &api.url(), "--listen-address", "127.0.0.1:0"]);
        command.args(["--api-key-id", DEFAULT_API_KEY_ID, "--api-key-secret", DEFAULT_API_KEY_SECRET]);
        let exporter = Exporter::run(command).await;
        exporter.readiness(200).await;
        Self { api, exporter }
    }

    /// Applies each scenario in turn. Never returns.
    pub(crate) async fn faults<T>(&self, each: Duration) -> T {
        loop {
            for scenario in Scenario::ALL {
                self.api.set_scenario(scenario);
                sleep(each).await;
                self.api.set_scenario(Scenario::Healthy);
                self.api.revoke_tokens();
                sleep(each).await;
            }
        }
    }

    /// Returns an error unless the exporter recovers after the last fault.
    pub(crate) async fn settle(&self) -> Result<(), String> {
        self.api.set_scenario(Scenario::Healthy);
        let healthy = |scrape: &harness::HttpResponse| {
            scrape.status == 200 && scrape.sum("spacelift_scrape_collector_success") == 4.0
        };
        // The API may have sent `Retry-After: 30`.
        for _ in 0..60 {
            if healthy(&self.exporter.get("/metrics").await) {
                return Ok(());
            }
            sleep(Duration::from_secs(1)).await;
        }
        Err(format!("spacelift-promex did not recover:\n{}", self.exporter.log_text()))
    }
}
