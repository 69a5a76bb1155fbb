//! Each scenario as a client meets it.

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

/// The only error's message and path.
fn error(answer: &Value) -> (&str, &Value) {
    let [error] = &answer["errors"].as_array().unwrap()[..] else { panic!("not one error: {answer}") };
    (error["message"].as_str().unwrap(), &error["path"])
}

#[test]
fn names_are_read_as_they_are_written() {
    for scenario in Scenario::ALL {
        assert_eq!(scenario.to_string().parse(), Ok(scenario));
    }
    let error = "nonsense".parse::<Scenario>().unwrap_err().to_string();
    assert!(Scenario::ALL.iter().all(|scenario| error.contains(scenario.name())), "{error}");
}

#[tokio::test]
async fn healthy_answers_from_the_account() {
    let (spacelift, client) = start(Scenario::Healthy).await;
    let answer = client.query(POOLS).await.json();

    let account = spacelift.account();
    let pools = answer["data"]["workerPools"].as_array().unwrap();
    assert_eq!(pools.len(), account.pools.len());
    for (answered, pool) in pools.iter().zip(&account.pools) {
        assert_eq!(answered["id"], pool.id.as_str());
        assert_eq!(answered["name"], pool.name);
        assert_eq!(answered["workers"].as_array().unwrap().len(), pool.workers.len());
    }
}

#[tokio::test]
async fn a_machine_key_may_not_see_usage_and_seats() {
    let (_spacelift, client) = start(Scenario::MachineKey).await;
    let limits = "query Limits { seats { user { limit } } auditTrailRetentionDays }";
    for (document, field) in [(USAGE, "usage"), (limits, "seats")] {
        let answer = client.query(document).await.json();
        assert_eq!(answer["data"], Value::Null);
        assert_eq!(error(&answer), ("not available for machine sessions", &json!([field])));
    }
    assert!(client.query(POOLS).await.json()["errors"].is_null());
}

#[tokio::test]
async fn a_partial_failure_costs_the_metrics() {
    let (_spacelift, client) = start(Scenario::PartialFailure).await;
    let answer = client.query(METRICS).await.json();
    assert_eq!(answer["data"], json!({ "metrics": null }));
    assert_eq!(error(&answer), ("internal error", &json!(["metrics", "stacksCountByState"])));

    let spared = client.query("query Spared { metrics { hasStacks } usage { usedSeats } }").await.json();
    assert_eq!(spared["data"], json!({ "metrics": { "hasStacks": true }, "usage": { "usedSeats": 42 } }));
}

#[tokio::test]
async fn rate_limited_spares_the_exchange() {
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
async fn down_hangs_up_until_it_is_over() {
    let (spacelift, client) = start(Scenario::Down).await;
    client.try_query(POOLS).await.unwrap_err();
    assert_eq!(spacelift.count("Pools"), 1, "the request did arrive");

    let put = client.request(hyper::Method::PUT, "/_sandbox/scenario", "healthy").await;
    assert_eq!(put.status, StatusCode::NO_CONTENT);
    assert!(client.query(POOLS).await.json()["errors"].is_null());
}
