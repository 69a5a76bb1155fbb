//! API responses as gateways and other servers send them: compressed, redirected, with invalid Unicode.

use std::io::Write;

use sandbox::spacelift::{Account, EXCHANGE, MetricPoint, Reply, Spacelift};

use super::support::Exporter;

const USAGE: &str = "PrometheusExporter_Usage";
const POOLS: &str = "PrometheusExporter_WorkerPools";
const BODY: &str = r#"{"data":{"usage":{"billingPeriodStart":1,"billingPeriodEnd":2,"usedPrivateMinutes":3,"usedPublicMinutes":4,"usedSeats":5}}}"#;

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn encoded(coding: &str, body: Vec<u8>) -> Reply {
    Reply::Bytes { headers: vec![("content-encoding".to_owned(), coding.to_owned())], body }
}

async fn exporter(flags: &[&str]) -> (Spacelift, Exporter) {
    let api = Spacelift::builder().start().await.unwrap();
    let exporter = Exporter::ready(&api, flags).await;
    (api, exporter)
}

/// Checks that the only enabled collector, `usage`, fails with a reason that contains these parts.
async fn usage_fails(api: &Spacelift, exporter: &Exporter, reply: Reply, parts: &[&str]) {
    api.override_reply(USAGE, reply);
    let body = exporter.failed_scrape().await;
    for part in parts {
        assert!(body.contains(part), "no {part:?} in {body}");
    }
    assert_eq!(body.lines().count(), 1, "{body}");
}

const ONLY_USAGE: [&str; 3] =
    ["--no-collector.publicworkerpool", "--no-collector.workerpools", "--no-collector.aggregates"];

#[tokio::test]
async fn decodes_gzip() {
    let (api, exporter) = exporter(&[]).await;
    for coding in ["gzip", "GZIP", "x-gzip"] {
        api.override_reply(USAGE, encoded(coding, gzip(BODY.as_bytes())));
        let scrape = exporter.scrape().await;
        assert_eq!(scrape.sample("spacelift_current_billing_period_used_seats"), Some(5.0), "{coding}");
    }
    let request = api.requests().pop().unwrap();
    assert_eq!(request.headers["accept-encoding"], "gzip");
}

#[tokio::test]
async fn reports_other_codings_and_damaged_responses() {
    let (api, exporter) = exporter(&ONLY_USAGE).await;
    let body = BODY.as_bytes().to_vec();
    let whole = gzip(&body);
    usage_fails(&api, &exporter, encoded("br", body.clone()), &["Content-Encoding is br"]).await;
    usage_fails(&api, &exporter, encoded("gzip", body), &["not gzip"]).await;
    usage_fails(&api, &exporter, encoded("gzip", whole[..20].to_vec()), &["gzip that ends too early"]).await;
    // The limit applies to the decoded length.
    let bomb = gzip(&vec![b' '; 65 * 1024 * 1024]);
    assert!(bomb.len() < 100_000);
    usage_fails(&api, &exporter, encoded("gzip", bomb), &["larger than 64 MiB"]).await;
}

#[tokio::test]
async fn reports_the_target_of_a_redirect() {
    let (api, exporter) = exporter(&ONLY_USAGE).await;
    let location = "https://user:hush@login.test/start?token=hush";
    let headers = vec![("location".to_owned(), location.to_owned())];
    let redirect = Reply::Status { code: 302, headers, body: String::new() };
    usage_fails(
        &api,
        &exporter,
        redirect.clone(),
        &["HTTP 302 Found, a redirect to https://login.test/start\n"],
    )
    .await;
    let long = vec![("location".to_owned(), format!("/{}", "x".repeat(5_000)))];
    let long = Reply::Status { code: 307, headers: long, body: String::new() };
    usage_fails(&api, &exporter, long, &["HTTP 307", "x…"]).await;
    assert!(exporter.failed_scrape().await.len() < 500);

    let api = Spacelift::builder().start().await.unwrap();
    api.override_reply(EXCHANGE, redirect);
    let exporter = Exporter::start(&api, &[]).await;
    let line = exporter.log("cannot exchange").await;
    assert!(line.contains("a redirect to https://login.test/start\"") && !line.contains("hush"), "{line}");
}

#[tokio::test]
async fn replaces_invalid_unicode() {
    let (api, exporter) = exporter(&[]).await;
    let pool = |name: &str| {
        format!(
            r#"{{"data":{{"workerPools":[{{"id":"1","name":"{name}","pendingRuns":0,"busyWorkers":0,"workers":[]}}]}}}}"#
        )
    };
    let mut raw = pool("a_z").into_bytes();
    let index = raw.iter().position(|&byte| byte == b'_').unwrap();
    raw[index] = 0xFF;
    for (body, name) in [
        (pool(r"x\ud800y").into_bytes(), "x\u{fffd}y"),
        (pool(r"\udc00\ud83d\ude00").into_bytes(), "\u{fffd}\u{1f600}"),
        (raw, "a\u{fffd}z"),
    ] {
        api.override_reply(POOLS, Reply::Bytes { headers: Vec::new(), body });
        let scrape = exporter.scrape().await;
        let series =
            format!("spacelift_worker_pool_workers{{worker_pool_id=\"1\",worker_pool_name=\"{name}\"}}");
        assert_eq!(scrape.sample(&series), Some(0.0), "{}", scrape.text());
    }
}

#[tokio::test]
async fn sums_points_with_the_same_first_label() {
    let mut account = Account::rich();
    let metrics = account.metrics.as_mut().unwrap();
    let point = |labels: &[&str], value| MetricPoint {
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        value,
    };
    let points = vec![
        point(&["A", "x"], 0.1),
        point(&["B"], 2.0),
        point(&["A", "y"], 0.2),
        point(&[], 100.0),
        point(&["B"], 3.0),
    ];
    metrics.stacks_count_by_state.clone_from(&points);
    metrics.resources_count_by_drift.clone_from(&points);
    metrics.resources_count_by_vendor = points;
    let api = Spacelift::builder().account(account).start().await.unwrap();
    let exporter = Exporter::ready(&api, &["--collector.stacks"]).await;
    let scrape = exporter.scrape().await;
    for (family, label) in [
        ("spacelift_current_stacks_count_by_state", "state"),
        ("spacelift_current_resources_count_by_drift", "state"),
        ("spacelift_current_resources_count_by_vendor", "vendor"),
    ] {
        assert_eq!(scrape.sample(&format!("{family}{{{label}=\"A\"}}")), Some(0.3), "{family}");
        assert_eq!(scrape.sample(&format!("{family}{{{label}=\"B\"}}")), Some(5.0), "{family}");
        assert_eq!(scrape.text().lines().filter(|line| line.starts_with(&format!("{family}{{"))).count(), 2);
    }
}
