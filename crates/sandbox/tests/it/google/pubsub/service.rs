//! Semantics of Google's service that its emulator lacks or implements differently.

use std::{collections::HashSet, time::Duration};

use google_cloud_googleapis::pubsub::v1::{
    DeadLetterPolicy, DeleteSubscriptionRequest, PublishRequest, PubsubMessage, RetryPolicy,
    StreamingPullRequest, Subscription, subscriber_client::SubscriberClient,
};
use sandbox::google::pubsub::{Faults, PubSub};
use tokio::time::timeout;
use tonic::Code;

use super::semantics::code;
use crate::google::client::{Client, ack_ids, payloads};

const SECOND: Duration = Duration::from_secs(1);

async fn start(name: &str) -> (PubSub, Client) {
    let pubsub = PubSub::builder().start().await.unwrap();
    let client = Client::connect(pubsub.endpoint(), name).await;
    (pubsub, client)
}

#[tokio::test]
async fn limits_outstanding_messages() {
    let (_pubsub, mut client) = start("stream").await;
    client.create(Subscription::default()).await;
    client.publish((0..10).map(|number| number.to_string())).await;
    let settings = StreamingPullRequest { max_outstanding_messages: 3, ..StreamingPullRequest::default() };
    let mut stream = client.stream_with(settings).await.unwrap();
    let first = stream.take(3).await;
    assert!(timeout(Duration::from_millis(500), stream.next()).await.is_err(), "the limit is reached");
    client.acknowledge(ack_ids(&first[..2])).await.unwrap();
    let second = stream.take(2).await;
    assert!(timeout(Duration::from_millis(500), stream.next()).await.is_err());
    client.modify(ack_ids(&second[..1]), 0).await.unwrap();
    stream.take(1).await;
}

#[tokio::test]
async fn streams_share_a_subscription() {
    let (_pubsub, mut client) = start("stream").await;
    client.create(Subscription::default()).await;
    client.publish(["first", "second"]).await;
    let settings = StreamingPullRequest { max_outstanding_messages: 1, ..StreamingPullRequest::default() };
    let mut one = client.stream_with(settings.clone()).await.unwrap();
    let mut two = client.stream_with(settings).await.unwrap();
    let (from_one, from_two) = (one.take(1).await, two.take(1).await);
    let both: HashSet<String> = payloads(&from_one).into_iter().chain(payloads(&from_two)).collect();
    assert_eq!(both.len(), 2);
    // Acknowledgement ids are not bound to a stream.
    client.acknowledge(ack_ids(&from_one)).await.unwrap();
    client.acknowledge(ack_ids(&from_two)).await.unwrap();
    client.publish(["third", "fourth"]).await;
    let both: HashSet<String> =
        payloads(&one.take(1).await).into_iter().chain(payloads(&two.take(1).await)).collect();
    assert_eq!(both, HashSet::from(["third".to_owned(), "fourth".to_owned()]));
}

#[tokio::test]
async fn limits_outstanding_bytes() {
    let (pubsub, mut client) = start("bytes").await;
    client.create(Subscription::default()).await;
    client.publish(vec!["x".repeat(1000); 10]).await;
    let settings = StreamingPullRequest { max_outstanding_bytes: 2500, ..StreamingPullRequest::default() };
    let mut stream = client.stream_with(settings).await.unwrap();
    stream.take(3).await;
    assert!(timeout(SECOND / 5, stream.next()).await.is_err());
    assert_eq!(pubsub.outstanding(&client.subscription), 3);
}

#[tokio::test]
async fn streams_share_messages() {
    let (pubsub, mut client) = start("share").await;
    client.create(Subscription::default()).await;
    let streams = [client.clone(), client.clone()].map(|mut client| {
        tokio::spawn(async move { client.stream().await.next().await.unwrap().unwrap().len() })
    });
    pubsub.wait_until(&client.subscription, |counts| counts.streams == 2).await;
    pubsub.publish(&client.topic, vec!["x"; 100]).unwrap();
    for stream in streams {
        assert_ne!(stream.await.unwrap(), 100);
    }
}

#[tokio::test]
async fn splits_large_deliveries() {
    let (_pubsub, mut client) = start("batches").await;
    client.create(Subscription::default()).await;
    for _ in 0..3 {
        client.publish(vec!["x"; 1000]).await;
    }
    let mut stream = client.stream().await;
    let mut left = 3000;
    while left > 0 {
        let batch = stream.next().await.unwrap().unwrap().len();
        assert!(batch <= 1000);
        left -= batch;
    }
}

#[tokio::test]
async fn leases_outlive_their_stream() {
    let (pubsub, mut client) = start("gone").await;
    pubsub.set_faults(Faults { max_lease: Some(SECOND), ..Faults::default() });
    client.create(Subscription::default()).await;
    client.publish(["one"]).await;
    let mut stream = client.stream().await;
    stream.take(1).await;
    drop(stream);
    pubsub.wait_until(&client.subscription, |counts| counts.streams == 0).await;
    assert_eq!(pubsub.outstanding(&client.subscription), 1);
    assert_eq!(payloads(&client.pull(1).await), ["one"]);
    let counts = pubsub.counts(&client.subscription);
    assert_eq!((counts.expired, counts.redeliveries), (1, 1));
}

#[tokio::test]
async fn ignores_late_acknowledgements() {
    let (pubsub, mut client) = start("late").await;
    client.create(Subscription::default()).await;
    pubsub.set_faults(Faults { max_lease: Some(SECOND / 10), ..Faults::default() });
    client.publish(["one"]).await;
    let messages = client.pull(1).await;
    pubsub.wait_until(&client.subscription, |counts| counts.expired == 1).await;
    client.acknowledge(ack_ids(&messages)).await.expect("late acknowledgements succeed");
    assert_eq!(pubsub.unacked(&client.subscription), 1);
    assert_eq!(payloads(&client.pull(1).await), ["one"]);
}

#[tokio::test]
async fn responds_to_keepalives_of_version_1() {
    let (_pubsub, mut client) = start("keepalive").await;
    client.create(Subscription::default()).await;
    client.publish(["one"]).await;
    let mut stream = client.stream().await;
    stream.take(1).await;
    stream.send(StreamingPullRequest::default());
    assert!(
        timeout(SECOND / 5, stream.response()).await.is_err(),
        "protocol version 0 has no responses to keepalives"
    );

    let mut stream = newer::open(&client).await;
    client.publish(["two"]).await;
    while stream.response().await.received_messages.is_empty() {}
    stream.send(newer::Request::default());
    assert_eq!(stream.response().await.received_messages, []);
}

#[tokio::test]
async fn closes_the_stream_after_the_client() {
    let (pubsub, mut client) = start("half").await;
    client.create(Subscription::default()).await;
    client.publish(["one"]).await;
    let mut stream = client.stream().await;
    stream.take(1).await;
    let mut responses = stream.close();
    assert_eq!(responses.message().await.unwrap(), None);
    pubsub.wait_until(&client.subscription, |counts| counts.streams == 0).await;
}

#[tokio::test]
async fn closes_streams_of_a_deleted_subscription() {
    let (_pubsub, mut client) = start("deleted").await;
    client.create(Subscription::default()).await;
    client.publish(["one"]).await;
    let mut stream = client.stream().await;
    stream.take(1).await;
    let request = DeleteSubscriptionRequest { subscription: client.subscription.clone() };
    client.subscriber.delete_subscription(request).await.unwrap();
    assert_eq!(code(stream.next().await.unwrap()), Code::NotFound);
}

#[tokio::test]
async fn closes_the_stream_after_an_invalid_request() {
    let (_pubsub, mut client) = start("mistakes").await;
    client.create(Subscription::default()).await;
    for mistake in [
        StreamingPullRequest { ack_ids: vec!["nonsense".to_owned()], ..StreamingPullRequest::default() },
        StreamingPullRequest { subscription: client.subscription.clone(), ..StreamingPullRequest::default() },
        StreamingPullRequest { modify_deadline_seconds: vec![1], ..StreamingPullRequest::default() },
        StreamingPullRequest { stream_ack_deadline_seconds: 5, ..StreamingPullRequest::default() },
    ] {
        client.publish(["one"]).await;
        let mut stream = client.stream().await;
        stream.take(1).await;
        stream.send(mistake);
        assert_eq!(code(stream.next().await.unwrap()), Code::InvalidArgument);
    }
}

#[tokio::test]
async fn rejects_leases_out_of_range() {
    let (_pubsub, mut client) = start("leases").await;
    client.create(Subscription::default()).await;
    client.publish(["one"]).await;
    let messages = client.pull(1).await;
    assert_eq!(code(client.modify(ack_ids(&messages), 601).await), Code::InvalidArgument);
    client.subscription.push_str("-2");
    let settings = Subscription { ack_deadline_seconds: 5, ..Subscription::default() };
    assert_eq!(code(client.subscribe(settings).await), Code::InvalidArgument);
}

#[tokio::test]
async fn exactly_once_reports_invalid_ids() {
    let (pubsub, mut client) = start("exactly-once").await;
    client.create(Subscription { enable_exactly_once_delivery: true, ..Subscription::default() }).await;
    client.publish(["one", "two", "three"]).await;
    let messages = client.pull(2).await;
    let ids = ack_ids(&messages);
    client.acknowledge(ids[..1].to_vec()).await.unwrap();
    let status = client.acknowledge(ids.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    let details = String::from_utf8_lossy(status.details()).into_owned();
    assert!(details.contains("PERMANENT_FAILURE_INVALID_ACK_ID"), "{details}");
    assert!(details.contains(&ids[0]) && !details.contains(&ids[1]), "{details}");
    assert_eq!(pubsub.acked(&client.subscription), 2, "the other id is valid");
    assert_eq!(code(client.modify(ids.clone(), 10).await), Code::FailedPrecondition);

    let mut stream = client.stream().await;
    let response = stream.take(1).await;
    let good = ack_ids(&response).remove(0);
    stream.send(StreamingPullRequest {
        ack_ids: vec![ids[0].clone(), good.clone()],
        modify_deadline_ack_ids: vec![ids[1].clone()],
        modify_deadline_seconds: vec![10],
        ..StreamingPullRequest::default()
    });
    let response = stream.response().await.unwrap().unwrap();
    assert!(response.subscription_properties.unwrap().exactly_once_delivery_enabled);
    let acks = response.acknowledge_confirmation.unwrap();
    assert_eq!((acks.ack_ids, acks.invalid_ack_ids), (vec![good], vec![ids[0].clone()]));
    let modacks = response.modify_ack_deadline_confirmation.unwrap();
    assert_eq!(modacks.invalid_ack_ids, [ids[1].clone()]);
}

#[tokio::test]
async fn gives_up_a_message_after_its_last_attempt() {
    let (pubsub, mut client) = start("attempts").await;
    let policy = DeadLetterPolicy { max_delivery_attempts: 5, ..DeadLetterPolicy::default() };
    client.create(Subscription { dead_letter_policy: Some(policy), ..Subscription::default() }).await;
    client.publish(["one"]).await;
    for attempt in 1..=5 {
        let messages = client.pull(1).await;
        assert_eq!(messages[0].delivery_attempt, attempt);
        client.modify(ack_ids(&messages), 0).await.unwrap();
        let counts = pubsub.counts(&client.subscription);
        assert_eq!((counts.outstanding, counts.unacked), (0, u64::from(attempt < 5)));
    }
    assert_eq!(pubsub.counts(&client.subscription).dead_lettered, 1);
    assert!(client.peek().await.is_empty());
}

#[tokio::test]
async fn rejects_unsupported_settings_and_calls() {
    let (_pubsub, mut client) = start("unknown").await;
    client.create(Subscription::default()).await;
    client.subscription.push_str("-2");
    for settings in [
        Subscription { enable_message_ordering: true, ..Subscription::default() },
        Subscription { filter: "attributes:a".to_owned(), ..Subscription::default() },
        Subscription { retry_policy: Some(RetryPolicy::default()), ..Subscription::default() },
    ] {
        assert_eq!(code(client.subscribe(settings).await), Code::Unimplemented);
    }
    let request = google_cloud_googleapis::pubsub::v1::DetachSubscriptionRequest::default();
    assert_eq!(code(client.publisher.detach_subscription(request).await), Code::Unimplemented);
    let request = google_cloud_googleapis::pubsub::v1::ListSchemasRequest::default();
    let channel = client.channel.clone();
    let mut schemas =
        google_cloud_googleapis::pubsub::v1::schema_service_client::SchemaServiceClient::new(channel);
    assert_eq!(code(schemas.list_schemas(request).await), Code::Unimplemented);
}

#[tokio::test]
async fn accepts_large_requests() {
    let (_pubsub, client) = start("large").await;
    let mut client = client;
    client.create(Subscription::default()).await;
    let data = vec![b'x'; 9_000_000];
    client.publish([data]).await;
    let mut subscriber = SubscriberClient::new(client.channel.clone()).max_decoding_message_size(usize::MAX);
    let request = google_cloud_googleapis::pubsub::v1::PullRequest {
        subscription: client.subscription.clone(),
        max_messages: 1,
        ..Default::default()
    };
    let message = subscriber.pull(request).await.unwrap().into_inner().received_messages.remove(0);
    assert_eq!(message.message.unwrap().data.len(), 9_000_000);
    let messages = vec![PubsubMessage { data: vec![b'x'; 11_000_000].into(), ..PubsubMessage::default() }];
    let request = PublishRequest { topic: client.topic.clone(), messages };
    assert_eq!(code(client.publisher.publish(request).await), Code::InvalidArgument);
}

/// A client with protocol version 1, which the generated client does not support.
mod newer {
    use google_cloud_googleapis::pubsub::v1::StreamingPullResponse;
    use tokio::sync::mpsc;
    use tokio_stream::wrappers::UnboundedReceiverStream;
    use tonic::{Streaming, client::Grpc};
    use tonic_prost::ProstCodec;

    use super::Client;

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Request {
        #[prost(string, tag = "1")]
        subscription: String,
        #[prost(int32, tag = "5")]
        stream_ack_deadline_seconds: i32,
        #[prost(int64, tag = "10")]
        protocol_version: i64,
    }

    pub(super) struct Stream {
        requests: mpsc::UnboundedSender<Request>,
        responses: Streaming<StreamingPullResponse>,
    }

    pub(super) async fn open(client: &Client) -> Stream {
        let (requests, receiver) = mpsc::unbounded_channel();
        let first = Request {
            subscription: client.subscription.clone(),
            stream_ack_deadline_seconds: 10,
            protocol_version: 1,
        };
        requests.send(first).unwrap();
        // The server responds only when it has something to send.
        requests.send(Request::default()).unwrap();
        let mut grpc = Grpc::new(client.channel.clone());
        grpc.ready().await.unwrap();
        let path = "/google.pubsub.v1.Subscriber/StreamingPull".parse().unwrap();
        let codec = ProstCodec::<Request, StreamingPullResponse>::default();
        let request = tonic::Request::new(UnboundedReceiverStream::new(receiver));
        let responses = grpc.streaming(request, path, codec).await.unwrap().into_inner();
        Stream { requests, responses }
    }

    impl Stream {
        pub(super) fn send(&self, request: Request) {
            self.requests.send(request).unwrap();
        }

        pub(super) async fn response(&mut self) -> StreamingPullResponse {
            self.responses.message().await.unwrap().unwrap()
        }
    }
}
