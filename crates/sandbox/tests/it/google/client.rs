//! A Pub/Sub client.

use std::time::Duration;

use google_cloud_googleapis::pubsub::v1::{
    AcknowledgeRequest, ModifyAckDeadlineRequest, PublishRequest, PubsubMessage, PullRequest,
    ReceivedMessage, StreamingPullRequest, StreamingPullResponse, Subscription, Topic,
    publisher_client::PublisherClient, subscriber_client::SubscriberClient,
};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Status, Streaming, transport::Channel};

/// The timeout of every wait.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Clients of one server, with a separate topic and subscription.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) channel: Channel,
    pub(crate) publisher: PublisherClient<Channel>,
    pub(crate) subscriber: SubscriberClient<Channel>,
    pub(crate) topic: String,
    pub(crate) subscription: String,
}

/// An open stream.
pub(crate) struct Stream {
    requests: mpsc::UnboundedSender<StreamingPullRequest>,
    responses: Streaming<StreamingPullResponse>,
}

impl Client {
    /// Connects. `name` is the last part of the topic's and the subscription's name and must be unique.
    pub(crate) async fn connect(endpoint: String, name: &str) -> Self {
        let channel = Channel::from_shared(endpoint).unwrap().connect().await.unwrap();
        Self {
            publisher: PublisherClient::new(channel.clone()),
            subscriber: SubscriberClient::new(channel.clone()),
            channel,
            topic: format!("projects/example-project/topics/{name}"),
            subscription: format!("projects/example-project/subscriptions/{name}"),
        }
    }

    pub(crate) async fn create(&mut self, settings: Subscription) {
        let topic = Topic { name: self.topic.clone(), ..Topic::default() };
        self.publisher.create_topic(topic).await.unwrap();
        self.subscribe(settings).await.unwrap();
    }

    pub(crate) async fn subscribe(&mut self, settings: Subscription) -> Result<Subscription, Status> {
        let subscription =
            Subscription { name: self.subscription.clone(), topic: self.topic.clone(), ..settings };
        self.subscriber.create_subscription(subscription).await.map(tonic::Response::into_inner)
    }

    pub(crate) async fn publish<T: Into<Vec<u8>>>(
        &mut self,
        payloads: impl IntoIterator<Item = T>,
    ) -> Vec<String> {
        let messages = payloads
            .into_iter()
            .map(|data| PubsubMessage { data: data.into().into(), ..PubsubMessage::default() })
            .collect();
        let request = PublishRequest { topic: self.topic.clone(), messages };
        self.publisher.publish(request).await.unwrap().into_inner().message_ids
    }

    pub(crate) async fn pull(&mut self, max_messages: i32) -> Vec<ReceivedMessage> {
        let request =
            PullRequest { subscription: self.subscription.clone(), max_messages, ..PullRequest::default() };
        let response = timeout(TIMEOUT, self.subscriber.pull(request)).await.expect("a message in time");
        response.unwrap().into_inner().received_messages
    }

    /// Returns the ready messages without waiting.
    pub(crate) async fn peek(&mut self) -> Vec<ReceivedMessage> {
        #[expect(deprecated)]
        let request = PullRequest {
            subscription: self.subscription.clone(),
            max_messages: 1000,
            return_immediately: true,
        };
        self.subscriber.pull(request).await.unwrap().into_inner().received_messages
    }

    pub(crate) async fn acknowledge(&mut self, ack_ids: Vec<String>) -> Result<(), Status> {
        let request = AcknowledgeRequest { subscription: self.subscription.clone(), ack_ids };
        self.subscriber.acknowledge(request).await.map(drop)
    }

    pub(crate) async fn modify(&mut self, ack_ids: Vec<String>, seconds: i32) -> Result<(), Status> {
        let request = ModifyAckDeadlineRequest {
            subscription: self.subscription.clone(),
            ack_ids,
            ack_deadline_seconds: seconds,
        };
        self.subscriber.modify_ack_deadline(request).await.map(drop)
    }

    /// Opens a stream. Requires a ready message, because the server responds only with the first message.
    pub(crate) async fn stream(&mut self) -> Stream {
        self.stream_with(StreamingPullRequest::default()).await.unwrap()
    }

    pub(crate) async fn stream_with(&mut self, settings: StreamingPullRequest) -> Result<Stream, Status> {
        let first = StreamingPullRequest {
            subscription: self.subscription.clone(),
            stream_ack_deadline_seconds: 10,
            client_id: "it".to_owned(),
            ..settings
        };
        let (requests, receiver) = mpsc::unbounded_channel();
        requests.send(first).unwrap();
        let call = self.subscriber.streaming_pull(UnboundedReceiverStream::new(receiver));
        let responses = timeout(TIMEOUT, call).await.expect("a stream in time")?.into_inner();
        Ok(Stream { requests, responses })
    }
}

impl Stream {
    /// Returns the next messages, or the status with which the stream was closed.
    pub(crate) async fn next(&mut self) -> Option<Result<Vec<ReceivedMessage>, Status>> {
        loop {
            let response = timeout(TIMEOUT, self.responses.message()).await.expect("a response in time");
            match response.transpose()? {
                Ok(response) if response.received_messages.is_empty() => {}
                Ok(response) => return Some(Ok(response.received_messages)),
                Err(status) => return Some(Err(status)),
            }
        }
    }

    /// Returns the next response, with or without messages.
    pub(crate) async fn response(&mut self) -> Result<Option<StreamingPullResponse>, Status> {
        timeout(TIMEOUT, self.responses.message()).await.expect("a response in time")
    }

    pub(crate) async fn take(&mut self, count: usize) -> Vec<ReceivedMessage> {
        let mut messages = Vec::new();
        while messages.len() < count {
            messages.extend(self.next().await.expect("the stream is open").unwrap());
        }
        assert_eq!(messages.len(), count);
        messages
    }

    /// Closes the request side of the stream.
    pub(crate) fn close(self) -> Streaming<StreamingPullResponse> {
        self.responses
    }

    pub(crate) fn send(&self, request: StreamingPullRequest) {
        self.requests.send(request).unwrap();
    }
}

pub(crate) fn payloads(messages: &[ReceivedMessage]) -> Vec<String> {
    let data = messages.iter().map(|received| received.message.as_ref().unwrap().data.clone());
    data.map(|data| String::from_utf8(data.into()).unwrap()).collect()
}

pub(crate) fn ack_ids(messages: &[ReceivedMessage]) -> Vec<String> {
    messages.iter().map(|received| received.ack_id.clone()).collect()
}
