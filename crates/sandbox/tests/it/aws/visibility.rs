//! Tests of visibility timeouts.

use sandbox::aws::{Aws, Operation};
use serde_json::json;

use super::client::{Client, handles};

async fn start() -> (Aws, Client) {
    let aws = Aws::builder().start().await.unwrap();
    let client = Client::new(&aws);
    (aws, client)
}

#[tokio::test]
async fn shows_messages_again_after_the_timeout() {
    let (aws, client) = start().await;
    let id = aws.queue().send("a");
    let first = client.receive(json!({ "VisibilityTimeout": 1 })).await;
    assert_eq!(aws.queue().in_flight(), 1);
    // The expiry wakes a waiting receive.
    let wait = json!({ "WaitTimeSeconds": 20, "MessageSystemAttributeNames": ["All"] });
    let second = client.receive(wait).await;
    assert_eq!(second[0]["MessageId"], id);
    assert_eq!(second[0]["Attributes"]["ApproximateReceiveCount"], "2");
    assert_ne!(first[0]["ReceiptHandle"], second[0]["ReceiptHandle"]);
    assert_eq!(aws.queue().counts().expired, 1);
}

#[tokio::test]
async fn changes_the_timeout() {
    let (aws, client) = start().await;
    aws.queue().send("a");
    let first = client.receive(json!({ "VisibilityTimeout": 600 })).await;
    let handle = &handles(&first)[0];
    let change = async |timeout: i64| {
        let body = json!({ "ReceiptHandle": handle, "VisibilityTimeout": timeout });
        client.queue(Operation::ChangeMessageVisibility, body).await
    };
    change(300).await.ok();
    assert_eq!(aws.queue().in_flight(), 1);
    change(0).await.ok();
    assert_eq!(aws.queue().visible(), 1);
    change(60).await.failed(400, "MessageNotInflight");
    assert_eq!(client.receive(json!({})).await.len(), 1, "zero makes the message visible immediately");
    change(43_201).await.failed(400, "InvalidParameterValue");
    change(43_200).await.failed(400, "InvalidParameterValue");
    assert_eq!(aws.queue().counts().visibility_changes, 2);
}

#[tokio::test]
async fn changes_timeouts_in_batches() {
    let (aws, client) = start().await;
    aws.queue().send_all(["a", "b"]);
    let messages = client.receive(json!({ "MaxNumberOfMessages": 10 })).await;
    let entries: Vec<_> = handles(&messages)
        .iter()
        .enumerate()
        .map(|(index, handle)| json!({ "Id": index.to_string(), "ReceiptHandle": handle, "VisibilityTimeout": 0 }))
        .collect();
    aws.queue().fail_entries(1, "RequestThrottled");
    let reply = client
        .queue(Operation::ChangeMessageVisibilityBatch, json!({ "Entries": entries }))
        .await
        .ok()
        .json();
    assert_eq!(reply["Failed"][0]["Code"], "RequestThrottled");
    assert_eq!(reply["Successful"], json!([{ "Id": "1" }]));
    assert_eq!((aws.queue().visible(), aws.queue().in_flight()), (1, 1));
}

#[tokio::test]
async fn waits_for_counts() {
    let (aws, client) = start().await;
    aws.queue().send("a");
    let messages = client.receive(json!({ "VisibilityTimeout": 1 })).await;
    aws.queue().wait_until(|counts| counts.expired == 1).await;
    client.delete_batch(&handles(&messages)).await;
    aws.queue().wait_until_deleted(1).await;
    aws.queue().wait_until_drained().await;
}
