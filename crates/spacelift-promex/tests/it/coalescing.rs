//! Scrapes that run at the same time, and the cache.

use std::time::Duration;

use futures_util::future::join_all;
use sandbox::spacelift::{Hold, Reply, Spacelift};

use super::support::{Exporter, PATIENCE};

const USAGE: &str = "PrometheusExporter_Usage";

/// Waits until so many scrapes run, and returns how many do. The scrapes that find this out share the running round, and
/// are answered before it ends.
async fn running(exporter: &Exporter, at_least: f64) -> f64 {
    let asked = async {
        loop {
            let headers = [("x-prometheus-scrape-timeout-seconds", "0.1")];
            let scrape = exporter.get_with("/metrics", &headers).await;
            // Without its own; and it has no metrics while nothing has arrived.
            let running = scrape.sample("promhttp_metric_handler_requests_in_flight").map(|all| all - 1.0);
            if let Some(running) = running.filter(|&running| running >= at_least) {
                return running;
            }
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.expect("the scrapes do not arrive")
}

#[tokio::test]
async fn scrapes_at_the_same_time_share_one_answer() {
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
async fn a_client_that_leaves_does_not_end_the_scrape_for_others() {
    let api = Spacelift::builder().start().await.unwrap();
    let exporter = Exporter::ready(&api, &["-t", "1m"]).await;
    let hold = Hold::new();
    api.override_reply(USAGE, Reply::Hold(hold.clone()));
    {
        let leaves = exporter.scrape();
        tokio::select! {
            _ = leaves => panic!("answered"),
            () = hold.arrived(1) => {}
        }
    }
    // The one that left may still count, since its connection may be half-closed.
    let others = running(&exporter, 0.0).await;
    let stays = exporter.scrape();
    let release = async {
        running(&exporter, others + 1.0).await;
        hold.release();
    };
    let (answer, ()) = tokio::join!(stays, release);
    assert_eq!(answer.sum("spacelift_scrape_collector_success"), 4.0);
    assert_eq!(api.count(USAGE), 1);
}

#[tokio::test]
async fn the_cache_serves_a_good_answer_for_its_time() {
    let api = Spacelift::builder().start().await.unwrap();
    let exporter = Exporter::ready(&api, &["--cache-ttl", "1s"]).await;
    let first = exporter.scrape().await;
    let again = exporter.scrape().await;
    assert_eq!(api.count(USAGE), 1);
    let duration = "spacelift_scrape_duration_seconds";
    assert_eq!(first.sample(duration), again.sample(duration));
    // The real process runs on the real clock.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    exporter.scrape().await;
    assert_eq!(api.count(USAGE), 2);
}

#[tokio::test]
async fn the_cache_keeps_no_failure() {
    let api = Spacelift::builder().start().await.unwrap();
    let exporter = Exporter::ready(&api, &["--cache-ttl", "1h"]).await;
    api.override_reply(USAGE, Reply::graphql_error("boom").once());
    let success = "spacelift_scrape_collector_success{collector=\"usage\"}";
    assert_eq!(exporter.scrape().await.sample(success), Some(0.0));
    assert_eq!(exporter.scrape().await.sample(success), Some(1.0));
    exporter.scrape().await;
    assert_eq!(api.count(USAGE), 2);
}
