//! API keys and tokens.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::StatusCode;
use sandbox::spacelift::{
    DEFAULT_API_KEY_ID, DEFAULT_API_KEY_SECRET, EXCHANGE, Refusal, Scenario, Spacelift,
};
use serde_json::json;

use crate::client::{Client, POOLS, Reply};

fn assert_refused(reply: &Reply) {
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.json(), json!({ "data": null, "errors": [{ "message": "unauthorized" }] }));
}

#[tokio::test]
async fn a_key_is_exchanged_for_a_token_that_opens_the_api() {
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
    assert!((88..=90).contains(&left), "{left} s are left of 90");

    client.token = Some(jwt.to_owned());
    assert!(client.query(POOLS).await.json()["data"]["workerPools"].is_array());
    assert_eq!((spacelift.exchanges(), spacelift.count("Pools")), (1, 2));
}

#[tokio::test]
async fn another_key_is_rejected_in_the_field_itself() {
    let spacelift = Spacelift::builder().start().await.unwrap();
    let client = Client::new(&spacelift);

    for (id, secret) in [(DEFAULT_API_KEY_ID, "wrong"), ("wrong", DEFAULT_API_KEY_SECRET)] {
        let answer = client.exchange(id, secret).await.json();
        assert_eq!(answer["data"], json!({ "apiKeyUser": null }));
        assert_eq!(answer["errors"][0]["message"], "unauthorized");
        assert_eq!(answer["errors"][0]["path"], json!(["apiKeyUser"]));
    }

    spacelift.set_credentials("another", "key");
    assert!(client.exchange("another", "key").await.json()["data"]["apiKeyUser"]["jwt"].is_string());
    let answer = client.exchange(DEFAULT_API_KEY_ID, DEFAULT_API_KEY_SECRET).await.json();
    assert!(answer["data"]["apiKeyUser"].is_null());
    assert_eq!(spacelift.exchanges(), 4);
}

#[tokio::test]
async fn revoked_and_expired_tokens_are_refused() {
    let spacelift = Spacelift::builder().start().await.unwrap();
    let mut client = Client::logged_in(&spacelift).await;

    spacelift.revoke_tokens();
    assert_refused(&client.query(POOLS).await);
    client.log_in().await;
    assert!(client.query(POOLS).await.json()["errors"].is_null());

    spacelift.set_token_lifetime(Duration::ZERO);
    client.log_in().await;
    assert_refused(&client.query(POOLS).await);

    spacelift.set_refusal(Refusal::Status);
    assert_eq!(client.query(POOLS).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn unauthorized_refuses_good_tokens_and_the_right_key() {
    let spacelift = Spacelift::builder().start().await.unwrap();
    let client = Client::logged_in(&spacelift).await;

    spacelift.set_scenario(Scenario::Unauthorized);
    assert_refused(&client.query(POOLS).await);
    let answer = client.exchange(DEFAULT_API_KEY_ID, DEFAULT_API_KEY_SECRET).await.json();
    assert_eq!(answer["data"], json!({ "apiKeyUser": null }));
}

#[tokio::test]
async fn nothing_but_the_mutation_is_an_exchange() {
    let spacelift = Spacelift::builder().start().await.unwrap();
    let client = Client::new(&spacelift);
    assert_refused(&client.query("query apiKeyUser { usage { usedSeats } }").await);
}

#[tokio::test]
async fn a_client_has_to_say_what_it_is() {
    let spacelift = Spacelift::builder().start().await.unwrap();
    let client = Client::new(&spacelift);

    let reply =
        client.request(hyper::Method::POST, "/graphql", r#"{"query": "{ usage { usedSeats } }"}"#).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    assert!(reply.text().contains("spacelift-client-type"), "{}", reply.text());
}

#[tokio::test]
async fn the_journal_remembers_what_was_asked() {
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
async fn a_test_can_wait_for_a_request() {
    let spacelift = Spacelift::builder().start().await.unwrap();
    let client = Client::logged_in(&spacelift).await;

    let queries = async {
        client.query(POOLS).await;
        client.query(POOLS).await;
    };
    tokio::join!(spacelift.wait_for("Pools", 2), queries);
    assert_eq!(spacelift.counts(), [(EXCHANGE.to_owned(), 1), ("Pools".to_owned(), 2)].into());
}
