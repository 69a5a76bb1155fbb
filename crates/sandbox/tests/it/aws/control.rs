//! Tests of the control endpoint.

use hyper::{Method, StatusCode};
use sandbox::aws::{Aws, InstanceState, Lifecycle, Operation, QueueFaults, StaleReceipts};
use serde_json::json;

use super::client;
use crate::client::Client;

async fn start() -> (Aws, Client) {
    let aws = Aws::builder().simulated().start().await.unwrap();
    let client = Client::to(aws.url());
    (aws, client)
}

#[tokio::test]
async fn lists_controls_and_rejects_unknown_paths() {
    let (aws, client) = start().await;
    let help = client.get("/_sandbox/").await;
    for word in ["truth", "speed", "advance", "burst", "clock", "queues", "instances", "messages", "faults"] {
        assert!(help.text().contains(word), "{word}");
    }
    let events: usize =
        client.request(Method::POST, "/_sandbox/advance", "2m").await.text().trim().parse().unwrap();
    assert!(events > 0);
    let truth = client.get("/_sandbox/truth").await.json();
    let expected = aws.truth();
    assert_eq!(truth["interruptions"], json!(expected.interruptions_by_cluster));
    assert_eq!(truth["unattributed"], expected.unattributed);
    assert_eq!(truth["reasons"], json!(expected.interruptions_by_reason));
    assert_eq!(truth["accounts"], json!(expected.interruptions_by_account));
    assert_eq!(truth["spot_instances"], json!(expected.spot_by_cluster));
    assert_eq!(truth["instances"], expected.instances);
    assert_eq!(truth["last"].as_array().unwrap().len(), expected.interruptions.len());
    assert_eq!(truth["last"][0]["instance"], expected.interruptions[0].instance);
    let queues = client.get("/_sandbox/queues").await.json();
    assert_eq!(queues[0]["counts"]["sent"], aws.queue().counts().sent);
    assert_eq!((&queues[0]["region"], &queues[1]["region"]), (&json!("eu-central-1"), &json!("us-east-1")));

    assert_eq!(client.get("/_sandbox/nonsense").await.status, StatusCode::NOT_FOUND);
    for (method, path, allowed) in [
        (Method::POST, "truth", "GET"),
        (Method::POST, "speed", "GET, PUT"),
        (Method::GET, "burst", "POST"),
        (Method::PUT, "faults", "GET, DELETE"),
        (Method::GET, "faults/cut", "PUT, DELETE"),
        (Method::GET, "instances/i-1", "PUT, DELETE"),
        (Method::GET, "messages", "POST"),
    ] {
        let reply = client.request(method, &format!("/_sandbox/{path}"), "").await;
        assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(reply.headers["allow"], allowed, "{path}");
    }
    let bare = Aws::builder().start().await.unwrap();
    assert_eq!(Client::to(bare.url()).get("/_sandbox/truth").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn sets_the_speed_and_the_clock() {
    let (aws, client) = start().await;
    let send = async |method: Method, path: &str, body: &'static str| {
        client.request(method, &format!("/_sandbox/{path}"), body).await.status
    };
    assert_eq!(send(Method::PUT, "speed", "2.5\n").await, StatusCode::NO_CONTENT);
    assert_eq!(client.get("/_sandbox/speed").await.text(), "2.5\n");
    assert_eq!(send(Method::PUT, "speed", "-1").await, StatusCode::BAD_REQUEST);
    assert_eq!(send(Method::PUT, "speed", "0").await, StatusCode::NO_CONTENT);
    assert_eq!(send(Method::PUT, "clock", "-21600").await, StatusCode::NO_CONTENT);
    assert_eq!(aws.clock_offset(), -21_600.0);
    assert_eq!(send(Method::PUT, "clock", "x").await, StatusCode::BAD_REQUEST);
    assert_eq!(send(Method::POST, "burst", "2").await, StatusCode::BAD_REQUEST);
    assert_eq!(send(Method::POST, "burst", "1").await, StatusCode::OK);
    assert_eq!(aws.truth().spot_by_cluster.values().sum::<u64>(), 0);
    assert_eq!(send(Method::POST, "advance", "soon").await, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn launches_and_ends_instances() {
    let aws = Aws::builder().start().await.unwrap();
    let client = Client::to(aws.url());
    let send = async |method: Method, path: &str, body: &'static str| {
        client.request(method, &format!("/_sandbox/{path}"), body).await.status
    };
    let launch = r#"{"zone": "us-east-1a", "type": "c6i.large", "lifecycle": "spot", "account": "210987654321", "tags": {"k": "v"}}"#;
    let id = "i-0123456789abcdef0";
    let path = format!("instances/{id}");
    assert_eq!(send(Method::PUT, &path, launch).await, StatusCode::NO_CONTENT);
    let instance = aws.instance(id).unwrap();
    assert_eq!((instance.lifecycle, instance.tags["k"].as_str()), (Lifecycle::Spot, "v"));
    let listed = client.get("/_sandbox/instances").await.json();
    assert_eq!((&listed[0]["id"], &listed[0]["state"]), (&json!(id), &json!("running")));
    assert_eq!(send(Method::PUT, &path, "{}").await, StatusCode::BAD_REQUEST);

    let queue = aws.add_queue("123456789012", "us-east-1", "queue");
    for action in ["warn", "fulfill", "rebalance", "reserve"] {
        assert_eq!(send(Method::POST, &format!("{path}/{action}"), "").await, StatusCode::NO_CONTENT);
        assert_eq!(send(Method::GET, &format!("{path}/{action}"), "").await, StatusCode::METHOD_NOT_ALLOWED);
    }
    assert_eq!(queue.visible(), 4);
    assert_eq!(send(Method::POST, &format!("{path}/terminate"), "").await, StatusCode::NO_CONTENT);
    let ended = aws.instance(id).unwrap();
    assert_eq!(
        (ended.state, ended.reason.unwrap().code.as_str()),
        (InstanceState::Terminated, "Server.SpotInstanceTermination")
    );
    assert_eq!(send(Method::DELETE, &path, "").await, StatusCode::NO_CONTENT);
    assert_eq!(send(Method::DELETE, &path, "").await, StatusCode::NOT_FOUND);
    assert_eq!(send(Method::POST, &format!("{path}/warn"), "").await, StatusCode::NOT_FOUND);
    assert_eq!(send(Method::POST, "messages", "not JSON").await, StatusCode::OK);
    assert_eq!(aws.queue().bodies(), ["not JSON"]);
}

#[tokio::test]
async fn sets_faults_by_name() {
    let (aws, client) = start().await;
    let put = async |name: &str, body: &'static str| {
        client.request(Method::PUT, &format!("/_sandbox/faults/{name}"), body).await.status
    };
    for (name, value) in [
        ("duplicate_sends", "0.25"),
        ("stale_receipts", "reject"),
        ("failed_entries", "3"),
        ("padding", "8000"),
        ("cut", "100"),
        ("tag_loss", "10m"),
        ("shuffle", ""),
        ("repeat_token", ""),
        ("reject_managed_resources", ""),
    ] {
        assert_eq!(put(name, value).await, StatusCode::NO_CONTENT, "{name}");
    }
    assert_eq!(put("duplicate_sends", "2").await, StatusCode::BAD_REQUEST);
    assert_eq!(put("cut", "x").await, StatusCode::BAD_REQUEST);
    assert_eq!(put("sqs", "").await, StatusCode::BAD_REQUEST);
    assert_eq!(put("nonsense", "1").await, StatusCode::NOT_FOUND);
    let faults = aws.queue().faults();
    assert_eq!((faults.duplicate_sends, faults.stale_receipts), (0.25, StaleReceipts::Reject));
    let shown = client.get("/_sandbox/faults").await.json();
    assert_eq!(
        (&shown["cut"], &shown["tag_loss"], &shown["stale_receipts"]),
        (&json!(100), &json!("10m"), &json!("reject"))
    );
    client.request(Method::DELETE, "/_sandbox/faults/cut", "").await;
    assert_eq!(client.get("/_sandbox/faults").await.json()["cut"], json!(null));

    let services = client::Client::new(&aws);
    put("sqs", "RequestThrottled").await;
    services.queue(Operation::ReceiveMessage, json!({})).await.failed(403, "RequestThrottled");
    put("ec2", "RequestLimitExceeded").await;
    services.describe(&[]).await.failed(503, "RequestLimitExceeded");
    put("sts", "AccessDenied").await;
    services.sts("GetCallerIdentity", &[]).await.failed(403, "AccessDenied");
    put("ec2", "garbage").await;
    assert_eq!(services.describe(&[]).await.ok().text(), "<html><body>");
    client.request(Method::DELETE, "/_sandbox/faults/ec2", "").await;
    services.describe(&[]).await.ok();
    services.queue(Operation::ReceiveMessage, json!({})).await.failed(403, "RequestThrottled");
    client.request(Method::DELETE, "/_sandbox/faults/sqs", "").await;
    put("denied", "").await;
    services.queue(Operation::ReceiveMessage, json!({})).await.failed(403, "AccessDeniedException");
    client.request(Method::DELETE, "/_sandbox/faults", "").await;
    services.queue(Operation::ReceiveMessage, json!({})).await.ok();
    services.sts("GetCallerIdentity", &[]).await.ok();
    assert_eq!(aws.queue().faults(), QueueFaults::default());
}
