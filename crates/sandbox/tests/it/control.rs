//! Tests of the control endpoint of the simulated Spacelift.

use hyper::{Method, StatusCode};
use sandbox::spacelift::{Account, Scenario, Spacelift};
use serde_json::json;

use crate::client::{Client, POOLS};

#[tokio::test]
async fn lists_controls_and_rejects_unknown_paths() {
    let spacelift = Spacelift::builder().start().await.unwrap();
    let client = Client::new(&spacelift);

    let help = client.get("/_sandbox/").await;
    for scenario in Scenario::ALL {
        assert!(help.text().contains(scenario.name()), "{scenario} is missing");
    }
    assert_eq!(client.get("/health").await.status, StatusCode::OK);
    assert_eq!(client.get("/_sandbox/ca.pem").await.status, StatusCode::NOT_FOUND);
    for path in ["/", "/_sandbox", "/_sandbox/nonsense"] {
        assert_eq!(client.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    for (method, path, allowed) in [
        (Method::GET, "/graphql", "POST"),
        (Method::GET, "/_sandbox/revoke", "POST"),
        (Method::POST, "/_sandbox/scenario", "GET, PUT"),
        (Method::DELETE, "/_sandbox/account", "GET"),
    ] {
        let reply = client.request(method, path, "").await;
        assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(reply.headers["allow"], allowed, "{path}");
    }
}

#[tokio::test]
async fn sets_the_scenario() {
    let spacelift = Spacelift::builder().scenario(Scenario::RateLimited).start().await.unwrap();
    let client = Client::new(&spacelift);
    assert_eq!(client.get("/_sandbox/scenario").await.text(), "rate_limited\n");

    assert_eq!(
        client.request(Method::PUT, "/_sandbox/scenario", "garbage\n").await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(spacelift.scenario(), Scenario::Garbage);

    let unknown = client.request(Method::PUT, "/_sandbox/scenario", "nonsense").await;
    assert_eq!(unknown.status, StatusCode::BAD_REQUEST);
    assert!(unknown.text().contains("partial_failure"), "{}", unknown.text());
    assert_eq!(spacelift.scenario(), Scenario::Garbage);
}

#[tokio::test]
async fn returns_the_account_with_counts() {
    let spacelift = Spacelift::builder().account(Account::rich()).start().await.unwrap();
    let account = Client::new(&spacelift).get("/_sandbox/account").await.json();

    assert_eq!(
        account["pools"][0],
        json!({
            "id": Account::rich().pools[0].id.as_str(), "name": "production",
            "workers": 6, "busy": 4, "drained": 2, "pending": 5,
        })
    );
    assert_eq!(account["pools"].as_array().unwrap().len(), 4);
    assert_eq!(account["public_pool"]["parallelism"], 10);
    assert_eq!(account["usage"]["used_private_minutes"], 12_345);
    assert_eq!(account["metrics"]["has_runs"], true);
}

#[tokio::test]
async fn counts_requests_and_revokes_tokens() {
    let spacelift = Spacelift::builder().start().await.unwrap();
    let client = Client::logged_in(&spacelift).await;
    client.query(POOLS).await;
    assert_eq!(client.get("/_sandbox/requests").await.json(), json!({ "apiKeyUser": 1, "Pools": 1 }));

    let revoked = client.request(Method::POST, "/_sandbox/revoke", "").await;
    assert_eq!(revoked.status, StatusCode::NO_CONTENT);
    assert_eq!(client.query(POOLS).await.json()["errors"][0]["message"], "unauthorized");
}

#[tokio::test]
async fn pauses_a_simulated_account() {
    let spacelift = Spacelift::builder().simulated(1, 2.5).start().await.unwrap();
    let client = Client::new(&spacelift);
    assert_eq!(client.get("/_sandbox/speed").await.text(), "2.5\n");
    for refused in ["-1", "inf", "fast"] {
        let reply = client.request(Method::PUT, "/_sandbox/speed", refused).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{refused}");
    }

    let paused = client.request(Method::PUT, "/_sandbox/speed", "0").await;
    assert_eq!(paused.status, StatusCode::NO_CONTENT);
    let before = spacelift.account();
    tokio::time::pause();
    tokio::time::advance(std::time::Duration::from_secs(600)).await;
    assert_eq!(spacelift.account(), before);
}
