//! Scrapes that run at the same time, and the cache.

use std::time::Duration;

use futures_util::future::join_all;
use sandbox::spacelift::{Hold, Reply, Spacelift};

use super::support::Exporter;

const USAGE: &str = "PrometheusExporter_Usage";

#[tokio::test]
async fn scrapes_at_the_same_time_share_one_answer() {
    let api = Spacelift::builder().start().await.unwrap();
    let exporter = Exporter::ready(&api, &[]).await;
    let hold = Hold::new();
    api.override_reply(USAGE, Reply::Hold(hold.clone()));
    let scrapes = join_all((0..20).map(|_| exporter.scrape()));
    let release = async {
        hold.arrived(1).await;
        // The others are on their way to the same round.
        tokio::time::sleep(Duration::from_millis(200)).await;
        hold.release();
    };
    let (answers, ()) = tokio::join!(scrapes, release);
    assert_eq!(answers.len(), 20);
    assert_eq!(api.count(USAGE), 1);
    exporter.scrape().await;
    assert_eq!(api.count(USAGE), 2);
}

#[tokio::test]
async fn a_client_that_leaves_does_not_end_the_scrape_for_others() {
    let api = Spacelift::builder().start().await.unwrap();
    let exporter = Exporter::ready(&api, &[]).await;
    let hold = Hold::new();
    api.override_reply(USAGE, Reply::Hold(hold.clone()));
    let leaves = tokio::time::timeout(Duration::from_millis(300), exporter.scrape());
    let (left, ()) = tokio::join!(leaves, hold.arrived(1));
    assert!(left.is_err());
    let stays = exporter.scrape();
    let release = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        hold.release();
    };
    tokio::join!(stays, release);
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
