//! Concurrent scrapes, and the cache.

use std::time::Duration;

use futures_util::future::join_all;
use sandbox::spacelift::{Hold, Reply, Spacelift};

use super::support::{Exporter, TIMEOUT};

const USAGE: &str = "PrometheusExporter_Usage";

/// Waits until at least `at_least` scrapes are running, and returns their number. The scrapes that query it join the
/// running round and have a short timeout.
async fn running(exporter: &Exporter, at_least: f64) -> f64 {
    let queried = async {
        loop {
            let headers = [("x-prometheus-scrape-timeout-seconds", "0.1")];
            let scrape = exporter.get_with("/metrics", &headers).await;
            // Minus one for this scrape itself. The sample is missing while no collector has finished.
            let running = scrape.sample("promhttp_metric_handler_requests_in_flight").map(|all| all - 1.0);
            if let Some(running) = running.filter(|&running| running >= at_least) {
                return running;
            }
        }
    };
    tokio::time::timeout(TIMEOUT, queried).await.expect("too few scrapes are running")
}

#[tokio::test]
async fn concurrent_scrapes_share_one_round() {
    let api = Spacelift::builder().start().await.unwrap();
    let exporter = Exporter::ready(&api, &["-t", "1m"]).await;
    let hold = Hold::new();
    api.override_reply(USAGE, Reply::Hold(hold.clone()));
    let scrapes = join_all((0..20).map(|_| exporter.scrape()));
    let release = async {
        running(&exporter, 20.0).await;
        hold.release();
    };
    let (answers, ()) = tokio::join!(scrapes, release);
    for answer in answers {
        assert_eq!(answer.sum("spacelift_scrape_collector_success"), 4.0);
    }
    assert_eq!(api.count(USAGE), 1);
    exporter.scrape().await;
    assert_eq!(api.count(USAGE), 2);
}

#[tokio::test]
async fn a_disconnected_client_does_not_cancel_the_scrape_of_others() {
    let api = Spacelift::builder().start().await.unwrap();
    let exporter = Exporter::ready(&api, &["-t", "1m"]).await;
    let hold = Hold::new();
    api.override_reply(USAGE, Reply::Hold(hold.clone()));
    {
        let disconnected = exporter.scrape();
        tokio::select! {
            _ = disconnected => panic!("the scrape completed"),
            () = hold.arrived(1) => {}
        }
    }
    // The disconnected scrape may still be counted, because its connection may be half-closed.
    let others = running(&exporter, 0.0).await;
    let other = exporter.scrape();
    let release = async {
        running(&exporter, others + 1.0).await;
        hold.release();
    };
    let (answer, ()) = tokio::join!(other, release);
    assert_eq!(answer.sum("spacelift_scrape_collector_success"), 4.0);
    assert_eq!(api.count(USAGE), 1);
}

#[tokio::test]
async fn caches_a_successful_round_for_its_ttl() {
    let api = Spacelift::builder().start().await.unwrap();
    let exporter = Exporter::ready(&api, &["--cache-ttl", "1s"]).await;
    let first = exporter.scrape().await;
    let again = exporter.scrape().await;
    assert_eq!(api.count(USAGE), 1);
    let duration = "spacelift_scrape_duration_seconds";
    assert_eq!(first.sample(duration), again.sample(duration));
    // The process uses the real clock.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    exporter.scrape().await;
    assert_eq!(api.count(USAGE), 2);
}

#[tokio::test]
async fn does_not_cache_failures() {
    let api = Spacelift::builder().start().await.unwrap();
    let exporter = Exporter::ready(&api, &["--cache-ttl", "1h"]).await;
    api.override_reply(USAGE, Reply::graphql_error("boom").once());
    let success = "spacelift_scrape_collector_success{collector=\"usage\"}";
    assert_eq!(exporter.scrape().await.sample(success), Some(0.0));
    assert_eq!(exporter.scrape().await.sample(success), Some(1.0));
    exporter.scrape().await;
    assert_eq!(api.count(USAGE), 2);
}
