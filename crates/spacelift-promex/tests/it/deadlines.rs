//! Scrapes whose client has a shorter timeout than a collector needs.

use std::time::Duration;

use sandbox::spacelift::{EXCHANGE, Hold, Reply, Spacelift};

use super::support::Exporter;

const USAGE: &str = "PrometheusExporter_Usage";
const HEADER: &str = "x-prometheus-scrape-timeout-seconds";

#[tokio::test]
async fn a_hung_collector_removes_only_its_own_metrics() {
    let api = Spacelift::builder().start().await.unwrap();
    let exporter = Exporter::ready(&api, &["-t", "1h", "--cache-ttl", "1h"]).await;
    let hold = Hold::new();
    api.override_reply(USAGE, Reply::Hold(hold.clone()));
    let scrape = exporter.get_with("/metrics", &[(HEADER, "1.5")]).await;
    assert_eq!(scrape.status, 200, "{}", scrape.text());
    assert_eq!(scrape.sample("spacelift_scrape_collector_success{collector=\"usage\"}"), Some(0.0));
    assert_eq!(scrape.sum("spacelift_scrape_collector_success"), 3.0);
    assert!(scrape.has_family("spacelift_worker_pool_workers"));
    let line = exporter.log("the collector failed").await;
    assert!(line.contains("\"collector\":\"usage\"") && line.contains("no answer within 1s"), "{line}");

    // The failed scrape was not cached.
    hold.release();
    let scrape = exporter.get_with("/metrics", &[(HEADER, "60")]).await;
    assert_eq!(scrape.sum("spacelift_scrape_collector_success"), 4.0);
    exporter.log("the collector recovered").await;
}

#[tokio::test]
async fn uses_the_configured_timeout_offset() {
    let api = Spacelift::builder().start().await.unwrap();
    let mut command = super::network::serve(&api.url());
    command.env("SPACELIFT_PROMEX_SCRAPE_TIMEOUT_OFFSET", "59s").args(["-t", "1h"]);
    let exporter = Exporter::run(command).await;
    exporter.readiness(200).await;
    api.override_reply(USAGE, Reply::Hold(Hold::new()));
    let scrape = exporter.get_with("/metrics", &[(HEADER, "60")]).await;
    assert_eq!(scrape.sum("spacelift_scrape_collector_success"), 3.0);
    exporter.log("no answer within 1s").await;
}

#[tokio::test]
async fn ignores_invalid_timeout_headers() {
    let api = Spacelift::builder().start().await.unwrap();
    let exporter = Exporter::ready(&api, &["-t", "500ms"]).await;
    api.override_reply(USAGE, Reply::Delay(Duration::from_millis(100)));
    for value in ["0", "-1", "NaN", "inf", "1e400", "soon", "", "3600"] {
        let scrape = exporter.get_with("/metrics", &[(HEADER, value)]).await;
        assert_eq!(scrape.sum("spacelift_scrape_collector_success"), 4.0, "{value}");
    }
    // The configured timeout is the upper limit.
    api.override_reply(USAGE, Reply::Hold(Hold::new()));
    let scrape = exporter.get_with("/metrics", &[(HEADER, "3600")]).await;
    assert_eq!(scrape.sum("spacelift_scrape_collector_success"), 3.0);
}

#[tokio::test]
async fn reports_a_missing_session_as_the_reason() {
    let api = Spacelift::builder().start().await.unwrap();
    api.override_reply(EXCHANGE, Reply::Hold(Hold::new()));
    let exporter = Exporter::start(&api, &["-t", "1h"]).await;
    let answer = exporter.get_with("/metrics", &[(HEADER, "0.4")]).await;
    assert_eq!(answer.status, 500);
    let reason = "publicworkerpool: no session: no answer within 200ms\n";
    assert!(answer.text().starts_with(reason), "{}", answer.text());
}
