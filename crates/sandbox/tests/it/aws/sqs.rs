//! Tests of sending, receiving and deleting messages.

use std::{collections::HashSet, time::Duration};

use sandbox::aws::{Aws, Operation, QueueFaults, REGION, StaleReceipts};
use serde_json::{Value, json};

use super::client::{Client, bodies, handles};

async fn start() -> (Aws, Client) {
    let aws = Aws::builder().start().await.unwrap();
    let client = Client::new(&aws);
    (aws, client)
}

#[tokio::test]
async fn receives_and_deletes_messages() {
    let (aws, client) = start().await;
    let id = aws.queue().send("hello");
    let messages = client
        .receive(json!({ "MaxNumberOfMessages": 10, "MessageSystemAttributeNames": ["SentTimestamp", "ApproximateReceiveCount"] }))
        .await;
    let [message] = messages.as_slice() else { panic!("{messages:?}") };
    assert_eq!(message["MessageId"], id);
    assert_eq!(message["Body"], "hello");
    assert_eq!(message["MD5OfBody"], "5d41402abc4b2a76b9719d911017c592");
    assert_eq!(message["Attributes"]["ApproximateReceiveCount"], "1");
    let sent: u64 = message["Attributes"]["SentTimestamp"].as_str().unwrap().parse().unwrap();
    assert!(sent > 1_700_000_000_000, "{sent} is in milliseconds");
    assert_eq!(message["Attributes"].as_object().unwrap().len(), 2);
    assert_eq!((aws.queue().visible(), aws.queue().in_flight()), (0, 1));
    assert_eq!(client.queue(Operation::ReceiveMessage, json!({})).await.ok().text(), "{}");

    let deleted = client.delete_batch(&handles(&messages)).await;
    assert_eq!(deleted, json!({ "Successful": [{ "Id": "0" }] }));
    assert_eq!((aws.queue().in_flight(), aws.queue().deleted()), (0, 1));
    // A repeated deletion succeeds.
    let entry = json!({ "ReceiptHandle": handles(&messages)[0] });
    client.queue(Operation::DeleteMessage, entry).await.ok();
    assert_eq!(aws.queue().deleted(), 1);
}

#[tokio::test]
async fn wakes_waiting_receives() {
    let (aws, client) = start().await;
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.receive(json!({ "WaitTimeSeconds": 20, "MaxNumberOfMessages": 10 })).await }
    });
    aws.wait_for(Operation::ReceiveMessage, 1).await;
    aws.queue().send_all(["a", "b"]);
    let messages = tokio::time::timeout(Duration::from_secs(15), waiting).await.expect("woken").unwrap();
    assert_eq!(bodies(&messages), ["a", "b"]);
    // A wait without messages returns an empty object.
    assert!(client.receive(json!({ "WaitTimeSeconds": 1 })).await.is_empty());
}

#[tokio::test]
async fn sends_messages() {
    let (aws, client) = start().await;
    let sent = client.queue(Operation::SendMessage, json!({ "MessageBody": "hello" })).await.ok().json();
    assert_eq!(sent["MD5OfMessageBody"], "5d41402abc4b2a76b9719d911017c592");
    let entries = json!([{ "Id": "a", "MessageBody": "1" }, { "Id": "b" }]);
    let sent = client.queue(Operation::SendMessageBatch, json!({ "Entries": entries })).await.ok().json();
    assert_eq!(sent["Successful"][0]["Id"], "a");
    assert_eq!((&sent["Failed"][0]["Id"], &sent["Failed"][0]["SenderFault"]), (&json!("b"), &json!(true)));
    assert_eq!(aws.queue().bodies(), ["hello", "1"]);
}

#[tokio::test]
async fn names_queues_by_url() {
    let (aws, client) = start().await;
    let other = aws.add_queue("123456789012", "us-east-1", aws.queue().name());
    other.send("other region");
    aws.queue().send("first region");
    let receive = async |client: &Client, url: String| {
        let reply = client.sqs(Operation::ReceiveMessage, &json!({ "QueueUrl": url })).await.ok().json();
        reply["Messages"][0]["Body"].clone()
    };
    // The region of the signature decides, because the URL of the server has none.
    let elsewhere = client.clone().region("us-east-1");
    assert_eq!(receive(&elsewhere, aws.queue_url()).await, "other region");
    assert_eq!(receive(&client, aws.queue().aws_url()).await, "first region");

    let found = client.sqs(Operation::GetQueueUrl, &json!({ "QueueName": aws.queue().name() })).await.ok();
    assert_eq!(found.json()["QueueUrl"], aws.queue_url());
    client.sqs(Operation::GetQueueUrl, &json!({ "QueueName": "x" })).await.failed(400, "QueueDoesNotExist");
}

#[tokio::test]
async fn returns_attributes() {
    let (aws, client) = start().await;
    aws.queue().send_all(["a", "b", "c"]);
    client.receive(json!({})).await;
    let reply =
        client.queue(Operation::GetQueueAttributes, json!({ "AttributeNames": ["QueueArn"] })).await.ok();
    let arn = format!("arn:aws:sqs:{REGION}:123456789012:sie-interruption-queue");
    assert_eq!(reply.json(), json!({ "Attributes": { "QueueArn": arn } }));
    let reply = client.queue(Operation::GetQueueAttributes, json!({ "AttributeNames": ["All"] })).await.ok();
    let attributes = &reply.json()["Attributes"];
    assert_eq!(attributes["ApproximateNumberOfMessages"], "2");
    assert_eq!(attributes["ApproximateNumberOfMessagesNotVisible"], "1");
    let reply = client.queue(Operation::GetQueueAttributes, json!({ "AttributeNames": ["Nonsense"] })).await;
    reply.failed(400, "InvalidAttributeName");
}

#[tokio::test]
async fn rejects_invalid_requests() {
    let (aws, client) = start().await;
    for (body, code) in [
        (json!({ "MaxNumberOfMessages": 11 }), "InvalidParameterValue"),
        (json!({ "MaxNumberOfMessages": 0 }), "InvalidParameterValue"),
        (json!({ "WaitTimeSeconds": 21 }), "InvalidParameterValue"),
        (json!({ "VisibilityTimeout": 43_201 }), "InvalidParameterValue"),
        (json!({ "MaxNumberOfMessages": "ten" }), "SerializationException"),
    ] {
        client.queue(Operation::ReceiveMessage, body).await.failed(400, code);
    }
    let unknown = json!({ "QueueUrl": format!("{}/123456789012/unknown", aws.url()) });
    let reply = client.sqs(Operation::ReceiveMessage, &unknown).await.failed(400, "QueueDoesNotExist");
    assert_eq!(
        reply.json(),
        json!({ "__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "The specified queue does not exist." })
    );
    assert_eq!(reply.headers["content-type"], "application/x-amz-json-1.0");
    client.sqs(Operation::ReceiveMessage, &json!({})).await.failed(400, "MissingParameter");

    let entries = |ids: &[&str]| -> Value {
        ids.iter().map(|id| json!({ "Id": id, "ReceiptHandle": "x" })).collect::<Vec<_>>().into()
    };
    let eleven: Vec<String> = (0..11).map(|number| number.to_string()).collect();
    let eleven: Vec<&str> = eleven.iter().map(String::as_str).collect();
    for (entries, code) in [
        (entries(&[]), "EmptyBatchRequest"),
        (entries(&eleven), "TooManyEntriesInBatchRequest"),
        (entries(&["a", "a"]), "BatchEntryIdsNotDistinct"),
    ] {
        let body = json!({ "Entries": entries });
        client.queue(Operation::DeleteMessageBatch, body).await.failed(400, code);
    }
    let failed = client.delete_batch(&["nonsense".to_owned()]).await;
    assert_eq!(failed["Failed"][0]["Code"], "ReceiptHandleIsInvalid");
}

#[tokio::test]
async fn denies_access_and_limits_messages_in_flight() {
    let (aws, client) = start().await;
    aws.add_key("other", "secret", "210987654321");
    let other = client.clone().key("other", "secret", None);
    let reply = other.queue(Operation::ReceiveMessage, json!({})).await.failed(403, "AccessDeniedException");
    assert!(reply.json()["message"].as_str().unwrap().contains("sqs:receivemessage"), "{}", reply.text());
    aws.queue().allow_account("210987654321");
    other.queue(Operation::ReceiveMessage, json!({})).await.ok();
    aws.queue().set_denied(true);
    client.queue(Operation::ReceiveMessage, json!({})).await.failed(403, "AccessDeniedException");
    aws.queue().set_denied(false);

    aws.queue().send_all(["a", "b", "c"]);
    aws.queue().set_in_flight_limit(2);
    assert_eq!(client.receive(json!({ "MaxNumberOfMessages": 10 })).await.len(), 2);
    client.queue(Operation::ReceiveMessage, json!({})).await.failed(403, "OverLimit");
    assert!(client.receive(json!({ "WaitTimeSeconds": 1 })).await.is_empty());
}

#[tokio::test]
async fn deletion_of_the_queue_ends_waiting_receives() {
    let (aws, client) = start().await;
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.queue(Operation::ReceiveMessage, json!({ "WaitTimeSeconds": 20 })).await }
    });
    aws.wait_for(Operation::ReceiveMessage, 1).await;
    aws.queue().set_deleted(true);
    waiting.await.unwrap().failed(400, "QueueDoesNotExist");
    aws.queue().set_deleted(false);
    aws.queue().send("again");
    assert_eq!(client.receive(json!({})).await.len(), 1);
}

#[tokio::test]
async fn injects_duplicates_and_lost_deletes() {
    let (aws, client) = start().await;
    aws.queue().set_faults(QueueFaults { duplicate_sends: 1.0, ..QueueFaults::default() });
    aws.queue().send("twice");
    let messages = client.receive(json!({ "MaxNumberOfMessages": 10 })).await;
    assert_eq!(bodies(&messages), ["twice", "twice"]);
    assert_ne!(messages[0]["MessageId"], messages[1]["MessageId"]);

    aws.queue().set_deleted(true);
    aws.queue().set_deleted(false);
    aws.queue().set_faults(QueueFaults { duplicate_receives: 1.0, ..QueueFaults::default() });
    aws.queue().send("again");
    let first = client.receive(json!({})).await;
    let second = client.receive(json!({})).await;
    assert_eq!(first[0]["MessageId"], second[0]["MessageId"]);
    assert_ne!(first[0]["ReceiptHandle"], second[0]["ReceiptHandle"]);
    aws.queue().set_faults(QueueFaults { lost_deletes: 1.0, ..QueueFaults::default() });
    let deleted = client.delete_batch(&handles(&second)).await;
    assert_eq!(deleted["Successful"][0]["Id"], "0");
    assert_eq!((aws.queue().deleted(), aws.queue().counts().lost_deletes), (0, 1));
}

#[tokio::test]
async fn reorders_messages() {
    let (aws, client) = start().await;
    aws.queue().set_faults(QueueFaults { reorder: 20, ..QueueFaults::default() });
    let sent: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    aws.queue().send_all(&sent);
    let mut received = Vec::new();
    for _ in 0..2 {
        received.extend(bodies(&client.receive(json!({ "MaxNumberOfMessages": 10 })).await));
    }
    assert_ne!(received, sent);
    assert_eq!(received.iter().collect::<HashSet<_>>().len(), 20);
}

#[tokio::test]
async fn fails_entries_of_batches() {
    let (aws, client) = start().await;
    aws.queue().send_all(["a", "b", "c"]);
    let messages = client.receive(json!({ "MaxNumberOfMessages": 10 })).await;
    aws.queue().fail_entries(2, "InternalError");
    let deleted = client.delete_batch(&handles(&messages)).await;
    assert_eq!(deleted["Successful"], json!([{ "Id": "2" }]));
    let failed = json!({ "Id": "0", "Code": "InternalError", "Message": "An internal error has occurred", "SenderFault": false });
    assert_eq!(deleted["Failed"][0], failed);
    assert_eq!(aws.queue().deleted(), 1);
    let deleted = client.delete_batch(&handles(&messages)).await;
    assert_eq!(deleted["Successful"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn treats_stale_receipts_as_configured() {
    for (treatment, is_deleted, fails) in [
        (StaleReceipts::Accept, true, false),
        (StaleReceipts::Ignore, false, false),
        (StaleReceipts::Reject, false, true),
    ] {
        let (aws, client) = start().await;
        aws.queue().set_faults(QueueFaults { stale_receipts: treatment, ..QueueFaults::default() });
        aws.queue().send("a");
        let first = client.receive(json!({ "VisibilityTimeout": 0 })).await;
        let second = client.receive(json!({})).await;
        let response = client.delete_batch(&handles(&first)).await;
        assert_eq!(response["Failed"].is_array(), fails, "{treatment:?}");
        assert_eq!(aws.queue().deleted(), u64::from(is_deleted), "{treatment:?}");
        client.delete_batch(&handles(&second)).await;
        assert_eq!(aws.queue().deleted(), 1, "{treatment:?}");
    }
}

#[tokio::test]
async fn serves_ten_thousand_messages() {
    let (aws, client) = start().await;
    let body = "x".repeat(400);
    aws.queue().send_all((0..10_000).map(|number| format!("{number} {body}")));
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                loop {
                    let messages = client.receive(json!({ "MaxNumberOfMessages": 10 })).await;
                    if messages.is_empty() {
                        return;
                    }
                    client.delete_batch(&handles(&messages)).await;
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    assert_eq!(aws.queue().deleted(), 10_000);
}
