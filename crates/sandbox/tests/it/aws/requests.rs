//! Tests of recorded and unknown requests.

use hyper::{Method, StatusCode};
use sandbox::aws::{Aws, Operation, Service};
use serde_json::json;

use super::client::Client;

#[tokio::test]
async fn records_requests() {
    let aws = Aws::builder().start().await.unwrap();
    let client = Client::new(&aws);
    client.receive(json!({ "MaxNumberOfMessages": 3 })).await;
    client.clone().region("us-east-1").describe(&[("MaxResults", "5")]).await;
    assert_eq!((aws.count(Operation::ReceiveMessage), aws.count(Operation::DescribeInstances)), (1, 1));
    let requests = aws.requests();
    assert_eq!(requests[0].operation, Some(Operation::ReceiveMessage));
    assert_eq!(requests[0].json().unwrap()["MaxNumberOfMessages"], 3);
    assert_eq!(requests[0].key_id.as_deref(), Some("test"));
    assert_eq!(requests[1].region.as_deref(), Some("us-east-1"));
    assert_eq!(requests[1].account.as_deref(), Some("123456789012"));
    assert_eq!(requests[1].parameter("MaxResults").as_deref(), Some("5"));
    aws.wait_for(Operation::DescribeInstances, 1).await;
}

#[tokio::test]
async fn rejects_unknown_operations() {
    let aws = Aws::builder().start().await.unwrap();
    let client = Client::new(&aws);
    let reply = client.form_request(Service::Ec2, "RunInstances", "2016-11-15", &[]);
    client.reply(reply).await.failed(400, "InvalidAction");
    let target = [("x-amz-target", "AmazonSQS.DeleteQueue")];
    let request = client.signed(Service::Sqs, Method::POST, "/", &target, "{}");
    client.reply(request).await.failed(400, "UnknownOperationException");
    // The operation of one service is not an operation of another one.
    let target = [("x-amz-target", "AmazonSQS.DescribeInstances")];
    let request = client.signed(Service::Sqs, Method::POST, "/", &target, "{}");
    client.reply(request).await.failed(400, "UnknownOperationException");
    assert_eq!(client.plain(Method::GET, "/", &[]).await.status, StatusCode::NOT_FOUND);
}
