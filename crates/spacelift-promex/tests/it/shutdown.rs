//! Shutdown of the process.

use std::time::Instant;

use harness::HANG_TIMEOUT;
use sandbox::spacelift::{EXCHANGE, Hold, Reply, Spacelift};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::Exporter;

const USAGE: &str = "PrometheusExporter_Usage";

#[tokio::test]
async fn finishes_running_scrapes() {
    for signal in ["TERM", "INT"] {
        let api = Spacelift::builder().start().await.unwrap();
        let mut exporter = Exporter::ready(&api, &[]).await;
        let mut idle = TcpStream::connect(&exporter.address).await.unwrap();
        let hold = Hold::new();
        api.override_reply(USAGE, Reply::Hold(hold.clone()));
        let scrape = exporter.scrape();
        let end = async {
            hold.arrived(1).await;
            exporter.signal(signal);
            // The idle connection is closed immediately, which shows that the drain has started.
            assert_eq!(idle.read(&mut [0; 16]).await.unwrap_or(0), 0);
            assert!(TcpStream::connect(&exporter.address).await.is_err(), "still listening");
            hold.release();
        };
        let (answer, ()) = tokio::join!(scrape, end);
        assert!(answer.has_family("spacelift_current_billing_period_used_seats"));
        assert_eq!(exporter.exit().await.code(), Some(0));
    }
}

#[tokio::test]
async fn answers_a_waiting_scrape_with_partial_data() {
    let api = Spacelift::builder().start().await.unwrap();
    let mut exporter = Exporter::ready(&api, &["-t", "1m"]).await;
    let hold = Hold::new();
    api.override_reply(USAGE, Reply::Hold(hold.clone()));
    let url = format!("http://{}/metrics", exporter.address);
    let scrape = tokio::spawn(async move { super::support::get(&url, &[]).await });
    hold.arrived(1).await;
    let began = Instant::now();
    exporter.signal("TERM");
    let answer = scrape.await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.sample("spacelift_scrape_collector_success{collector=\"usage\"}"), Some(0.0));
    assert!(answer.has_family("spacelift_worker_pool_workers"));
    assert_eq!(exporter.exit().await.code(), Some(0));
    assert!(began.elapsed() < HANG_TIMEOUT, "{:?}", began.elapsed());
}

#[tokio::test]
async fn answers_a_scrape_that_waits_for_a_session() {
    let api = Spacelift::builder().start().await.unwrap();
    let hold = Hold::new();
    api.override_reply(EXCHANGE, Reply::Hold(hold.clone()));
    let mut exporter = Exporter::start(&api, &["-t", "1m"]).await;
    hold.arrived(1).await;
    let mut scrape = TcpStream::connect(&exporter.address).await.unwrap();
    scrape.write_all(b"GET /metrics HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
    // Connections are accepted in order, so the scrape is running when a later request is answered.
    exporter.get("/health").await;
    exporter.signal("TERM");
    let mut answer = String::new();
    scrape.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
    assert!(answer.contains("usage: no session: no answer within"), "{answer}");
    assert_eq!(exporter.exit().await.code(), Some(0));
}

#[tokio::test]
async fn a_second_signal_aborts_the_shutdown() {
    let api = Spacelift::builder().start().await.unwrap();
    let mut exporter = Exporter::ready(&api, &["-t", "1m"]).await;
    let hold = Hold::new();
    api.override_reply(USAGE, Reply::Hold(hold.clone()));
    let url = format!("http://{}/metrics", exporter.address);
    let scrape = tokio::spawn(async move { super::support::get(&url, &[]).await });
    hold.arrived(1).await;
    exporter.signal("TERM");
    exporter.log("shutting down").await;
    exporter.signal("TERM");
    assert_eq!(exporter.exit().await.code(), Some(130));
    scrape.abort();
}
