//! The throughput of the simulated Pub/Sub: `cargo bench -p sandbox --bench pubsub`.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints its results and panics on failures"
)]

use std::time::Instant;

use bytes::Bytes;
use google_cloud_googleapis::pubsub::v1::{
    AcknowledgeRequest, PublishRequest, PubsubMessage, StreamingPullRequest,
    publisher_client::PublisherClient, subscriber_client::SubscriberClient,
};
use sandbox::google::{Instance, audit_log::AuditLog, pubsub::PubSub};

const TOPIC: &str = "projects/example-project/topics/bench";
const SUBSCRIPTION: &str = "projects/example-project/subscriptions/bench";
const MESSAGES: usize = 400_000;

#[tokio::main]
async fn main() {
    let node = Instance::new(1, "europe-west1-c", "gke-n1");
    let entry = Bytes::from(AuditLog::new("example-project", 1).preempted(&node).to_string());
    println!("{MESSAGES} messages of {} bytes", entry.len());

    let pubsub = PubSub::builder().start().await.unwrap();
    pubsub.create_topic(TOPIC).unwrap();
    pubsub.create_subscription(SUBSCRIPTION, TOPIC).unwrap();
    let start = Instant::now();
    for _ in 0..MESSAGES / 1000 {
        pubsub.publish(TOPIC, std::iter::repeat_n(entry.clone(), 1000)).unwrap();
    }
    report("published in process", start);

    for acknowledged in [true, false] {
        if !acknowledged {
            for _ in 0..MESSAGES / 1000 {
                pubsub.publish(TOPIC, std::iter::repeat_n(entry.clone(), 1000)).unwrap();
            }
        }
        let start = Instant::now();
        consume(&pubsub, acknowledged).await;
        report(if acknowledged { "delivered and acknowledged" } else { "delivered" }, start);
    }

    let mut publisher = PublisherClient::connect(pubsub.endpoint()).await.unwrap();
    let start = Instant::now();
    for _ in 0..MESSAGES / 1000 {
        let message = PubsubMessage { data: entry.clone(), ..PubsubMessage::default() };
        let request = PublishRequest { topic: TOPIC.to_owned(), messages: vec![message; 1000] };
        publisher.publish(request).await.unwrap();
    }
    report("published over loopback", start);
}

async fn consume(pubsub: &PubSub, acknowledge: bool) {
    let mut subscriber = SubscriberClient::connect(pubsub.endpoint()).await.unwrap();
    let first = StreamingPullRequest {
        subscription: SUBSCRIPTION.to_owned(),
        stream_ack_deadline_seconds: 60,
        ..StreamingPullRequest::default()
    };
    let (requests, receiver) = tokio::sync::mpsc::channel(1);
    requests.send(first).await.unwrap();
    let receiver = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let mut stream = subscriber.streaming_pull(receiver).await.unwrap().into_inner();
    let mut left = MESSAGES;
    while left > 0 {
        let messages = stream.message().await.unwrap().unwrap().received_messages;
        left -= messages.len();
        if acknowledge {
            let ack_ids = messages.into_iter().map(|received| received.ack_id).collect();
            let request = AcknowledgeRequest { subscription: SUBSCRIPTION.to_owned(), ack_ids };
            subscriber.acknowledge(request).await.unwrap();
        }
    }
}

fn report(what: &str, start: Instant) {
    let elapsed = start.elapsed();
    println!("{what}: {:.0} messages a second", MESSAGES as f64 / elapsed.as_secs_f64());
}
