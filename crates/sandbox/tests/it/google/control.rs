//! Tests of the control endpoint of the simulated Google Cloud.

use std::time::Duration;

use hyper::{Method, StatusCode};
use sandbox::google::{Google, INTERRUPTION_SUBSCRIPTION, pubsub::Code};
use serde_json::json;

use super::emulator;
use crate::client::Client;

async fn start() -> (Google, Client) {
    let google = Google::builder().start().await.unwrap();
    let client = Client::to(google.compute().url());
    (google, client)
}

#[tokio::test]
async fn lists_controls_and_rejects_unknown_paths() {
    let (google, client) = start().await;
    google.advance(Duration::from_secs(120)).await.unwrap();
    let help = client.get("/_sandbox/").await;
    for word in ["truth", "speed", "burst", "projects", "counts", "faults"] {
        assert!(help.text().contains(word), "{word}");
    }
    let truth = client.get("/_sandbox/truth").await.json();
    let expected = google.truth().await;
    assert_eq!(truth["interruptions"], json!(expected.interruptions_by_cluster));
    assert_eq!(truth["unattributed"], expected.unattributed);
    assert_eq!(truth["spot_instances"], json!(expected.spot_by_cluster));
    assert_eq!(truth["instances"], expected.instances);
    let counts = client.get("/_sandbox/counts").await.json();
    let published =
        google.pubsub().unwrap().counts(&google.subscription(INTERRUPTION_SUBSCRIPTION)).published;
    assert_eq!(counts[INTERRUPTION_SUBSCRIPTION]["published"], published);

    for path in ["/_sandbox", "/_sandbox/nonsense"] {
        assert_eq!(client.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    for (method, path, allowed) in [
        (Method::POST, "truth", "GET"),
        (Method::POST, "speed", "GET, PUT"),
        (Method::GET, "burst", "POST"),
        (Method::PUT, "faults", "GET, DELETE"),
        (Method::GET, "faults/freeze", "PUT, DELETE"),
    ] {
        let reply = client.request(method, &format!("/_sandbox/{path}"), "").await;
        assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(reply.headers["allow"], allowed, "{path}");
    }
}

#[tokio::test]
async fn sets_the_speed_and_triggers_bursts() {
    let (google, client) = start().await;
    let put = async |path: &str, body: &'static str| {
        client.request(Method::PUT, &format!("/_sandbox/{path}"), body).await
    };
    let post = async |path: &str, body: &'static str| {
        client.request(Method::POST, &format!("/_sandbox/{path}"), body).await
    };
    assert_eq!(put("speed", "2.5\n").await.status, StatusCode::NO_CONTENT);
    assert_eq!(client.get("/_sandbox/speed").await.text(), "2.5\n");
    assert_eq!(put("speed", "-1").await.status, StatusCode::BAD_REQUEST);
    put("speed", "0").await;

    let preempted: u64 = post("burst", "1").await.text().trim().parse().unwrap();
    let truth = google.truth().await;
    assert!(preempted >= truth.interruptions_by_cluster.values().sum::<u64>());
    assert_eq!(post("burst", "2").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn sets_faults_by_name() {
    let (google, client) = start().await;
    let put = async |name: &str, body: &'static str| {
        client.request(Method::PUT, &format!("/_sandbox/faults/{name}"), body).await.status
    };
    assert_eq!(put("duplicates", "0.25").await, StatusCode::NO_CONTENT);
    assert_eq!(put("refuse", "permission_denied").await, StatusCode::NO_CONTENT);
    assert_eq!(put("max_lease", "1s").await, StatusCode::NO_CONTENT);
    assert_eq!(put("duplicates", "2").await, StatusCode::BAD_REQUEST);
    assert_eq!(put("nonsense", "1").await, StatusCode::NOT_FOUND);
    let faults = google.pubsub().unwrap().faults();
    assert_eq!((faults.duplicates, faults.refuse), (0.25, Some(Code::PermissionDenied)));
    let shown = client.get("/_sandbox/faults").await.json();
    assert_eq!((&shown["refuse"], &shown["max_lease"]), (&"permission_denied".into(), &"1s".into()));
    client.request(Method::DELETE, "/_sandbox/faults/refuse", "").await;
    assert_eq!(google.pubsub().unwrap().faults().refuse, None);

    let list = "/compute/v1/projects/example-project/aggregated/instances?maxResults=1";
    for (fault, status) in [
        ("permission_denied", StatusCode::FORBIDDEN),
        ("rate_limited", StatusCode::TOO_MANY_REQUESTS),
        ("internal_error", StatusCode::INTERNAL_SERVER_ERROR),
        ("unavailable", StatusCode::SERVICE_UNAVAILABLE),
    ] {
        assert_eq!(put("compute", fault).await, StatusCode::NO_CONTENT);
        assert_eq!(client.get(list).await.status, status);
    }
    assert_eq!(put("compute", "nonsense").await, StatusCode::BAD_REQUEST);
    client.request(Method::DELETE, "/_sandbox/faults", "").await;
    assert_eq!(client.get(list).await.status, StatusCode::OK);
    assert_eq!(google.pubsub().unwrap().faults(), Default::default());
}

#[tokio::test]
async fn an_emulator_has_no_faults() {
    let Some(endpoint) = emulator::endpoint().await else { return };
    let host = endpoint.strip_prefix("http://").unwrap();
    let google = Google::builder().emulator(host).project("faultless-project", 9).start().await.unwrap();
    let client = Client::to(google.compute().url());
    for path in ["/_sandbox/faults", "/_sandbox/counts"] {
        assert_eq!(client.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}
