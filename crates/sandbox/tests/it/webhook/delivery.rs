//! Tests of deliveries, of the reaction to failures and of the control endpoint.

use std::time::Duration;

use hyper::{Method, StatusCode};
use sandbox::spacelift::{
    Spacelift,
    webhook::{Delivery, RunInfo, Shape, Webhook},
};
use serde_json::json;

use super::receiver::Receiver;
use crate::client::Client;

fn delivery(number: u64) -> Delivery {
    let run = RunInfo::new(format!("01RUN{number}"), "network");
    let at = run.created_at + Duration::from_secs(number);
    Delivery::new(run).state("QUEUED", 0, at)
}

#[tokio::test]
async fn delivers_signed_and_in_order() {
    let receiver = Receiver::start().await;
    let spacelift =
        Spacelift::builder().webhook(receiver.webhook().shape(Shape::Both)).start().await.unwrap();
    for number in 0..20 {
        spacelift.deliver(delivery(number));
    }
    spacelift.webhook_settled().await;

    let received = receiver.received();
    assert!(received.iter().all(super::receiver::Received::is_genuine));
    assert!(received.iter().all(|one| one.headers.contains_key("x-signature")));
    let expected: Vec<_> = (0..20)
        .flat_map(|number| [delivery(number).default_payload(), delivery(number).policy_payload()])
        .collect();
    assert_eq!(receiver.json(), expected);
    let status = spacelift.webhook_status();
    assert_eq!((status.accepted, status.failed, status.outstanding), (40, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn retries_only_if_enabled() {
    let receiver = Receiver::start().await;
    let spacelift = Spacelift::builder().webhook(receiver.webhook()).start().await.unwrap();
    receiver.respond_with(vec![503]);
    spacelift.deliver(delivery(1));
    spacelift.webhook_settled().await;
    assert_eq!(receiver.received().len(), 1);
    assert_eq!(spacelift.webhook_status().failed, 1);

    spacelift.set_webhook(receiver.webhook().retry(true));
    receiver.respond_with(vec![503, 500, 502]);
    spacelift.deliver(delivery(2));
    spacelift.webhook_settled().await;
    assert_eq!(receiver.received().len(), 5);
    let status = spacelift.webhook_status();
    assert_eq!((status.retries, status.accepted, status.failed), (3, 1, 0));

    // After three retries the delivery fails, and 4xx is not retried.
    receiver.respond_with(vec![503, 503, 503, 503, 404]);
    spacelift.deliver(delivery(3));
    spacelift.webhook_settled().await;
    assert_eq!(receiver.received().len(), 9);
    spacelift.deliver(delivery(4));
    spacelift.webhook_settled().await;
    assert_eq!(receiver.received().len(), 10);
    assert_eq!(spacelift.webhook_status().failed, 2);
    assert_eq!(spacelift.webhook_status().failures_in_a_row, 2);
}

#[tokio::test]
async fn disables_a_webhook_after_ten_failures() {
    let receiver = Receiver::start().await;
    let spacelift = Spacelift::builder().webhook(receiver.webhook()).start().await.unwrap();
    // Nine failures, a success, nine failures: not consecutive.
    let mut statuses = vec![401; 9];
    statuses.push(204);
    statuses.extend([401; 9]);
    receiver.respond_with(statuses);
    for number in 0..19 {
        spacelift.deliver(delivery(number));
    }
    spacelift.webhook_settled().await;
    assert!(!spacelift.webhook_status().disabled);
    assert_eq!(spacelift.webhook_status().failures_in_a_row, 9);

    receiver.respond_with(vec![401]);
    for number in 19..25 {
        spacelift.deliver(delivery(number));
    }
    spacelift.webhook_settled().await;
    let status = spacelift.webhook_status();
    assert!(status.disabled);
    assert_eq!((status.failures_in_a_row, status.dropped), (10, 5));
    assert_eq!(receiver.received().len(), 20);

    spacelift.set_webhook(receiver.webhook());
    spacelift.deliver(delivery(25));
    spacelift.webhook_settled().await;
    assert_eq!(receiver.received().len(), 21, "another webhook is enabled");
}

#[tokio::test]
async fn counts_a_refused_connection_as_failure() {
    let spacelift =
        Spacelift::builder().webhook(Webhook::new("http://127.0.0.1:1/webhook", "s")).start().await.unwrap();
    spacelift.deliver(delivery(1));
    spacelift.webhook_settled().await;
    let status = spacelift.webhook_status();
    assert_eq!((status.failed, status.responses[&0]), (1, 1));
}

#[tokio::test]
async fn configures_the_webhook_through_the_control_endpoint() {
    let receiver = Receiver::start().await;
    let spacelift = Spacelift::builder().start().await.unwrap();
    let client = Client::new(&spacelift);
    let webhook = receiver.webhook();
    let body = json!({ "url": webhook.url, "secret": webhook.secret, "shape": "policy", "others": false });
    let reply = client.request(Method::PUT, "/_sandbox/webhook", body.to_string()).await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT);
    assert_eq!(spacelift.webhook(), Some(webhook.shape(Shape::Policy)));
    for refused in ["", "{}", r#"{"url": "ftp://x", "secret": "s"}"#] {
        let reply = client.request(Method::PUT, "/_sandbox/webhook", refused).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{refused}");
    }

    let reply = client.request(Method::PUT, "/_sandbox/faults/duplicates", "1").await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT);
    assert_eq!(client.get("/_sandbox/faults").await.json()["duplicates"], 1.0);
    spacelift.deliver(delivery(1));
    spacelift.webhook_settled().await;
    let status = client.get("/_sandbox/webhook").await.json();
    assert_eq!((&status["accepted"], &status["duplicates"]), (&json!(2), &json!(1)));
    assert_eq!((&status["shape"], &status["disabled"]), (&json!("policy"), &json!(false)));
    assert!(!status.to_string().contains(super::receiver::SECRET));

    client.request(Method::DELETE, "/_sandbox/faults", "").await;
    assert_eq!(client.get("/_sandbox/faults").await.json()["duplicates"], 0.0);
    for (method, path, expected) in [
        (Method::PUT, "/_sandbox/faults/duplicates", StatusCode::BAD_REQUEST),
        (Method::PUT, "/_sandbox/faults/nonsense", StatusCode::NOT_FOUND),
        (Method::DELETE, "/_sandbox/webhook", StatusCode::NO_CONTENT),
        (Method::DELETE, "/_sandbox/runs", StatusCode::NO_CONTENT),
        (Method::POST, "/_sandbox/runs", StatusCode::METHOD_NOT_ALLOWED),
        (Method::GET, "/_sandbox/faults/duplicates", StatusCode::METHOD_NOT_ALLOWED),
    ] {
        let reply = client.request(method.clone(), path, "much").await;
        assert_eq!(reply.status, expected, "{method} {path}");
    }
    assert_eq!(spacelift.webhook(), None);
    let help = client.get("/_sandbox/").await;
    for path in ["runs", "webhook", "faults"] {
        assert!(help.text().contains(&format!("/_sandbox/{path} ")), "{path}");
    }
}
