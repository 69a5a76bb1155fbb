//! The destination of events: the simulated Pub/Sub or Google's emulator.

use bytes::Bytes;
use google_cloud_googleapis::pubsub::v1::{
    PublishRequest, PubsubMessage, Subscription, Topic, publisher_client::PublisherClient,
    subscriber_client::SubscriberClient,
};
use tonic::{Code, Status, transport::Channel};

use super::pubsub::PubSub;

/// The maximum number of messages in a publish request.
const BATCH: usize = 1000;

pub(super) enum Backend {
    Own(Box<PubSub>),
    Emulator(Channel),
}

impl Backend {
    /// Connects to an emulator lazily: an unreachable address fails on the first call.
    pub(super) fn emulator(host: &str) -> Result<Self, Status> {
        let channel = Channel::from_shared(format!("http://{host}"))
            .map_err(|error| Status::invalid_argument(format!("{host} is not a valid host: {error}")))?
            .connect_lazy();
        Ok(Self::Emulator(channel))
    }

    pub(super) const fn own(&self) -> Option<&PubSub> {
        match self {
            Self::Own(pubsub) => Some(pubsub),
            Self::Emulator(_) => None,
        }
    }

    /// Creates a topic and a subscription. In an emulator they may exist already.
    pub(super) async fn create(&self, topic: String, subscription: String) -> Result<(), Status> {
        let definition = Topic { name: topic.clone(), ..Topic::default() };
        let subscribed = Subscription { name: subscription, topic, ..Subscription::default() };
        match self {
            Self::Own(pubsub) => {
                pubsub.create_topic(&definition.name)?;
                pubsub.define_subscription(subscribed)
            }
            Self::Emulator(channel) => {
                let created = PublisherClient::new(channel.clone()).create_topic(definition).await;
                created.map(drop).or_else(unless_it_exists)?;
                let created = SubscriberClient::new(channel.clone()).create_subscription(subscribed).await;
                created.map(drop).or_else(unless_it_exists)
            }
        }
    }

    pub(super) async fn publish(&self, topic: &str, payloads: Vec<Bytes>) -> Result<(), Status> {
        match self {
            Self::Own(pubsub) => pubsub.publish(topic, payloads).map(drop),
            Self::Emulator(channel) => {
                let mut publisher = PublisherClient::new(channel.clone());
                for batch in payloads.chunks(BATCH) {
                    let messages = batch
                        .iter()
                        .map(|data| PubsubMessage { data: data.clone(), ..PubsubMessage::default() })
                        .collect();
                    let request = PublishRequest { topic: topic.to_owned(), messages };
                    publisher.publish(request).await?;
                }
                Ok(())
            }
        }
    }
}

fn unless_it_exists(status: Status) -> Result<(), Status> {
    if status.code() == Code::AlreadyExists { Ok(()) } else { Err(status) }
}
