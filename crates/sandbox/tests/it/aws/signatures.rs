//! Tests of checked signatures. `aws-sigv4` makes them.

use std::time::Duration;

use hyper::Method;
use proptest::{prelude::*, test_runner::TestRunner};
use sandbox::aws::{Aws, DUMMY_KEY_ID, Operation, Service};
use serde_json::json;

use super::client::{Client, Reply};

async fn start() -> (Aws, Client) {
    let aws = Aws::builder().start().await.unwrap();
    let client = Client::new(&aws);
    (aws, client)
}

/// Sends a request to each service.
async fn all(client: &Client) -> [Reply; 3] {
    [
        client.queue(Operation::ReceiveMessage, json!({})).await,
        client.describe(&[]).await,
        client.sts("GetCallerIdentity", &[]).await,
    ]
}

async fn rejected(client: &Client, expected: [(u16, &str); 3]) {
    for (reply, (status, code)) in all(client).await.into_iter().zip(expected) {
        reply.failed(status, code);
    }
}

const BAD_SIGNATURE: [(u16, &str); 3] =
    [(403, "InvalidSignatureException"), (401, "AuthFailure"), (403, "SignatureDoesNotMatch")];
const UNKNOWN_KEY: [(u16, &str); 3] =
    [(403, "UnrecognizedClientException"), (401, "AuthFailure"), (403, "InvalidClientTokenId")];

#[tokio::test]
async fn accepts_valid_and_rejects_invalid_signatures() {
    let (aws, client) = start().await;
    for reply in all(&client).await {
        reply.ok();
    }
    rejected(&client.clone().key(DUMMY_KEY_ID, "wrong", None), BAD_SIGNATURE).await;
    rejected(&client.clone().key("unknown", "test", None), UNKNOWN_KEY).await;
    rejected(&client.clone().key(DUMMY_KEY_ID, "test", Some("token")), UNKNOWN_KEY).await;

    aws.set_checks_signatures(false);
    for reply in all(&client.clone().key(DUMMY_KEY_ID, "wrong", None)).await {
        reply.ok();
    }
}

#[tokio::test]
async fn rejects_signatures_for_another_service_or_body() {
    let (_aws, client) = start().await;
    let headers = [("x-amz-target", "AmazonSQS.ReceiveMessage")];
    let request = client.signed(Service::Ec2, Method::POST, "/", &headers, "{}");
    client.reply(request).await.failed(400, "IncompleteSignatureException");

    let mut request = client.sqs_request(Operation::ReceiveMessage, &json!({ "QueueUrl": client.queue_url }));
    *request.body_mut() = "{}".into();
    let reply = client.reply(request).await.failed(403, "InvalidSignatureException");
    assert!(reply.json()["message"].as_str().unwrap().contains("The Canonical String"), "{}", reply.text());

    let mut request = client.sqs_request(Operation::ReceiveMessage, &json!({}));
    request.headers_mut().insert("x-amz-extra", "unsigned".parse().unwrap());
    client.reply(request).await.failed(400, "IncompleteSignatureException");
    let mut request = client.sqs_request(Operation::ReceiveMessage, &json!({}));
    request.headers_mut().remove("authorization");
    client.reply(request).await.failed(403, "MissingAuthenticationTokenException");
}

#[tokio::test]
async fn rejects_wrong_clocks_and_tells_the_time() {
    let (aws, client) = start().await;
    let six_hours = Duration::from_secs(6 * 60 * 60);
    let slow = Client { clock_behind: six_hours, ..client.clone() };
    let too_old =
        [(403, "InvalidSignatureException"), (400, "RequestExpired"), (403, "SignatureDoesNotMatch")];
    rejected(&slow, too_old).await;
    let reply = slow.queue(Operation::ReceiveMessage, json!({})).await;
    assert!(reply.text().contains("Signature expired: "), "{}", reply.text());
    let fast = Client { clock_ahead: six_hours, ..client.clone() };
    rejected(&fast, BAD_SIGNATURE).await;

    // The same happens if the clock of the service differs; the response contains its time.
    aws.set_clock_offset(-6.0 * 3600.0);
    rejected(&client, BAD_SIGNATURE).await;
    for reply in all(&slow).await {
        let date = httpdate(&reply.ok());
        let behind = std::time::SystemTime::now().duration_since(date).unwrap();
        assert!(behind + Duration::from_secs(60) > six_hours, "{behind:?}");
    }
    aws.set_clock_offset(240.0);
    for reply in all(&client).await {
        reply.ok();
    }
}

fn httpdate(reply: &Reply) -> std::time::SystemTime {
    httpdate::parse_http_date(reply.headers["date"].to_str().unwrap()).unwrap()
}

#[tokio::test]
async fn dummy_credentials_can_be_removed() {
    let aws = Aws::builder()
        .without_dummy_key()
        .add_key("AKIDEXAMPLE", "secret", "123456789012")
        .start()
        .await
        .unwrap();
    let client = Client::new(&aws);
    rejected(&client, UNKNOWN_KEY).await;
    let client = client.key("AKIDEXAMPLE", "secret", None);
    for reply in all(&client).await {
        reply.ok();
    }
    assert!(aws.revoke("AKIDEXAMPLE"));
    rejected(&client, UNKNOWN_KEY).await;
}

#[test]
fn agrees_with_another_implementation() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (_aws, client) = runtime.block_on(start());
    let segment = "[A-Za-z0-9 %._~ü+:@-]{0,8}";
    let strategy = (
        prop::collection::vec(segment, 0..4),
        prop::collection::vec((segment, segment), 0..4),
        ".{0,64}",
        "[ -~]{0,16}",
    );
    TestRunner::new(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })
        .run(&strategy, |(path, query, body, value)| {
            let encode = |text: &String| {
                text.bytes()
                    .map(|byte| match byte {
                        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                            char::from(byte).to_string()
                        }
                        byte => format!("%{byte:02X}"),
                    })
                    .collect::<String>()
            };
            let path: String = path.iter().map(|segment| format!("/{}", encode(segment))).collect();
            let query: Vec<String> =
                query.iter().map(|(key, value)| format!("{}={}", encode(key), encode(value))).collect();
            let path = format!("{}?{}", if path.is_empty() { "/" } else { &path }, query.join("&"));
            let headers = [("x-amz-target", "AmazonSQS.GetQueueUrl"), ("x-amz-other", value.trim())];
            let request = client.signed(Service::Sqs, Method::POST, &path, &headers, body);
            let reply = runtime.block_on(client.reply(request));
            // The signature is valid; the body is not.
            prop_assert_eq!(reply.status, 400, "{} {}", path, reply.text());
            prop_assert_eq!(reply.code(), "SerializationException");
            Ok(())
        })
        .unwrap();
}
