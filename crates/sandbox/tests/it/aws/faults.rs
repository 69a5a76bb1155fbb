//! Tests of replies instead of the normal responses.

use sandbox::aws::{Aws, Hold, Instance, Operation, Reply, Target};
use serde_json::json;

use super::client::Client;

async fn start() -> (Aws, Client) {
    let aws = Aws::builder().start().await.unwrap();
    let client = Client::new(&aws);
    (aws, client)
}

#[tokio::test]
async fn fails_with_errors_of_each_service() {
    let (aws, client) = start().await;
    for (code, status) in [
        ("RequestThrottled", 403),
        ("OverLimit", 403),
        ("AccessDeniedException", 403),
        ("QueueDoesNotExist", 400),
        ("KmsAccessDenied", 400),
        ("InvalidSecurity", 400),
    ] {
        aws.fail_times(Operation::ReceiveMessage, code, 1);
        client.queue(Operation::ReceiveMessage, json!({})).await.failed(status, code);
    }
    client.queue(Operation::ReceiveMessage, json!({})).await.ok();
    for (code, status) in
        [("RequestLimitExceeded", 503), ("UnauthorizedOperation", 403), ("AuthFailure", 401)]
    {
        aws.fail(Operation::DescribeInstances, code);
        let reply = client.describe(&[]).await.failed(status, code);
        assert!(reply.text().contains("<Response><Errors><Error><Code>"), "{}", reply.text());
        assert!(reply.text().contains("</RequestID></Response>"));
    }
    aws.clear_overrides();
    client.describe(&[]).await.ok();
    aws.fail(Operation::GetCallerIdentity, "AccessDenied");
    let reply = client.sts("GetCallerIdentity", &[]).await.failed(403, "AccessDenied");
    assert!(reply.text().starts_with("<ErrorResponse"), "{}", reply.text());
}

#[tokio::test]
async fn fails_in_one_account_or_region() {
    let (aws, client) = start().await;
    aws.add_key("other", "secret", "210987654321");
    let elsewhere = client.clone().region("us-east-1");
    let other = client.clone().key("other", "secret", None);
    aws.fail(Target::new(Operation::DescribeInstances).region("us-east-1"), "RequestLimitExceeded");
    aws.fail(Target::new(Operation::DescribeInstances).account("210987654321"), "UnauthorizedOperation");
    client.describe(&[]).await.ok();
    elsewhere.describe(&[]).await.failed(503, "RequestLimitExceeded");
    other.describe(&[]).await.failed(403, "UnauthorizedOperation");
    let both = Target::new(Operation::DescribeInstances).account("210987654321").region("us-east-1");
    aws.override_reply(both, Reply::status(500));
    assert_eq!(other.region("us-east-1").describe(&[]).await.status, 500);
}

#[tokio::test]
async fn holds_resets_and_replaces_responses() {
    let (aws, client) = start().await;
    aws.launch(Instance::spot(1, "eu-central-1a"));
    let hold = Hold::new();
    aws.override_reply(Operation::DescribeInstances, Reply::Hold(hold.clone()).once());
    let held = tokio::spawn({
        let client = client.clone();
        async move { client.describe(&[]).await }
    });
    hold.arrived(1).await;
    client.describe(&[]).await.ok();
    hold.release();
    held.await.unwrap().ok();

    aws.override_reply(Operation::DescribeInstances, Reply::Reset.once());
    assert!(client.try_describe().await.is_err());
    let garbage = Reply::Status { code: 200, headers: Vec::new(), body: "<html>".to_owned() };
    aws.override_reply(Operation::DescribeInstances, garbage);
    assert_eq!(client.describe(&[]).await.text(), "<html>");
}

#[tokio::test]
async fn can_be_stopped_and_restarted() {
    let (aws, client) = start().await;
    aws.queue().send("kept");
    aws.stop().await;
    assert!(client.try_describe().await.is_err());
    aws.restart().await.unwrap();
    assert_eq!(client.receive(json!({})).await.len(), 1);
}
