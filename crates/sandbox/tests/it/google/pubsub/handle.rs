//! Tests of the handle of the server.

use std::{collections::HashMap, time::Duration};

use bytes::Bytes;
use google_cloud_googleapis::pubsub::v1::Subscription;
use sandbox::google::{
    StartError,
    pubsub::{Code, Message, PubSub},
};

use crate::google::client::{Client, ack_ids, payloads};

const TOPIC: &str = "projects/example-project/topics/handle";
const SUBSCRIPTION: &str = "projects/example-project/subscriptions/handle";

async fn start() -> (PubSub, Client) {
    let pubsub = PubSub::builder().start().await.unwrap();
    pubsub.create_topic(TOPIC).unwrap();
    pubsub.create_subscription(SUBSCRIPTION, TOPIC).unwrap();
    let client = Client::connect(pubsub.endpoint(), "handle").await;
    (pubsub, client)
}

#[tokio::test]
async fn counts_deliveries_and_acknowledgements() {
    let (pubsub, mut client) = start().await;
    let ids = pubsub.publish(TOPIC, ["one", "two", "three", "four"]).unwrap();
    assert_eq!(ids.len(), 4);
    let counts = pubsub.counts(SUBSCRIPTION);
    assert_eq!((counts.published, counts.unacked, counts.outstanding), (4, 4, 0));

    let mut stream = client.stream().await;
    pubsub.wait_until(SUBSCRIPTION, |counts| counts.streams == 1).await;
    let messages = stream.take(4).await;
    assert_eq!(payloads(&messages), ["one", "two", "three", "four"]);
    client.acknowledge(ack_ids(&messages[..2])).await.unwrap();
    client.modify(ack_ids(&messages[2..3]), 0).await.unwrap();
    let again = stream.take(1).await;
    pubsub.wait_until_acked(SUBSCRIPTION, 2).await;
    let counts = pubsub.counts(SUBSCRIPTION);
    assert_eq!((counts.acked, counts.unacked, counts.outstanding), (2, 2, 2));
    assert_eq!((counts.deliveries, counts.redeliveries, counts.nacked), (5, 1, 1));
    assert_eq!((counts.streams_opened, counts.streams), (1, 1));
    client.acknowledge(ack_ids(&again)).await.unwrap();
    client.acknowledge(ack_ids(&messages[3..])).await.unwrap();
    pubsub.wait_until_drained(SUBSCRIPTION).await;
    drop(stream);
    pubsub.wait_until(SUBSCRIPTION, |counts| counts.streams == 0).await;
}

#[tokio::test]
async fn publishes_messages_of_several_types() {
    let (pubsub, mut client) = start().await;
    pubsub.publish(TOPIC, [serde_json::json!({ "a": 1 })]).unwrap();
    pubsub.publish(TOPIC, [vec![b'v']]).unwrap();
    pubsub.publish(TOPIC, ["s".to_owned()]).unwrap();
    pubsub.publish(TOPIC, [(Bytes::from_static(b"b"), [("key", "value")])]).unwrap();
    pubsub.publish(TOPIC, [Message::default()]).unwrap();
    let messages = client.pull(10).await;
    assert_eq!(payloads(&messages), ["{\"a\":1}", "v", "s", "b", ""]);
    let attributes = &messages[3].message.as_ref().unwrap().attributes;
    assert_eq!(*attributes, HashMap::from([("key".to_owned(), "value".to_owned())]));
}

#[tokio::test]
async fn returns_errors_of_the_service() {
    let (pubsub, _) = start().await;
    assert_eq!(pubsub.create_topic(TOPIC).unwrap_err().code(), Code::AlreadyExists);
    assert_eq!(pubsub.create_topic("handle").unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(pubsub.publish(&format!("{TOPIC}-2"), ["a"]).unwrap_err().code(), Code::NotFound);
    assert_eq!(pubsub.delete_subscription(&format!("{SUBSCRIPTION}-2")).unwrap_err().code(), Code::NotFound);
    pubsub.delete_subscription(SUBSCRIPTION).unwrap();
    pubsub.delete_topic(TOPIC).unwrap();
    assert_eq!(pubsub.counts(SUBSCRIPTION).published, 0, "unknown subscriptions have zero counts");
}

#[tokio::test]
async fn waits_for_a_subscription_to_be_created() {
    let pubsub = PubSub::builder().start().await.unwrap();
    let waiting = async { pubsub.wait_until(SUBSCRIPTION, |counts| counts.published == 1).await };
    let creating = async {
        tokio::task::yield_now().await;
        pubsub.create_topic(TOPIC).unwrap();
        pubsub.create_subscription(SUBSCRIPTION, TOPIC).unwrap();
        pubsub.publish(TOPIC, ["one"]).unwrap();
    };
    let (counts, ()) = tokio::join!(waiting, creating);
    assert_eq!(counts.unacked, 1);
}

#[tokio::test]
async fn keeps_messages_after_a_restart() {
    let (pubsub, mut client) = start().await;
    pubsub.publish(TOPIC, ["one", "two"]).unwrap();
    let mut stream = client.stream().await;
    let messages = stream.take(2).await;
    client.acknowledge(ack_ids(&messages[..1])).await.unwrap();

    pubsub.stop().await;
    stream.next().await.unwrap().unwrap_err();
    client.acknowledge(ack_ids(&messages[1..])).await.unwrap_err();
    let counts = pubsub.counts(SUBSCRIPTION);
    assert_eq!((counts.streams, counts.acked, counts.outstanding), (0, 1, 1));

    pubsub.restart().await.unwrap();
    client.acknowledge(ack_ids(&messages[1..])).await.expect("the lease is still valid");
    pubsub.wait_until_drained(SUBSCRIPTION).await;
    pubsub.publish(TOPIC, ["three"]).unwrap();
    assert_eq!(payloads(&client.stream().await.take(1).await), ["three"]);
    assert_eq!(pubsub.counts(SUBSCRIPTION).streams_opened, 2);
}

#[tokio::test]
async fn reports_an_address_in_use() {
    let pubsub = PubSub::builder().start().await.unwrap();
    let error = PubSub::builder().listen(pubsub.address()).start().await.err().unwrap();
    assert!(matches!(error, StartError::Listen(..)));
    assert!(error.to_string().contains(&pubsub.host()), "{error}");
}

#[tokio::test(start_paused = true)]
async fn leases_follow_a_paused_clock() {
    let pubsub = PubSub::builder().start().await.unwrap();
    pubsub.create_topic(TOPIC).unwrap();
    pubsub
        .define_subscription(Subscription {
            name: SUBSCRIPTION.to_owned(),
            topic: TOPIC.to_owned(),
            ack_deadline_seconds: 600,
            ..Subscription::default()
        })
        .unwrap();
    let mut client = Client::connect(pubsub.endpoint(), "handle").await;
    pubsub.publish(TOPIC, ["one"]).unwrap();
    assert_eq!(client.pull(1).await.len(), 1);
    assert_eq!(pubsub.outstanding(SUBSCRIPTION), 1);
    tokio::time::advance(Duration::from_secs(599)).await;
    assert_eq!(pubsub.outstanding(SUBSCRIPTION), 1);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(pubsub.counts(SUBSCRIPTION).expired, 1);
    assert_eq!(pubsub.outstanding(SUBSCRIPTION), 0);
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_lease_expiry_advances_a_paused_clock() {
    let (pubsub, mut client) = start().await;
    pubsub.publish(TOPIC, ["one"]).unwrap();
    client.pull(1).await;
    let start = tokio::time::Instant::now();
    pubsub.wait_until(SUBSCRIPTION, |counts| counts.expired == 1).await;
    assert!(start.elapsed() >= Duration::from_secs(9));
}
