//! A running Pub/Sub server and how to get one.

use std::{
    collections::HashMap,
    future::pending,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use bytes::Bytes;
use google_cloud_googleapis::pubsub::v1::{self, PubsubMessage};
use tokio::time::Instant;
use tonic::Status;

use super::{
    broker::{Broker, Subscription},
    counts::Counts,
    faults::Faults,
    server::Grpc,
};
use crate::{google::error::StartError, server::Server};

/// A Pub/Sub server that listens. It stops when it is dropped.
///
/// Topics and subscriptions have their names in full: `projects/P/topics/T`, `projects/P/subscriptions/S`.
/// Counts of a subscription that does not exist are zero, and waiting for something of it is waiting for it to
/// be created.
pub struct PubSub {
    broker: Arc<Broker>,
    server: Server<Grpc>,
}

/// What a [`PubSub`] is to be; every setting has a default.
#[derive(Clone, Debug)]
pub struct Builder {
    listen: SocketAddr,
    seed: u64,
    faults: Faults,
}

/// A message to be published.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Message {
    /// The payload.
    pub data: Bytes,
    /// The attributes.
    pub attributes: HashMap<String, String>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            seed: 1,
            faults: Faults::default(),
        }
    }
}

impl Builder {
    /// Where to listen; by default on a free port of 127.0.0.1.
    #[must_use]
    pub fn listen(mut self, address: impl Into<SocketAddr>) -> Self {
        self.listen = address.into();
        self
    }

    /// What decides on chance, where [`Faults`] leave something to it.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// What goes wrong at first.
    #[must_use]
    pub fn faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// Listens.
    ///
    /// # Errors
    ///
    /// If the address cannot be listened on.
    pub async fn start(self) -> Result<PubSub, StartError> {
        let broker = Arc::new(Broker::new(self.seed));
        broker.set_faults(self.faults);
        let server = Server::start(self.listen, None, Arc::new(Grpc::new(&broker))).await?;
        Ok(PubSub { broker, server })
    }
}

impl PubSub {
    /// Starts with the defaults: no topics, no faults, on a free port of 127.0.0.1.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The endpoint to configure: `http://127.0.0.1:8085`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.server.reachable())
    }

    /// The value of `PUBSUB_EMULATOR_HOST`: `127.0.0.1:8085`.
    #[must_use]
    pub fn host(&self) -> String {
        self.server.reachable().to_string()
    }

    /// Refuses those who do not name this token with `UNAUTHENTICATED`, for good.
    pub fn require_token(&self, token: &str) {
        self.server.handler().bearer.require(token);
    }

    /// Creates a topic.
    ///
    /// # Errors
    ///
    /// `ALREADY_EXISTS`, or `INVALID_ARGUMENT` for a bad name.
    pub fn create_topic(&self, topic: &str) -> Result<(), Status> {
        self.broker.create_topic(v1::Topic { name: topic.to_owned(), ..v1::Topic::default() }).map(drop)
    }

    /// Creates a subscription of a topic with the default settings.
    ///
    /// # Errors
    ///
    /// `ALREADY_EXISTS`, `NOT_FOUND` if there is no such topic, or `INVALID_ARGUMENT` for a bad name.
    pub fn create_subscription(&self, subscription: &str, topic: &str) -> Result<(), Status> {
        self.define_subscription(v1::Subscription {
            name: subscription.to_owned(),
            topic: topic.to_owned(),
            ..v1::Subscription::default()
        })
    }

    /// Creates a subscription with settings: the lease, exactly-once delivery, a retry policy, dead letters.
    ///
    /// # Errors
    ///
    /// As for [`create_subscription`](Self::create_subscription), and `UNIMPLEMENTED` for settings that this
    /// server does not know.
    pub fn define_subscription(&self, subscription: v1::Subscription) -> Result<(), Status> {
        self.broker.create_subscription(subscription).map(drop)
    }

    /// Deletes a topic. Its subscriptions keep what they have.
    ///
    /// # Errors
    ///
    /// `NOT_FOUND`.
    pub fn delete_topic(&self, topic: &str) -> Result<(), Status> {
        self.broker.delete_topic(topic)
    }

    /// Deletes a subscription with what it holds; its streams end with `NOT_FOUND`.
    ///
    /// # Errors
    ///
    /// `NOT_FOUND`.
    pub fn delete_subscription(&self, subscription: &str) -> Result<(), Status> {
        self.broker.delete_subscription(subscription)
    }

    /// Publishes messages, any number of them, and yields their ids.
    ///
    /// # Errors
    ///
    /// `NOT_FOUND` if there is no such topic.
    pub fn publish<M: Into<Message>>(
        &self,
        topic: &str,
        messages: impl IntoIterator<Item = M>,
    ) -> Result<Vec<String>, Status> {
        let messages = messages.into_iter().map(|message| {
            let Message { data, attributes } = message.into();
            PubsubMessage { data, attributes, ..PubsubMessage::default() }
        });
        self.broker.publish(topic, messages)
    }

    /// What has become of a subscription's messages.
    #[must_use]
    pub fn counts(&self, subscription: &str) -> Counts {
        self.find(subscription).map(|subscription| self.broker.counts(&subscription).0).unwrap_or_default()
    }

    /// How many messages are still to be acknowledged.
    #[must_use]
    pub fn unacked(&self, subscription: &str) -> u64 {
        self.counts(subscription).unacked
    }

    /// How many deliveries somebody holds a lease for.
    #[must_use]
    pub fn outstanding(&self, subscription: &str) -> u64 {
        self.counts(subscription).outstanding
    }

    /// How many messages have been acknowledged.
    #[must_use]
    pub fn acked(&self, subscription: &str) -> u64 {
        self.counts(subscription).acked
    }

    /// Waits until the counts are as they should be, and yields them.
    pub async fn wait_until(&self, subscription: &str, condition: impl Fn(&Counts) -> bool) -> Counts {
        loop {
            let created = self.broker.changed.notified();
            let Some(found) = self.find(subscription) else {
                created.await;
                continue;
            };
            let changed = found.changed.notified();
            let (counts, due) = self.broker.counts(&found);
            if condition(&counts) {
                return counts;
            }
            tokio::select! {
                // A subscription of the same name may take the place of one that was deleted.
                () = created => {}
                () = changed => {}
                () = until(due) => {}
            }
        }
    }

    /// Waits until `count` messages have been acknowledged since the subscription was created.
    pub async fn wait_until_acked(&self, subscription: &str, count: u64) {
        self.wait_until(subscription, |counts| counts.acked >= count).await;
    }

    /// Waits until every message is acknowledged.
    pub async fn wait_until_drained(&self, subscription: &str) {
        self.wait_until(subscription, |counts| counts.unacked == 0).await;
    }

    /// Lets everything go wrong in this way from now on, except what a subscription has of its own.
    pub fn set_faults(&self, faults: Faults) {
        self.broker.set_faults(faults);
    }

    /// The faults of the server as a whole.
    #[must_use]
    pub fn faults(&self) -> Faults {
        (*self.broker.faults()).clone()
    }

    /// Gives a subscription faults of its own in the place of the server's. Nothing happens if it does not exist.
    pub fn set_subscription_faults(&self, subscription: &str, faults: Faults) {
        if let Some(subscription) = self.find(subscription) {
            subscription.set_faults(Some(faults));
        }
    }

    /// Takes back every fault, of the server and of the subscriptions.
    pub fn clear_faults(&self) {
        self.broker.clear_faults();
    }

    /// Ends every open stream of a subscription with `UNAVAILABLE`, once.
    pub fn reset_streams(&self, subscription: &str) {
        if let Some(subscription) = self.find(subscription) {
            self.broker.reset_streams(&subscription);
        }
    }

    /// Ends every open stream with `UNAVAILABLE`, once.
    pub fn reset_all_streams(&self) {
        self.broker.reset_all_streams();
    }

    /// Closes the listener and every connection, so that clients are refused. What is known stays known, and
    /// leases go on.
    pub async fn stop(&self) {
        self.server.stop().await;
    }

    /// Listens again on the same address, after a [`stop`](Self::stop) or instead of one.
    ///
    /// # Errors
    ///
    /// If the address has been taken by somebody else.
    pub async fn restart(&self) -> Result<(), StartError> {
        Ok(self.server.restart().await?)
    }

    fn find(&self, subscription: &str) -> Option<Arc<Subscription>> {
        self.broker.find_subscription(subscription)
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => pending().await,
    }
}

impl From<Bytes> for Message {
    fn from(data: Bytes) -> Self {
        Self { data, attributes: HashMap::new() }
    }
}

impl From<Vec<u8>> for Message {
    fn from(data: Vec<u8>) -> Self {
        Bytes::from(data).into()
    }
}

impl From<String> for Message {
    fn from(data: String) -> Self {
        Bytes::from(data).into()
    }
}

impl From<&'static str> for Message {
    fn from(data: &'static str) -> Self {
        Bytes::from_static(data.as_bytes()).into()
    }
}

impl From<&serde_json::Value> for Message {
    fn from(data: &serde_json::Value) -> Self {
        data.to_string().into()
    }
}

impl From<serde_json::Value> for Message {
    fn from(data: serde_json::Value) -> Self {
        (&data).into()
    }
}

impl<K: Into<String>, V: Into<String>, const N: usize> From<(Bytes, [(K, V); N])> for Message {
    fn from((data, attributes): (Bytes, [(K, V); N])) -> Self {
        let attributes = attributes.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        Self { data, attributes }
    }
}

impl From<(Bytes, HashMap<String, String>)> for Message {
    fn from((data, attributes): (Bytes, HashMap<String, String>)) -> Self {
        Self { data, attributes }
    }
}
