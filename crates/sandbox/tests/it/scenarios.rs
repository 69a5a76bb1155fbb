//! Tests of each scenario.

use std::time::Duration;

use hyper::StatusCode;
use sandbox::spacelift::{DEFAULT_API_KEY_ID, DEFAULT_API_KEY_SECRET, Scenario, Spacelift};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::client::{Client, POOLS, USAGE};

const METRICS: &str = "query Metrics { metrics { stacksCountByState { value labels } hasStacks } }";

async fn start(scenario: Scenario) -> (Spacelift, Client) {
    let spacelift = Spacelift::builder().start().await.unwrap();
    let client = Client::logged_in(&spacelift).await;
    spacelift.set_scenario(scenario);
    (spacelift, client)
}

/// Returns the message and the path of the only error.
fn error(response: &Value) -> (&str, &Value) {
    let [error] = &response["errors"].as_array().unwrap()[..] else { panic!("not one error: {response}") };
    (error["message"].as_str().unwrap(), &error["path"])
}

#[test]
fn parses_displayed_names() {
    for scenario in Scenario::ALL {
        assert_eq!(scenario.to_string().parse(), Ok(scenario));
    }
    let error = "nonsense".parse::<Scenario>().unwrap_err().to_string();
    assert!(Scenario::ALL.iter().all(|scenario| error.contains(scenario.name())), "{error}");
}

#[tokio::test]
async fn healthy_serves_the_account() {
    let (spacelift, client) = start(Scenario::Healthy).await;
    let response = client.query(POOLS).await.json();

    let account = spacelift.account();
    let pools = response["data"]["workerPools"].as_array().unwrap();
    assert_eq!(pools.len(), account.pools.len());
    for (served, pool) in pools.iter().zip(&account.pools) {
        assert_eq!(served["id"], pool.id.as_str());
        assert_eq!(served["name"], pool.name);
        assert_eq!(served["workers"].as_array().unwrap().len(), pool.workers.len());
    }
}

#[tokio::test]
async fn machine_key_fails_usage_and_seats() {
    let (_spacelift, client) = start(Scenario::MachineKey).await;
    let limits = "query Limits { seats { user { limit } } auditTrailRetentionDays }";
    for (document, field) in [(USAGE, "usage"), (limits, "seats")] {
        let response = client.query(document).await.json();
        assert_eq!(response["data"], Value::Null);
        assert_eq!(error(&response), ("not available for machine sessions", &json!([field])));
    }
    assert!(client.query(POOLS).await.json()["errors"].is_null());
}

#[tokio::test]
async fn partial_failure_makes_metrics_null() {
    let (_spacelift, client) = start(Scenario::PartialFailure).await;
    let response = client.query(METRICS).await.json();
    assert_eq!(response["data"], json!({ "metrics": null }));
    assert_eq!(error(&response), ("internal error", &json!(["metrics", "stacksCountByState"])));

    let unaffected =
        client.query("query Unaffected { metrics { hasStacks } usage { usedSeats } }").await.json();
    assert_eq!(unaffected["data"], json!({ "metrics": { "hasStacks": true }, "usage": { "usedSeats": 42 } }));
}

#[tokio::test]
async fn rate_limited_excludes_the_token_exchange() {
    let (_spacelift, client) = start(Scenario::RateLimited).await;
    let reply = client.query(POOLS).await;
    assert_eq!(reply.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(reply.headers["retry-after"], "30");
    let exchange = client.exchange(DEFAULT_API_KEY_ID, DEFAULT_API_KEY_SECRET).await;
    assert!(exchange.json()["data"]["apiKeyUser"]["jwt"].is_string());
}

#[tokio::test(start_paused = true)]
async fn slow_takes_ten_seconds() {
    let (_spacelift, client) = start(Scenario::Slow).await;
    let start = Instant::now();
    assert!(client.query(POOLS).await.json()["errors"].is_null());
    assert!(start.elapsed() >= Duration::from_secs(10), "{:?}", start.elapsed());
}

#[tokio::test]
async fn garbage_is_html() {
    let (_spacelift, client) = start(Scenario::Garbage).await;
    let reply = client.query(POOLS).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.headers["content-type"], "text/html; charset=utf-8");
    assert!(reply.text().contains("<html>"));
}

#[tokio::test]
async fn down_closes_connections() {
    let (spacelift, client) = start(Scenario::Down).await;
    client.try_query(POOLS).await.unwrap_err();
    assert_eq!(spacelift.count("Pools"), 1, "the request was recorded");

    let put = client.request(hyper::Method::PUT, "/_sandbox/scenario", "healthy").await;
    assert_eq!(put.status, StatusCode::NO_CONTENT);
    assert!(client.query(POOLS).await.json()["errors"].is_null());
}
