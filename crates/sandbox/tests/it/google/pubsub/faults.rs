//! Tests of fault injection.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use google_cloud_googleapis::pubsub::v1::Subscription;
use sandbox::google::pubsub::{Code, Faults, PubSub};
use tokio::time::timeout;

use super::semantics::code;
use crate::google::client::{Client, Stream, ack_ids, payloads};

const MOMENT: Duration = Duration::from_millis(200);

async fn start() -> (PubSub, Client) {
    let pubsub = PubSub::builder().start().await.unwrap();
    let mut client = Client::connect(pubsub.endpoint(), "faults").await;
    client.create(Subscription::default()).await;
    (pubsub, client)
}

/// Acknowledges `count` deliveries and counts each payload.
async fn consume(client: &mut Client, stream: &mut Stream, count: usize) -> HashMap<String, usize> {
    let (mut seen, mut left) = (HashMap::new(), count);
    while left > 0 {
        let messages = stream.next().await.unwrap().unwrap();
        left = left.saturating_sub(messages.len());
        for payload in payloads(&messages) {
            *seen.entry(payload).or_default() += 1;
        }
        client.acknowledge(ack_ids(&messages)).await.unwrap();
    }
    seen
}

fn numbers(count: u32) -> Vec<String> {
    (0..count).map(|number| number.to_string()).collect()
}

#[tokio::test]
async fn redelivers_acknowledged_messages_once() {
    let (pubsub, mut client) = start().await;
    pubsub.set_faults(Faults { duplicates: 1.0, ..Faults::default() });
    pubsub.publish(&client.topic, numbers(100)).unwrap();
    let mut stream = client.stream().await;
    let seen = consume(&mut client, &mut stream, 200).await;
    assert_eq!(seen.len(), 100);
    assert!(seen.values().all(|times| *times == 2), "{seen:?}");
    let counts = pubsub.counts(&client.subscription);
    assert_eq!((counts.acked, counts.unacked, counts.redeliveries), (100, 0, 100));
    assert!(timeout(MOMENT, stream.next()).await.is_err(), "redelivered only once");

    pubsub.set_faults(Faults { duplicates: 0.5, ..Faults::default() });
    pubsub.publish(&client.topic, numbers(1000)).unwrap();
    consume(&mut client, &mut stream, 1000).await;
    let deadline = timeout(MOMENT * 10, consume(&mut client, &mut stream, usize::MAX)).await;
    deadline.unwrap_err();
    let counts = pubsub.counts(&client.subscription);
    assert!((350..650).contains(&(counts.redeliveries - 100)), "{counts:?}");
}

#[tokio::test]
async fn shuffles_the_order_without_loss() {
    let (pubsub, mut client) = start().await;
    pubsub.set_faults(Faults { reorder: 50, ..Faults::default() });
    pubsub.publish(&client.topic, numbers(500)).unwrap();
    let mut received = payloads(&client.stream().await.take(500).await);
    assert_ne!(received, numbers(500));
    received.sort_by_key(|number| number.parse::<u32>().unwrap());
    assert_eq!(received, numbers(500));
}

#[tokio::test]
async fn drops_acknowledgements_without_an_error() {
    let (pubsub, mut client) = start().await;
    pubsub.set_faults(Faults { lost_acks: 1.0, ..Faults::default() });
    client.publish(["one"]).await;
    let messages = client.pull(1).await;
    client.acknowledge(ack_ids(&messages)).await.unwrap();
    let counts = pubsub.counts(&client.subscription);
    assert_eq!((counts.lost_acks, counts.acked, counts.outstanding), (1, 0, 1));
    client.modify(ack_ids(&messages), 0).await.unwrap();
    assert_eq!(payloads(&client.pull(1).await), ["one"]);
}

#[tokio::test]
async fn delays_responses_to_acknowledgements() {
    let (pubsub, mut client) = start().await;
    pubsub.set_faults(Faults { slow_acks: MOMENT, ..Faults::default() });
    client.publish(["one"]).await;
    let messages = client.pull(1).await;
    let start = Instant::now();
    client.acknowledge(ack_ids(&messages)).await.unwrap();
    assert!(start.elapsed() >= MOMENT);
    assert_eq!(pubsub.acked(&client.subscription), 1);
}

#[tokio::test]
async fn resets_streams_on_demand() {
    let (pubsub, mut client) = start().await;
    client.publish(["one"]).await;
    let mut stream = client.stream().await;
    let messages = stream.take(1).await;
    pubsub.reset_streams(&client.subscription);
    assert_eq!(code(stream.next().await.unwrap()), Code::Unavailable);
    client.acknowledge(ack_ids(&messages)).await.expect("the lease is still valid");
    client.publish(["two"]).await;
    let mut stream = client.stream().await;
    stream.take(1).await;
    pubsub.reset_all_streams();
    assert_eq!(code(stream.next().await.unwrap()), Code::Unavailable);
}

#[tokio::test]
async fn resets_streams_at_an_age() {
    let (pubsub, mut client) = start().await;
    pubsub.set_faults(Faults { reset_every: Some(MOMENT), ..Faults::default() });
    let start = Instant::now();
    let result = client.stream_with(Default::default()).await;
    assert_eq!(code(result), Code::Unavailable, "also without messages");
    assert!(start.elapsed() >= MOMENT);
    client.publish(["one"]).await;
    let mut stream = client.stream().await;
    stream.take(1).await;
    assert_eq!(code(stream.next().await.unwrap()), Code::Unavailable);
    assert_eq!(pubsub.counts(&client.subscription).streams_opened, 2);
}

#[tokio::test]
async fn rejects_all_calls() {
    let (pubsub, mut client) = start().await;
    client.publish(["one"]).await;
    let mut stream = client.stream().await;
    let messages = stream.take(1).await;
    for refused in [Code::Unavailable, Code::PermissionDenied, Code::NotFound] {
        pubsub.set_faults(Faults { refuse: Some(refused), ..Faults::default() });
        assert_eq!(code(client.acknowledge(ack_ids(&messages)).await), refused);
        assert_eq!(code(client.stream_with(Default::default()).await), refused);
        assert_eq!(code(client.subscribe(Subscription::default()).await), refused);
        // Publishing through the handle is never rejected.
        pubsub.publish(&client.topic, ["two"]).unwrap();
    }
    assert_eq!(code(stream.next().await.unwrap()), Code::Unavailable);
    pubsub.clear_faults();
    client.acknowledge(ack_ids(&messages)).await.unwrap();
}

#[tokio::test]
async fn injects_faults_into_one_subscription() {
    let (pubsub, mut client) = start().await;
    let mut other = client.clone();
    other.subscription.push_str("-2");
    other.subscribe(Subscription::default()).await.unwrap();
    pubsub.set_subscription_faults(
        &client.subscription,
        Faults { refuse: Some(Code::NotFound), ..Faults::default() },
    );
    client.publish(["one"]).await;
    assert_eq!(code(client.stream_with(Default::default()).await), Code::NotFound);
    assert_eq!(payloads(&other.pull(1).await), ["one"]);
    pubsub.clear_faults();
    assert_eq!(payloads(&client.pull(1).await), ["one"]);
}

#[tokio::test]
async fn a_frozen_server_sends_nothing() {
    let (pubsub, mut client) = start().await;
    client.publish(["one", "two"]).await;
    let mut stream = client.stream().await;
    let messages = stream.take(2).await;
    pubsub.set_faults(Faults { freeze: true, ..Faults::default() });
    pubsub.publish(&client.topic, ["three"]).unwrap();
    assert!(timeout(MOMENT, stream.next()).await.is_err());
    assert!(timeout(MOMENT, client.acknowledge(ack_ids(&messages[..1]))).await.is_err());
    assert!(timeout(MOMENT, client.stream_with(Default::default())).await.is_err());
    let mut other = client.clone();
    let acknowledged = tokio::spawn(async move { other.acknowledge(ack_ids(&messages[1..])).await });
    tokio::time::sleep(MOMENT).await;
    assert_eq!(pubsub.acked(&client.subscription), 0);
    assert_eq!(pubsub.counts(&client.subscription).streams, 1, "the stream stays open");

    pubsub.clear_faults();
    acknowledged.await.unwrap().expect("the acknowledgement succeeds after the freeze");
    assert_eq!(payloads(&stream.take(1).await), ["three"]);
    assert_eq!(pubsub.acked(&client.subscription), 1, "the canceled acknowledgement has no effect");
}
