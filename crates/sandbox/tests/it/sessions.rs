//! Tests of API keys and tokens.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::StatusCode;
use sandbox::spacelift::{
    DEFAULT_API_KEY_ID, DEFAULT_API_KEY_SECRET, EXCHANGE, Scenario, Spacelift, TokenRejection,
};
use serde_json::json;

use crate::client::{Client, POOLS, Reply};

fn assert_refused(reply: &Reply) {
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.json(), json!({ "data": null, "errors": [{ "message": "unauthorized" }] }));
}

#[tokio::test]
async fn exchanges_a_key_for_a_token() {
    let spacelift = Spacelift::builder().token_lifetime(Duration::from_secs(90)).start().await.unwrap();
    let mut client = Client::new(&spacelift);
    assert_refused(&client.query(POOLS).await);

    let session = client.exchange(DEFAULT_API_KEY_ID, DEFAULT_API_KEY_SECRET).await.json();
    let session = &session["data"]["apiKeyUser"];
    let jwt = session["jwt"].as_str().unwrap();
    let base64url = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    assert_eq!(jwt.split('.').filter(|part| !part.is_empty() && part.chars().all(base64url)).count(), 3);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let left = session["validUntil"].as_u64().unwrap() - now;
    assert!((88..=90).contains(&left), "{left} s of 90 s remain");

    client.token = Some(jwt.to_owned());
    assert!(client.query(POOLS).await.json()["data"]["workerPools"].is_array());
    assert_eq!((spacelift.exchanges(), spacelift.count("Pools")), (1, 2));
}

#[tokio::test]
async fn rejects_other_keys() {
    let spacelift = Spacelift::builder().start().await.unwrap();
    let client = Client::new(&spacelift);

    for (id, secret) in [(DEFAULT_API_KEY_ID, "wrong"), ("wrong", DEFAULT_API_KEY_SECRET)] {
        let response = client.exchange(id, secret).await.json();
        assert_eq!(response["data"], json!({ "apiKeyUser": null }));
        assert_eq!(response["errors"][0]["message"], "unauthorized");
        assert_eq!(response["errors"][0]["path"], json!(["apiKeyUser"]));
    }

    spacelift.set_credentials("another", "key");
    assert!(client.exchange("another", "key").await.json()["data"]["apiKeyUser"]["jwt"].is_string());
    let response = client.exchange(DEFAULT_API_KEY_ID, DEFAULT_API_KEY_SECRET).await.json();
    assert!(response["data"]["apiKeyUser"].is_null());
    assert_eq!(spacelift.exchanges(), 4);
}

#[tokio::test]
async fn rejects_revoked_and_expired_tokens() {
    let spacelift = Spacelift::builder().start().await.unwrap();
    let mut client = Client::logged_in(&spacelift).await;

    spacelift.revoke_tokens();
    assert_refused(&client.query(POOLS).await);
    client.log_in().await;
    assert!(client.query(POOLS).await.json()["errors"].is_null());

    spacelift.set_token_lifetime(Duration::ZERO);
    client.log_in().await;
    assert_refused(&client.query(POOLS).await);

    spacelift.set_token_rejection(TokenRejection::Status);
    assert_eq!(client.query(POOLS).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn unauthorized_rejects_valid_tokens_and_keys() {
    let spacelift = Spacelift::builder().start().await.unwrap();
    let client = Client::logged_in(&spacelift).await;

    spacelift.set_scenario(Scenario::Unauthorized);
    assert_refused(&client.query(POOLS).await);
    let response = client.exchange(DEFAULT_API_KEY_ID, DEFAULT_API_KEY_SECRET).await.json();
    assert_eq!(response["data"], json!({ "apiKeyUser": null }));
}

#[tokio::test]
async fn only_the_mutation_exchanges_tokens() {
    let spacelift = Spacelift::builder().start().await.unwrap();
    let client = Client::new(&spacelift);
    assert_refused(&client.query("query apiKeyUser { usage { usedSeats } }").await);
}

#[tokio::test]
async fn requires_the_client_type() {
    let spacelift = Spacelift::builder().start().await.unwrap();
    let client = Client::new(&spacelift);

    let reply =
        client.request(hyper::Method::POST, "/graphql", r#"{"query": "{ usage { usedSeats } }"}"#).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    assert!(reply.text().contains("spacelift-client-type"), "{}", reply.text());
}

#[tokio::test]
async fn records_requests() {
    let spacelift = Spacelift::builder().start().await.unwrap();
    let client = Client::logged_in(&spacelift).await;
    client.query(POOLS).await;

    let [exchange, pools] = &spacelift.requests()[..] else { panic!("not two requests") };
    assert_eq!(exchange.operation.as_deref(), Some(EXCHANGE));
    assert_eq!(exchange.variables, json!({ "id": DEFAULT_API_KEY_ID, "secret": DEFAULT_API_KEY_SECRET }));
    assert_eq!(exchange.token, None);
    assert_eq!(pools.operation.as_deref(), Some("Pools"));
    assert_eq!(pools.query, POOLS);
    assert_eq!(pools.headers["spacelift-client-type"], "prometheus-exporter");
    assert_eq!(pools.token, client.token);
    assert_eq!(pools.version, hyper::Version::HTTP_11);
    assert_eq!(pools.connection, exchange.connection);
    assert!(pools.at >= exchange.at);
}

#[tokio::test]
async fn waits_for_requests() {
    let spacelift = Spacelift::builder().start().await.unwrap();
    let client = Client::logged_in(&spacelift).await;

    let queries = async {
        client.query(POOLS).await;
        client.query(POOLS).await;
    };
    tokio::join!(spacelift.wait_for("Pools", 2), queries);
    assert_eq!(spacelift.counts(), [(EXCHANGE.to_owned(), 1), ("Pools".to_owned(), 2)].into());
}
