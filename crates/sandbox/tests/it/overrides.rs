//! Tests of overrides.

use std::{error::Error, io, time::Duration};

use http_body_util::BodyExt as _;
use hyper::StatusCode;
use sandbox::spacelift::{
    DEFAULT_API_KEY_ID, DEFAULT_API_KEY_SECRET, EXCHANGE, Hold, Reply, Scenario, Spacelift,
};
use tokio::time::Instant;

use crate::client::{Client, POOLS, USAGE};

async fn start() -> (Spacelift, Client) {
    let spacelift = Spacelift::builder().start().await.unwrap();
    let client = Client::logged_in(&spacelift).await;
    (spacelift, client)
}

#[tokio::test]
async fn uses_counted_replies_before_the_unlimited_one() {
    let (spacelift, client) = start().await;
    spacelift.override_reply("Pools", Reply::status(500));
    spacelift.override_reply("Pools", Reply::status(502).times(2));
    spacelift.override_reply("Pools", Reply::status(503).once());

    for expected in [502, 502, 503, 500, 500] {
        assert_eq!(client.query(POOLS).await.status, expected);
    }
    assert_eq!(client.query(USAGE).await.status, StatusCode::OK, "other operations are not affected");

    spacelift.clear_overrides();
    assert!(client.query(POOLS).await.json()["errors"].is_null());
}

#[tokio::test]
async fn sends_status_and_json_unchanged() {
    let (spacelift, client) = start().await;
    spacelift.override_reply("Pools", Reply::Json("{\"data\": [1, 2}".to_owned()));
    let headers = vec![("Retry-After".to_owned(), "7".to_owned())];
    spacelift.override_reply("Usage", Reply::Status { code: 503, headers, body: "later".to_owned() });
    // Overrides take precedence over scenarios.
    spacelift.set_scenario(Scenario::Unauthorized);

    assert_eq!(client.query(POOLS).await.text(), "{\"data\": [1, 2}");
    let reply = client.query(USAGE).await;
    assert_eq!((reply.status.as_u16(), reply.text()), (503, "later"));
    assert_eq!(reply.headers["retry-after"], "7");
}

#[tokio::test]
async fn overrides_the_token_exchange() {
    let (spacelift, client) = start().await;
    spacelift.override_reply(EXCHANGE, Reply::graphql_error("unauthorized").once());
    let response = client.exchange(DEFAULT_API_KEY_ID, DEFAULT_API_KEY_SECRET).await.json();
    assert_eq!(response["errors"][0]["message"], "unauthorized");

    spacelift.override_reply(EXCHANGE, Reply::status(500));
    let named = r#"mutation LogIn { apiKeyUser(id: "a", secret: "b") { jwt } }"#;
    assert_eq!(client.query(named).await.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(spacelift.exchanges(), 3);
}

#[tokio::test(start_paused = true)]
async fn delays_the_normal_response() {
    let (spacelift, client) = start().await;
    spacelift.override_reply("Pools", Reply::Delay(Duration::from_secs(4)));
    let start = Instant::now();
    assert!(client.query(POOLS).await.json()["data"]["workerPools"].is_array());
    assert!(start.elapsed() >= Duration::from_secs(4), "{:?}", start.elapsed());
}

#[tokio::test]
async fn holds_requests_until_released() {
    let (spacelift, client) = start().await;
    let hold = Hold::new();
    spacelift.override_reply("Pools", Reply::Hold(hold.clone()));

    let queries: Vec<_> = std::iter::repeat_with(|| {
        let client = client.clone();
        tokio::spawn(async move { client.query(POOLS).await })
    })
    .take(2)
    .collect();
    hold.arrived(2).await;
    assert!(client.query(USAGE).await.json()["errors"].is_null(), "other operations are not held");
    assert!(queries.iter().all(|query| !query.is_finished()));

    hold.release();
    for query in queries {
        assert!(query.await.unwrap().json()["data"]["workerPools"].is_array());
    }
}

#[tokio::test]
async fn resets_the_connection() {
    let (spacelift, client) = start().await;
    spacelift.override_reply("Pools", Reply::Reset.once());

    let error = client.try_query(POOLS).await.unwrap_err();
    let mut causes = std::iter::successors(error.source(), |&cause| cause.source());
    let kind = causes.find_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
    assert_eq!(kind, Some(io::ErrorKind::ConnectionReset), "{error:?}");

    assert!(client.query(POOLS).await.json()["errors"].is_null(), "a new connection works");
}

#[tokio::test]
async fn truncates_the_response() {
    let (spacelift, client) = start().await;
    spacelift.override_reply("Pools", Reply::Truncated);

    let response = client.try_query(POOLS).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let announced: u64 = response.headers()["content-length"].to_str().unwrap().parse().unwrap();
    let mut body = response.into_body();
    let beginning = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(!beginning.is_empty() && (beginning.len() as u64) < announced);
    body.frame().await.unwrap().unwrap_err();
}

#[tokio::test]
async fn sends_an_endless_response() {
    let (spacelift, client) = start().await;
    spacelift.override_reply("Pools", Reply::Endless);

    let mut body = client.try_query(POOLS).await.unwrap().into_body();
    let mut read = 0;
    while read < 80 << 20 {
        read += body.frame().await.unwrap().unwrap().into_data().unwrap().len();
    }
    drop(body);
    assert!(client.query(USAGE).await.json()["errors"].is_null());
}
