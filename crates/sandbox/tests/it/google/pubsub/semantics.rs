//! Semantics shared with Google's emulator. Each test runs against both.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant, SystemTime},
};

use google_cloud_googleapis::pubsub::v1::{
    DeleteSubscriptionRequest, DeleteTopicRequest, GetSubscriptionRequest, PublishRequest, PubsubMessage,
    PullRequest, StreamingPullRequest, Subscription, Topic,
};
use tokio::time::sleep;
use tonic::{Code, Status};

use crate::google::client::{Client, ack_ids, payloads};

/// Runs each test against the sandbox and against the emulator.
macro_rules! against_both {
    ($($name:ident),* $(,)?) => {
        mod sandbox {
            use sandbox::google::pubsub::PubSub;
            use crate::google::client::Client;

            $(#[tokio::test]
            async fn $name() {
                let pubsub = PubSub::builder().start().await.unwrap();
                super::$name(Client::connect(pubsub.endpoint(), stringify!($name)).await).await;
            })*
        }

        mod emulator {
            use crate::google::{client::Client, emulator};

            $(#[tokio::test]
            async fn $name() {
                let Some(endpoint) = emulator::endpoint().await else { return };
                super::$name(Client::connect(endpoint, stringify!($name)).await).await;
            })*
        }
    };
}

against_both!(
    does_not_redeliver_acknowledged_messages,
    accepts_acknowledgements_on_the_stream,
    deletes_a_subscription_with_its_messages,
    keeps_subscriptions_of_a_deleted_topic,
    redelivers_after_lease_expiry,
    extends_a_lease,
    delivers_message_fields,
    pull_waits_for_a_message,
    delivers_only_messages_after_the_subscription,
    rejects_invalid_arguments,
    rejects_invalid_names,
    delivers_to_every_subscription,
    delivers_in_order,
    redelivers_nacked_messages_with_new_ids,
    accepts_nacks_on_the_stream,
    validates_the_first_request,
    returns_not_found,
    returns_already_exists,
);

pub(super) fn code<T>(result: Result<T, Status>) -> Code {
    result.err().expect("an error").code()
}

async fn delivers_in_order(mut client: Client) {
    client.create(Subscription::default()).await;
    let sent: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    client.publish(sent.clone()).await;
    let mut stream = client.stream().await;
    let messages = stream.take(100).await;
    assert_eq!(payloads(&messages), sent);
    client.acknowledge(ack_ids(&messages)).await.unwrap();
}

async fn delivers_message_fields(mut client: Client) {
    client.create(Subscription::default()).await;
    let attributes = HashMap::from([("a".to_owned(), "b".to_owned()), ("c".to_owned(), String::new())]);
    let message = PubsubMessage { attributes: attributes.clone(), ..PubsubMessage::default() };
    let request = PublishRequest { topic: client.topic.clone(), messages: vec![message; 2] };
    let ids = client.publisher.publish(request).await.unwrap().into_inner().message_ids;
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 2);
    assert!(ids.iter().all(|id| id.parse::<u64>().is_ok()), "{ids:?}");

    let messages = client.stream().await.take(2).await;
    for (received, id) in messages.into_iter().zip(ids) {
        assert_eq!(received.delivery_attempt, 0, "attempts are counted only with dead letters");
        let message = received.message.unwrap();
        assert_eq!(message.message_id, id);
        assert_eq!(message.attributes, attributes);
        assert!(message.data.is_empty());
        let published = SystemTime::try_from(message.publish_time.unwrap()).unwrap();
        assert!(published.elapsed().unwrap_or_default() < Duration::from_secs(60));
    }
}

async fn does_not_redeliver_acknowledged_messages(mut client: Client) {
    client.create(Subscription::default()).await;
    client.publish(["one", "two"]).await;
    let messages = client.pull(1).await;
    assert_eq!(payloads(&messages), ["one"]);
    client.acknowledge(ack_ids(&messages)).await.unwrap();
    client.acknowledge(ack_ids(&messages)).await.expect("repeated acknowledgements succeed");
    let rest = client.pull(10).await;
    assert_eq!(payloads(&rest), ["two"]);
    client.modify(ack_ids(&messages), 0).await.expect("late changes succeed without effect");
    client.modify(ack_ids(&rest), 0).await.unwrap();
    assert_eq!(payloads(&client.pull(10).await), ["two"]);
}

async fn accepts_acknowledgements_on_the_stream(mut client: Client) {
    client.create(Subscription::default()).await;
    client.publish(["one", "two"]).await;
    let mut stream = client.stream().await;
    let messages = stream.take(2).await;
    stream.send(StreamingPullRequest {
        ack_ids: ack_ids(&messages[..1]),
        modify_deadline_ack_ids: ack_ids(&messages),
        modify_deadline_seconds: vec![0, 0],
        ..StreamingPullRequest::default()
    });
    // The first message is acknowledged, so only the second one is released.
    let again = stream.take(1).await;
    assert_eq!(payloads(&again), ["two"]);
    client.acknowledge(ack_ids(&again)).await.unwrap();
}

async fn redelivers_nacked_messages_with_new_ids(mut client: Client) {
    client.create(Subscription::default()).await;
    let sent = client.publish(["one"]).await;
    let mut stream = client.stream().await;
    let mut seen = HashSet::new();
    for _ in 0..5 {
        let messages = stream.take(1).await;
        assert_eq!(messages[0].message.as_ref().unwrap().message_id, sent[0]);
        assert!(seen.insert(messages[0].ack_id.clone()), "ids are valid for one delivery");
        client.modify(ack_ids(&messages), 0).await.unwrap();
    }
}

async fn accepts_nacks_on_the_stream(mut client: Client) {
    client.create(Subscription::default()).await;
    client.publish(["one"]).await;
    let mut stream = client.stream().await;
    let messages = stream.take(1).await;
    stream.send(StreamingPullRequest {
        modify_deadline_ack_ids: ack_ids(&messages),
        modify_deadline_seconds: vec![0],
        ..StreamingPullRequest::default()
    });
    let again = stream.take(1).await;
    assert_ne!(ack_ids(&again), ack_ids(&messages));
}

async fn redelivers_after_lease_expiry(mut client: Client) {
    client.create(Subscription::default()).await;
    client.publish(["one", "two"]).await;
    let mut stream = client.stream().await;
    let messages = stream.take(2).await;
    client.acknowledge(ack_ids(&messages[1..])).await.unwrap();
    client.modify(ack_ids(&messages[..1]), 2).await.unwrap();
    let start = Instant::now();
    let again = stream.take(1).await;
    assert!(start.elapsed() > Duration::from_millis(1500), "{:?}", start.elapsed());
    assert_eq!(payloads(&again), ["one"]);
    client.acknowledge(ack_ids(&again)).await.unwrap();
}

async fn extends_a_lease(mut client: Client) {
    client.create(Subscription::default()).await;
    client.publish(["one"]).await;
    let messages = client.pull(1).await;
    client.modify(ack_ids(&messages), 1).await.unwrap();
    client.modify(ack_ids(&messages), 30).await.unwrap();
    sleep(Duration::from_secs(2)).await;
    assert_eq!(payloads(&client.peek().await), [] as [&str; 0]);
    client.acknowledge(ack_ids(&messages)).await.unwrap();
}

async fn pull_waits_for_a_message(mut client: Client) {
    client.create(Subscription::default()).await;
    assert!(client.peek().await.is_empty());
    let mut other = client.clone();
    let pulled = tokio::spawn(async move { other.pull(10).await });
    client.publish(["one"]).await;
    assert_eq!(payloads(&pulled.await.unwrap()), ["one"]);
}

async fn delivers_only_messages_after_the_subscription(mut client: Client) {
    let topic = Topic { name: client.topic.clone(), ..Topic::default() };
    client.publisher.create_topic(topic).await.unwrap();
    client.publish(["before"]).await;
    client.subscribe(Subscription::default()).await.unwrap();
    client.publish(["after"]).await;
    assert_eq!(payloads(&client.pull(10).await), ["after"]);
}

async fn delivers_to_every_subscription(mut client: Client) {
    client.create(Subscription::default()).await;
    let mut other = client.clone();
    other.subscription.push_str("-2");
    other.subscribe(Subscription::default()).await.unwrap();
    client.publish(["one"]).await;
    let messages = client.pull(1).await;
    client.acknowledge(ack_ids(&messages)).await.unwrap();
    assert_eq!(payloads(&other.pull(1).await), ["one"]);
}

async fn validates_the_first_request(mut client: Client) {
    client.create(Subscription::default()).await;
    client.publish(["one"]).await;
    for seconds in [-1, 0, 9, 601] {
        let mut subscriber = client.subscriber.clone();
        let first = StreamingPullRequest {
            subscription: client.subscription.clone(),
            stream_ack_deadline_seconds: seconds,
            ..StreamingPullRequest::default()
        };
        let requests = tokio_stream::iter([first]);
        let result = match subscriber.streaming_pull(requests).await {
            Ok(response) => response.into_inner().message().await,
            Err(status) => Err(status),
        };
        assert_eq!(code(result), Code::InvalidArgument, "{seconds}");
    }
    let missing = StreamingPullRequest {
        subscription: format!("{}-missing", client.subscription),
        ..StreamingPullRequest::default()
    };
    client.subscription = missing.subscription;
    assert_eq!(code(client.stream_with(StreamingPullRequest::default()).await), Code::NotFound);
}

async fn returns_not_found(mut client: Client) {
    let (topic, subscription) = (client.topic.clone(), client.subscription.clone());
    assert_eq!(code(client.subscribe(Subscription::default()).await), Code::NotFound);
    let messages = vec![PubsubMessage { data: "a".into(), ..PubsubMessage::default() }];
    let request = PublishRequest { topic: topic.clone(), messages };
    assert_eq!(code(client.publisher.publish(request).await), Code::NotFound);
    assert_eq!(code(client.publisher.delete_topic(DeleteTopicRequest { topic }).await), Code::NotFound);

    let request = GetSubscriptionRequest { subscription: subscription.clone() };
    assert_eq!(code(client.subscriber.get_subscription(request).await), Code::NotFound);
    let request = DeleteSubscriptionRequest { subscription: subscription.clone() };
    assert_eq!(code(client.subscriber.delete_subscription(request).await), Code::NotFound);
    let request = PullRequest { subscription, max_messages: 1, ..Default::default() };
    assert_eq!(code(client.subscriber.pull(request).await), Code::NotFound);
    assert_eq!(code(client.acknowledge(vec!["a".to_owned()]).await), Code::NotFound);
    assert_eq!(code(client.modify(vec!["a".to_owned()], 10).await), Code::NotFound);
}

async fn returns_already_exists(mut client: Client) {
    client.create(Subscription::default()).await;
    let topic = Topic { name: client.topic.clone(), ..Topic::default() };
    assert_eq!(code(client.publisher.create_topic(topic).await), Code::AlreadyExists);
    assert_eq!(code(client.subscribe(Subscription::default()).await), Code::AlreadyExists);
}

async fn rejects_invalid_names(mut client: Client) {
    for name in ["short", "projects/p/topics/1a", "projects/p/topics/google-1", "projects/p/topics/a b"] {
        let topic = Topic { name: name.to_owned(), ..Topic::default() };
        assert_eq!(code(client.publisher.create_topic(topic).await), Code::InvalidArgument, "{name}");
    }
    let topic = client.topic.clone();
    client.publisher.create_topic(Topic { name: topic.clone(), ..Topic::default() }).await.unwrap();
    for name in ["short", &topic, "projects/p/subscriptions/ab"] {
        client.subscription = name.to_owned();
        assert_eq!(code(client.subscribe(Subscription::default()).await), Code::InvalidArgument, "{name}");
    }
}

async fn rejects_invalid_arguments(mut client: Client) {
    let topic = Topic { name: client.topic.clone(), ..Topic::default() };
    client.publisher.create_topic(topic).await.unwrap();
    for seconds in [-1, 601] {
        let settings = Subscription { ack_deadline_seconds: seconds, ..Subscription::default() };
        assert_eq!(code(client.subscribe(settings).await), Code::InvalidArgument, "{seconds}");
    }
    let created = client.subscribe(Subscription::default()).await.unwrap();
    assert_eq!(created.ack_deadline_seconds, 10);
    assert_eq!(created.topic, client.topic);

    let empty = PublishRequest { topic: client.topic.clone(), messages: vec![PubsubMessage::default()] };
    assert_eq!(code(client.publisher.publish(empty).await), Code::InvalidArgument);
    let nothing = PublishRequest { topic: client.topic.clone(), messages: Vec::new() };
    assert_eq!(code(client.publisher.publish(nothing).await), Code::InvalidArgument);

    let request = PullRequest { subscription: client.subscription.clone(), ..Default::default() };
    assert_eq!(code(client.subscriber.pull(request).await), Code::InvalidArgument);
    client.publish(["one"]).await;
    let messages = client.pull(1).await;
    assert_eq!(code(client.modify(ack_ids(&messages), -1).await), Code::InvalidArgument);
    assert_eq!(code(client.acknowledge(Vec::new()).await), Code::InvalidArgument);
    assert_eq!(code(client.modify(Vec::new(), 10).await), Code::InvalidArgument);
    assert_eq!(code(client.acknowledge(vec!["nonsense".to_owned()]).await), Code::InvalidArgument);
    assert_eq!(code(client.modify(vec!["nonsense".to_owned()], 10).await), Code::InvalidArgument);
}

async fn deletes_a_subscription_with_its_messages(mut client: Client) {
    client.create(Subscription::default()).await;
    client.publish(["one"]).await;
    let request = DeleteSubscriptionRequest { subscription: client.subscription.clone() };
    client.subscriber.delete_subscription(request).await.unwrap();
    client.publish(["two"]).await;
    client.subscribe(Subscription::default()).await.unwrap();
    client.publish(["three"]).await;
    assert_eq!(payloads(&client.pull(10).await), ["three"]);
}

async fn keeps_subscriptions_of_a_deleted_topic(mut client: Client) {
    client.create(Subscription::default()).await;
    client.publish(["one"]).await;
    client.publisher.delete_topic(DeleteTopicRequest { topic: client.topic.clone() }).await.unwrap();
    assert_eq!(payloads(&client.pull(1).await), ["one"]);
    let request = GetSubscriptionRequest { subscription: client.subscription.clone() };
    let subscription = client.subscriber.get_subscription(request).await.unwrap().into_inner();
    assert_eq!(subscription.topic, "_deleted-topic_");
}
