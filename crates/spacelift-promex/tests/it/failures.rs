//! Failures of collectors: one test for each row of the failure table.

use std::time::Duration;

use sandbox::spacelift::{Account, EXCHANGE, Reply, Scenario, Spacelift};

use super::support::Exporter;

const USAGE: &str = "PrometheusExporter_Usage";
const OPERATIONS: [&str; 4] = [
    "PrometheusExporter_PublicWorkerPool",
    "PrometheusExporter_WorkerPools",
    "PrometheusExporter_Usage",
    "PrometheusExporter_Aggregates",
];

fn success(collector: &str) -> String {
    format!("spacelift_scrape_collector_success{{collector=\"{collector}\"}}")
}

fn supported(collector: &str) -> String {
    format!("spacelift_scrape_collector_supported{{collector=\"{collector}\"}}")
}

/// Checks that if one collector fails, the scrape has status 200, lacks its families, and has all others; and that the
/// next scrape is complete again.
async fn usage_fails_with(reply: Reply, flags: &[&str]) -> (Spacelift, Exporter) {
    let api = Spacelift::builder().start().await.unwrap();
    let exporter = Exporter::ready(&api, flags).await;
    api.override_reply(USAGE, reply);
    let scrape = exporter.scrape().await;
    assert!(!scrape.text().contains("spacelift_current_billing_period"), "{}", scrape.text());
    assert_eq!(scrape.sample(&success("usage")), Some(0.0));
    assert_eq!(scrape.sample(&supported("usage")), Some(1.0));
    for collector in ["publicworkerpool", "workerpools", "aggregates"] {
        assert_eq!(scrape.sample(&success(collector)), Some(1.0), "{collector}");
    }
    assert!(scrape.has_family("spacelift_worker_pool_workers"));
    api.clear_overrides();
    assert_eq!(exporter.scrape().await.sample(&success("usage")), Some(1.0), "{}", exporter.log_text());
    (api, exporter)
}

#[tokio::test]
async fn graphql_error() {
    let (_api, exporter) = usage_fails_with(Reply::graphql_error("boom"), &[]).await;
    let line = exporter.log("the collector failed").await;
    assert!(line.contains("\"collector\":\"usage\"") && line.contains("boom"), "{line}");
}

#[tokio::test]
async fn graphql_error_with_data() {
    let body = r#"{"data":{"usage":{"billingPeriodStart":1,"billingPeriodEnd":2,"usedPrivateMinutes":3,"usedPublicMinutes":4,"usedSeats":5}},"errors":[{"message":"a part failed"}]}"#;
    usage_fails_with(Reply::Json(body.to_owned()), &[]).await;
}

#[tokio::test]
async fn null_in_a_required_field_reports_the_graphql_error() {
    let body = r#"{"data":{"usage":null},"errors":[{"message":"usage is unavailable","extra":[1]}]}"#;
    let (_api, exporter) = usage_fails_with(Reply::Json(body.to_owned()), &[]).await;
    assert!(exporter.log("the collector failed").await.contains("usage is unavailable"));
}

#[tokio::test]
async fn timeout() {
    let (_api, exporter) = usage_fails_with(Reply::Delay(Duration::from_secs(60)), &["-t", "500ms"]).await;
    assert!(exporter.log("the collector failed").await.contains("no answer within 500ms"));
    let scrape = exporter.scrape().await;
    let counted = "spacelift_promex_api_requests_total{operation=\"usage\",outcome=\"timeout\"}";
    assert_eq!(scrape.sample(counted), Some(1.0));
}

#[tokio::test]
async fn invalid_responses() {
    for body in [
        "",
        "<html>gateway</html>",
        "{}",
        "null",
        "[]",
        r#"{"data":null}"#,
        r#"{"data":{}}"#,
        r#"{"data":{"usage":null}}"#,
        r#"{"data":{"usage":{"billingPeriodStart":"yesterday"}}}"#,
        r#"{"data":{"usage":{"billingPeriodStart":1e999}}}"#,
        r#"{"data":{"usage":{"#,
        "\u{feff}{}",
    ] {
        usage_fails_with(Reply::Json(body.to_owned()), &[]).await;
    }
    let deep = format!("{{\"data\":{{\"usage\":{}{}}}}}", "[".repeat(100_000), "]".repeat(100_000));
    usage_fails_with(Reply::Json(deep), &[]).await;
}

#[tokio::test]
async fn error_statuses() {
    for code in [301, 400, 403, 404, 418, 500, 502, 503, 504] {
        usage_fails_with(Reply::status(code), &[]).await;
    }
}

#[tokio::test]
async fn broken_connections() {
    usage_fails_with(Reply::Reset, &[]).await;
    usage_fails_with(Reply::Truncated, &[]).await;
}

#[tokio::test]
async fn reconnects_after_a_broken_connection() {
    let api = Spacelift::builder().start().await.unwrap();
    let exporter = Exporter::ready(&api, &[]).await;
    api.override_reply(USAGE, Reply::Reset.once());
    assert_eq!(exporter.scrape().await.sample(&success("usage")), Some(1.0));
}

#[tokio::test]
async fn rejects_an_endless_response() {
    let (_api, exporter) = usage_fails_with(Reply::Endless, &["-t", "30s"]).await;
    let line = exporter.log("the collector failed").await;
    assert!(line.contains("larger than 64 MiB"), "{line}");
}

#[tokio::test]
async fn not_available_for_machine_sessions() {
    let api = Spacelift::builder().scenario(Scenario::MachineKey).start().await.unwrap();
    let exporter = Exporter::ready(&api, &[]).await;
    let scrape = exporter.scrape().await;
    assert_eq!(scrape.sample(&success("usage")), Some(1.0));
    assert_eq!(scrape.sample(&supported("usage")), Some(0.0));
    assert!(!scrape.text().contains("spacelift_current_billing_period"));
    assert_eq!(scrape.sample(&supported("workerpools")), Some(1.0));
}

#[tokio::test]
async fn a_scrape_succeeds_if_all_collectors_are_unsupported() {
    let api = Spacelift::builder().start().await.unwrap();
    let exporter = Exporter::ready(&api, &[]).await;
    for operation in OPERATIONS {
        api.override_reply(operation, Reply::graphql_error("field is not available for machine sessions"));
    }
    let scrape = exporter.scrape().await;
    assert_eq!(scrape.sample(&supported("workerpools")), Some(0.0));
    assert_eq!(scrape.sample(&success("workerpools")), Some(1.0));
}

#[tokio::test]
async fn a_scrape_fails_if_no_collector_succeeds() {
    let api = Spacelift::builder().start().await.unwrap();
    let exporter = Exporter::ready(&api, &[]).await;
    api.override_reply(OPERATIONS[0], Reply::graphql_error("first"));
    api.override_reply(OPERATIONS[1], Reply::status(502));
    api.override_reply(OPERATIONS[2], Reply::graphql_error("not available for machine sessions"));
    api.override_reply(OPERATIONS[3], Reply::Json("?".to_owned()));
    let body = exporter.failed_scrape().await;
    let lines: Vec<&str> = body.lines().collect();
    assert_eq!(lines.len(), 4, "{body}");
    assert!(lines[0].starts_with("publicworkerpool: ") && lines[0].contains("first"), "{body}");
    assert!(lines[1].starts_with("workerpools: ") && lines[1].contains("502"), "{body}");
    assert!(lines[2].starts_with("usage: not supported"), "{body}");
    assert!(lines[3].starts_with("aggregates: ") && lines[3].contains("not JSON"), "{body}");
}

#[tokio::test]
async fn strict_mode() {
    let api = Spacelift::builder().start().await.unwrap();
    let exporter = Exporter::ready(&api, &["--partial-scrapes=false"]).await;
    exporter.scrape().await;
    for (reply, reason) in [
        (Reply::graphql_error("boom"), "usage: the API returned an error: boom\n"),
        (
            Reply::graphql_error("not available for machine sessions"),
            "usage: not supported: not available for machine sessions\n",
        ),
    ] {
        api.override_reply(USAGE, reply);
        assert_eq!(exporter.failed_scrape().await, reason);
        api.clear_overrides();
    }
    exporter.scrape().await;
}

#[tokio::test]
async fn fails_scrapes_without_a_session() {
    let api = Spacelift::builder().scenario(Scenario::Down).start().await.unwrap();
    let exporter = Exporter::start(&api, &[]).await;
    let body = exporter.failed_scrape().await;
    assert!(body.lines().all(|line| line.contains("no session: cannot reach the API")), "{body}");
    assert_eq!(exporter.get("/health").await.status, 200);
    let reason = exporter.readiness(503).await;
    assert!(reason.starts_with("not ready: no session with the Spacelift API"), "{reason}");
    assert_eq!(reason.lines().count(), 1);
}

#[tokio::test]
async fn a_rate_limit_applies_to_all_operations() {
    let limits = [
        (429, Some("3600"), true),
        (503, Some("Fri, 31 Dec 2049 23:59:59 GMT"), true),
        (429, None, true),
        (429, Some("soon"), true),
        (503, None, false),
        (503, Some("soon"), false),
    ];
    for (code, header, is_limit) in limits {
        // A token with a short lifetime, which each scrape renews unless the limit forbids it.
        let api = Spacelift::builder().token_lifetime(Duration::from_secs(25)).start().await.unwrap();
        let exporter = Exporter::ready(&api, &[]).await;
        let headers = header.map(|value| ("retry-after".to_owned(), value.to_owned())).into_iter().collect();
        api.override_reply(USAGE, Reply::Status { code, headers, body: String::new() }.once());
        // The other requests of that scrape are already running and complete.
        assert_eq!(exporter.scrape().await.sum("spacelift_scrape_collector_success"), 3.0);
        let requests = || (OPERATIONS.map(|operation| api.count(operation)), api.exchanges());
        let before = requests();
        if !is_limit {
            assert_eq!(exporter.scrape().await.sum("spacelift_scrape_collector_success"), 4.0);
            continue;
        }
        for _ in 0..3 {
            let body = exporter.failed_scrape().await;
            assert_eq!(body.matches(&format!("HTTP {code}")).count(), 4, "{body}");
            assert!(body.contains("not asked again for"), "{body}");
        }
        assert_eq!(requests(), before, "a request was sent during the limit");
        let wait = if header.is_none_or(|value| value == "soon") { "30s" } else { "h" };
        assert!(exporter.log("not asked again for").await.contains(wait));
    }
}

#[tokio::test]
async fn does_not_count_requests_that_are_not_sent() {
    let api = Spacelift::builder().start().await.unwrap();
    let exporter = Exporter::ready(&api, &[]).await;
    api.override_reply(USAGE, Reply::status(429).once());
    exporter.scrape().await;
    exporter.failed_scrape().await;
    assert_eq!(api.count(USAGE), 1);
}

#[tokio::test]
async fn a_rate_limit_applies_to_the_token_exchange() {
    let api = Spacelift::builder().start().await.unwrap();
    let headers = vec![("retry-after".to_owned(), "2".to_owned())];
    api.override_reply(EXCHANGE, Reply::Status { code: 429, headers, body: String::new() }.once());
    let exporter = Exporter::start(&api, &[]).await;
    exporter.log("cannot exchange").await;
    assert!(exporter.failed_scrape().await.contains("no session: HTTP 429"));
    assert_eq!(api.exchanges(), 1);
    exporter.readiness(200).await;
    assert_eq!(api.exchanges(), 2);
}

#[tokio::test]
async fn sends_requests_again_after_retry_after() {
    let api = Spacelift::builder().start().await.unwrap();
    let exporter = Exporter::ready(&api, &[]).await;
    let headers = vec![("retry-after".to_owned(), "1".to_owned())];
    api.override_reply(USAGE, Reply::Status { code: 429, headers, body: String::new() }.once());
    assert_eq!(exporter.scrape().await.sample(&success("usage")), Some(0.0));
    // The process uses the real clock.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(exporter.scrape().await.sample(&success("usage")), Some(1.0));
}

#[tokio::test]
async fn a_disabled_collector_sends_no_query_and_has_no_series() {
    let api = Spacelift::builder().start().await.unwrap();
    let exporter = Exporter::ready(&api, &["--no-collector.usage", "--collector.integrations"]).await;
    let scrape = exporter.scrape().await;
    assert_eq!(api.count(USAGE), 0);
    assert!(!scrape.text().contains("collector=\"usage\""));
    assert_eq!(scrape.sample(&success("integrations")), Some(1.0));
}

#[tokio::test]
async fn writes_a_repeated_pool_once() {
    let mut account = Account::with_pools(1, 1);
    account.pools.push(account.pools[0].clone());
    let api = Spacelift::builder().account(account).start().await.unwrap();
    let exporter = Exporter::ready(&api, &["--collector.pools"]).await;
    let text = exporter.scrape().await.text();
    for family in ["spacelift_worker_pool_workers{", "spacelift_worker_pool_users{"] {
        assert_eq!(text.lines().filter(|line| line.starts_with(family)).count(), 1, "{family}");
    }
}

#[tokio::test]
async fn removes_the_series_of_deleted_pools() {
    let mut account = Account::with_pools(2, 1);
    let api = Spacelift::builder().account(account.clone()).start().await.unwrap();
    let exporter = Exporter::ready(&api, &[]).await;
    let count =
        |text: &str| text.lines().filter(|line| line.starts_with("spacelift_worker_pool_workers{")).count();
    assert_eq!(count(&exporter.scrape().await.text()), 2);
    account.pools.pop();
    api.set_account(account);
    assert_eq!(count(&exporter.scrape().await.text()), 1);
}

#[tokio::test]
async fn the_landing_page_shows_failed_collectors() {
    let api = Spacelift::builder().scenario(Scenario::PartialFailure).start().await.unwrap();
    let exporter = Exporter::ready(&api, &[]).await;
    let before = exporter.get("/").await.text();
    assert!(before.contains("<th>Last scrape</th><td>none yet</td>"), "{before}");
    let scrape = exporter.scrape().await;
    let page = exporter.get("/").await.text();
    assert!(page.contains("<tr><th>Last scrape</th><td>") && page.contains(" s ago</td>"), "{page}");
    let row = page.lines().find(|line| line.contains("<th>Collectors that failed</th>")).unwrap();
    assert!(row.contains("class=\"warn\""), "{row}");
    for line in scrape.text().lines() {
        if let Some(rest) = line.strip_prefix("spacelift_scrape_collector_success{collector=\"") {
            let (name, success) = rest.split_once("\"} ").unwrap();
            assert_eq!(row.contains(&format!("{name}: ")), success.starts_with('0'), "{name}: {row}");
        }
    }
}
