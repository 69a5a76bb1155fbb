//! The session: token exchange, renewal, and refused credentials.

use std::time::Duration;

use futures_util::future::join_all;
use sandbox::spacelift::{
    DEFAULT_API_KEY_ID, DEFAULT_API_KEY_SECRET, EXCHANGE, Hold, Reply, Scenario, Spacelift, TokenRejection,
};

use super::support::{Exporter, TIMEOUT, command, run_to_end};

const USAGE: &str = "PrometheusExporter_Usage";

#[tokio::test]
async fn fifty_scrapes_at_start_make_one_exchange() {
    let api = Spacelift::builder().start().await.unwrap();
    let hold = Hold::new();
    api.override_reply(EXCHANGE, Reply::Hold(hold.clone()));
    let exporter = Exporter::start(&api, &["--log.level=debug"]).await;
    hold.arrived(1).await;
    let scrapes = join_all((0..50).map(|_| exporter.scrape()));
    let release = async {
        // All scrapes except the first join its round, which waits for the exchange.
        exporter.log_lines("joined the running task", 49).await;
        hold.release();
    };
    tokio::join!(scrapes, release);
    assert_eq!(api.exchanges(), 1);
}

#[tokio::test]
async fn fifty_scrapes_with_an_expired_token_make_one_exchange() {
    // A token is renewed thirty seconds before it expires.
    let api = Spacelift::builder().token_lifetime(Duration::from_secs(20)).start().await.unwrap();
    let exporter = Exporter::ready(&api, &[]).await;
    api.set_token_lifetime(Duration::from_secs(3_600));
    let before = api.exchanges();
    join_all((0..50).map(|_| exporter.scrape())).await;
    assert_eq!(api.exchanges(), before + 1);
    exporter.scrape().await;
    assert_eq!(api.exchanges(), before + 1);
}

#[tokio::test]
async fn revoked_tokens_are_renewed_once_for_all_collectors() {
    for rejection in [TokenRejection::GraphqlError, TokenRejection::Status] {
        let api = Spacelift::builder().token_lifetime(Duration::from_secs(3_600)).start().await.unwrap();
        api.set_token_rejection(rejection);
        let exporter = Exporter::ready(&api, &[]).await;
        exporter.scrape().await;
        api.revoke_tokens();
        let scrape = exporter.scrape().await;
        assert_eq!(api.exchanges(), 2);
        assert!(!scrape.text().contains("collector_success{collector=\"usage\"} 0"));
        assert_eq!(scrape.sample("spacelift_promex_token_exchanges_total{outcome=\"success\"}"), Some(2.0));
    }
}

#[tokio::test]
async fn missing_access_causes_one_further_exchange() {
    for rejection in [Reply::graphql_error("usage: Unauthorized: you need admin access"), Reply::status(401)]
    {
        let api = Spacelift::builder().token_lifetime(Duration::from_secs(3_600)).start().await.unwrap();
        let exporter = Exporter::ready(&api, &[]).await;
        api.override_reply(USAGE, rejection);
        for scrapes in 1..=20 {
            let scrape = exporter.scrape().await;
            let success =
                |collector| format!("spacelift_scrape_collector_success{{collector=\"{collector}\"}}");
            assert_eq!(scrape.sample(&success("usage")), Some(0.0));
            assert_eq!(scrape.sample(&success("workerpools")), Some(1.0));
            assert_eq!(api.count(USAGE), scrapes + 1, "retried once with a new token");
            assert_eq!(api.exchanges(), 2);
        }
        // An expired token is still renewed, by the collectors that have access.
        api.revoke_tokens();
        exporter.scrape().await;
        assert_eq!(api.exchanges(), 3);
        // Granted access is used immediately.
        api.clear_overrides();
        let scrape = exporter.scrape().await;
        assert_eq!(scrape.sum("spacelift_scrape_collector_success"), 4.0);
        assert_eq!(api.exchanges(), 3);
    }
}

#[tokio::test]
async fn an_expired_token_is_renewed_after_all_collectors_were_refused() {
    let api = Spacelift::builder().token_lifetime(Duration::from_secs(3_600)).start().await.unwrap();
    let exporter = Exporter::ready(&api, &[]).await;
    let operations = ["PublicWorkerPool", "WorkerPools", "Usage", "Aggregates"];
    for operation in operations {
        api.override_reply(format!("PrometheusExporter_{operation}"), Reply::graphql_error("unauthorized"));
    }
    exporter.failed_scrape().await;
    exporter.failed_scrape().await;
    api.clear_overrides();
    api.revoke_tokens();
    assert_eq!(exporter.scrape().await.sum("spacelift_scrape_collector_success"), 4.0);
}

#[tokio::test]
async fn sends_the_required_headers() {
    let api = Spacelift::builder().start().await.unwrap();
    let exporter = Exporter::ready(&api, &[]).await;
    exporter.scrape().await;
    for request in api.requests() {
        assert_eq!(request.headers["spacelift-client-type"], "prometheus-exporter");
        assert_eq!(request.headers["content-type"], "application/json");
        let is_exchange = request.operation.as_deref() == Some(EXCHANGE);
        assert_eq!(request.token.is_none(), is_exchange);
    }
    let operations: Vec<Option<String>> =
        api.requests().into_iter().map(|request| request.operation).collect();
    assert_eq!(operations.len(), 5, "{operations:?}");
}

/// Starts the exporter with an API that refuses the key, checks that the process stops, and returns the last log line.
async fn rejected(api: &Spacelift) -> String {
    let mut exporter = Exporter::start(api, &[]).await;
    assert_eq!(exporter.exit().await.code(), Some(1));
    assert_eq!(api.exchanges(), 3, "the API refused three times");
    let line = exporter.log("error: the Spacelift API").await;
    assert_eq!(line.matches("rejects the configured credentials").count(), 1, "{line}");
    assert!(line.contains("api_key_id"), "{line}");
    assert!(!exporter.log_text().contains(DEFAULT_API_KEY_SECRET), "{}", exporter.log_text());
    assert_eq!(exporter.log_text().matches("cannot exchange the API key").count(), 1);
    line
}

#[tokio::test]
async fn a_clear_and_repeated_refusal_stops_the_process() {
    let replies = [
        (None, "unauthorized"),
        (Some(Reply::status(401)), "HTTP 401"),
        (Some(Reply::status(403)), "HTTP 403"),
        (Some(Reply::Json(r#"{"data":{"apiKeyUser":null}}"#.to_owned())), "unknown API key"),
        (Some(Reply::graphql_error("could not find API key")), "could not find API key"),
    ];
    let checks = replies.map(|(reply, reason)| async move {
        // `None` is the API's own response to a wrong secret.
        let api = Spacelift::builder().credentials(DEFAULT_API_KEY_ID, "other").start().await.unwrap();
        api.override_reply(EXCHANGE, reply.unwrap_or_else(|| Reply::graphql_error("unauthorized")));
        let line = rejected(&api).await;
        assert!(line.contains(reason), "{line}");
    });
    join_all(checks).await;
}

#[tokio::test]
async fn a_wrong_secret_stops_the_process_after_three_exchanges() {
    let api = Spacelift::builder().credentials("other", "other").start().await.unwrap();
    let began = tokio::time::Instant::now();
    rejected(&api).await;
    assert!(began.elapsed() >= Duration::from_secs(10), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_temporary_refusal_does_not_stop_the_process() {
    let replies = [
        Reply::graphql_error("unauthorized").times(2),
        Reply::graphql_error("could not find API key: context deadline exceeded").times(4),
        Reply::graphql_error("unauthorized: context deadline exceeded").times(4),
        Reply::graphql_error("invalid upstream").times(4),
        Reply::graphql_error("secret store is not available").times(4),
    ];
    let checks = replies.map(|reply| async move {
        let api = Spacelift::builder().start().await.unwrap();
        api.override_reply(EXCHANGE, reply);
        let exporter = Exporter::start(&api, &[]).await;
        exporter.readiness(200).await;
        exporter.scrape().await;
    });
    join_all(checks).await;
}

#[tokio::test]
async fn logs_that_the_api_cannot_be_reached() {
    let api = Spacelift::builder().start().await.unwrap();
    api.stop().await;
    let exporter = Exporter::start(&api, &[]).await;
    let line = exporter.log("cannot reach").await;
    assert!(line.contains("\"level\":\"WARN\""), "{line}");
}

#[tokio::test]
async fn logs_repeated_failures_once() {
    let api = Spacelift::builder().start().await.unwrap();
    let exporter = Exporter::ready(&api, &[]).await;
    api.override_reply(USAGE, Reply::graphql_error("boom"));
    for _ in 0..50 {
        exporter.scrape().await;
    }
    api.override_reply(USAGE, Reply::status(500));
    exporter.scrape().await;
    api.clear_overrides();
    exporter.scrape().await;
    exporter.log("the collector recovered").await;
    let lines: Vec<String> =
        exporter.log_text().lines().filter(|line| line.contains("collector")).map(str::to_owned).collect();
    assert_eq!(lines.len(), 3, "{lines:#?}");
    assert!(lines[0].contains("the collector failed") && lines[0].contains("boom"), "{lines:#?}");
    assert!(lines[1].contains("for another reason") && lines[1].contains("HTTP 500"), "{lines:#?}");

    // Token exchanges are logged once, too. Tokens with a short lifetime cause an exchange in each scrape.
    let api = Spacelift::builder().token_lifetime(Duration::from_secs(20)).start().await.unwrap();
    let exporter = Exporter::ready(&api, &[]).await;
    for _ in 0..20 {
        exporter.scrape().await;
    }
    assert!(api.exchanges() > 20);
    api.set_scenario(Scenario::Down);
    for _ in 0..20 {
        exporter.get("/metrics").await;
    }
    let text = exporter.log_text();
    assert_eq!(text.matches("exchanged the API key for a token").count(), 1, "{text}");
    assert!(text.matches("cannot exchange the API key").count() <= 2, "{text}");
}

#[tokio::test]
async fn a_temporary_failure_at_start_does_not_stop_the_process() {
    let api = Spacelift::builder().start().await.unwrap();
    for reply in [
        Reply::graphql_error("internal server error"),
        Reply::graphql_error("could not connect to database"),
        Reply::graphql_error("context deadline exceeded"),
        Reply::Status {
            code: 502,
            headers: Vec::new(),
            body: r#"{"errors":[{"message":"invalid upstream"}]}"#.to_owned(),
        },
        Reply::status(404),
        Reply::Json("<html>".to_owned()),
        Reply::Reset,
    ] {
        api.override_reply(EXCHANGE, reply);
        let exporter = Exporter::start(&api, &[]).await;
        let reason = exporter.readiness(503).await;
        exporter.log("cannot exchange").await;
        api.clear_overrides();
        exporter.readiness(200).await;
        exporter.scrape().await;
        assert!(reason.contains("no session"), "{reason}");
    }
}

#[tokio::test]
async fn recovers_from_an_api_outage_at_start_and_later() {
    let api = Spacelift::builder().start().await.unwrap();
    api.stop().await;
    let exporter = Exporter::start(&api, &[]).await;
    assert_eq!(exporter.get("/health").await.status, 200);
    let reason = exporter.readiness(503).await;
    assert!(reason.contains("no session"), "{reason}");
    exporter.failed_scrape().await;

    api.restart().await.unwrap();
    exporter.readiness(200).await;
    exporter.scrape().await;

    api.stop().await;
    let body = exporter.failed_scrape().await;
    assert!(body.contains("cannot reach the API"), "{body}");
    api.restart().await.unwrap();
    exporter.scrape().await;
}

#[tokio::test]
async fn readiness_follows_a_lost_session() {
    let api = Spacelift::builder().token_lifetime(Duration::from_secs(20)).start().await.unwrap();
    let exporter = Exporter::ready(&api, &[]).await;
    api.set_scenario(Scenario::Unauthorized);
    exporter.failed_scrape().await;
    assert!(exporter.readiness(503).await.contains("unauthorized"));
    api.set_scenario(Scenario::Healthy);
    // Readiness must recover without a scrape, because Prometheus may not scrape a pod that is not ready.
    exporter.readiness(200).await;
    exporter.scrape().await;
}

#[tokio::test]
async fn uses_a_valid_token_while_its_renewal_fails() {
    let api = Spacelift::builder().token_lifetime(Duration::from_secs(25)).start().await.unwrap();
    let exporter = Exporter::ready(&api, &[]).await;
    api.override_reply(EXCHANGE, Reply::status(503));
    exporter.scrape().await;
    assert!(api.exchanges() > 1, "no renewal was attempted");
    assert_eq!(exporter.get("/ready").await.status, 200);
}

#[tokio::test]
async fn reports_a_hung_exchange_as_the_reason() {
    let api = Spacelift::builder().start().await.unwrap();
    api.override_reply(EXCHANGE, Reply::Hold(Hold::new()));
    let exporter = Exporter::start(&api, &["-t", "200ms"]).await;
    let body = exporter.failed_scrape().await;
    assert!(body.starts_with("publicworkerpool: no session: no answer within 200ms\n"), "{body}");
}

#[tokio::test]
async fn reads_a_rotated_secret_file() {
    let api = Spacelift::builder().token_lifetime(Duration::from_secs(20)).start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, format!("  {DEFAULT_API_KEY_SECRET}\n")).unwrap();
    let mut command = command();
    command.args(["serve", "--api-endpoint", &api.url(), "--api-key-id", DEFAULT_API_KEY_ID]);
    command.arg("--api-key-secret-file").arg(&path);
    let exporter = Exporter::run(command).await;
    exporter.readiness(200).await;

    api.set_credentials(DEFAULT_API_KEY_ID, "rotated");
    api.revoke_tokens();
    exporter.failed_scrape().await;
    std::fs::remove_file(&path).unwrap();
    assert!(exporter.failed_scrape().await.contains("cannot read the API key secret"));
    std::fs::write(&path, "rotated\n").unwrap();
    exporter.scrape().await;
}

#[tokio::test]
async fn a_slow_exchange_serves_the_next_scrape() {
    let api = Spacelift::builder().start().await.unwrap();
    let hold = Hold::new();
    api.override_reply(EXCHANGE, Reply::Hold(hold.clone()));
    let exporter = Exporter::start(&api, &["-t", "300ms"]).await;
    hold.arrived(1).await;
    assert!(exporter.failed_scrape().await.contains("no session: no answer within 300ms"));
    hold.release();
    exporter.log("exchanged the API key").await;
    exporter.scrape().await;
    assert_eq!(api.exchanges(), 1);
}

#[tokio::test]
async fn reads_key_ids_and_secrets_as_text() {
    let api = Spacelift::builder().credentials("00123", "0456").start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    std::fs::write(&path, format!("api_endpoint: {}\napi_key_id: 00123\napi_key_secret: 0456\n", api.url()))
        .unwrap();
    let mut by_file = command();
    by_file.args(["serve", "--config"]).arg(&path);
    Exporter::run(by_file).await.readiness(200).await;
    let mut by_variable = command();
    by_variable.arg("serve").env("SPACELIFT_PROMEX_API_ENDPOINT", api.url());
    by_variable.env("SPACELIFT_PROMEX_API_KEY_ID", "00123").env("SPACELIFT_PROMEX_API_KEY_SECRET", "0456");
    Exporter::run(by_variable).await.readiness(200).await;
}

#[tokio::test]
async fn never_shows_secrets() {
    let api = Spacelift::builder().start().await.unwrap();
    let url = api.url();
    let mut noisy = command();
    noisy.env("RUST_LOG", "trace").args([
        "serve",
        "-e",
        &url,
        "-k",
        DEFAULT_API_KEY_ID,
        "-s",
        DEFAULT_API_KEY_SECRET,
    ]);
    let exporter = Exporter::run(noisy).await;
    exporter.log("exchanged the API key").await;
    let scrape = exporter.scrape().await.text();
    let token = api.requests().into_iter().find_map(|request| request.token).unwrap();
    // The secret and the token are redacted before the text is truncated.
    let text = format!("{DEFAULT_API_KEY_SECRET} is bad, and {}so is {token}", "very ".repeat(56));
    api.override_reply(USAGE, Reply::graphql_error(&text));
    let partial = exporter.scrape().await.text();
    let line = exporter.log("the collector failed").await;
    assert!(line.contains("[redacted] is bad") && !line.contains(&token[..8]), "{line}");
    for text in [exporter.log_text(), scrape, partial] {
        assert!(!text.contains(DEFAULT_API_KEY_SECRET) && !text.contains(&token));
    }
    let mut help = command();
    help.args(["serve", "--help"]).env("SPACELIFT_PROMEX_API_KEY_SECRET", DEFAULT_API_KEY_SECRET);
    let (code, stdout, stderr) = tokio::time::timeout(TIMEOUT, run_to_end(help)).await.unwrap();
    assert_eq!(code, Some(0));
    assert!(stdout.contains("--api-key-secret") && !(stdout + &stderr).contains(DEFAULT_API_KEY_SECRET));
}
