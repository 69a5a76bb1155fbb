//! The public handle of a running Pub/Sub server.

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

/// A running Pub/Sub server. Dropping it stops the server.
///
/// Topics and subscriptions have full names: `projects/P/topics/T`, `projects/P/subscriptions/S`. The counts
/// of an unknown subscription are zero, and methods that wait for a subscription also wait for its creation.
pub struct PubSub {
    broker: Arc<Broker>,
    server: Server<Grpc>,
}

/// Settings of a [`PubSub`]. All have defaults.
#[derive(Clone, Debug)]
pub struct Builder {
    listen: SocketAddr,
    seed: u64,
    faults: Faults,
}

/// A message to publish.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Message {
    /// The payload.
    pub data: Bytes,
    /// The attributes.
    pub attributes: HashMap<String, String>,
}

impl Default for Builder {
    fn default() -> Self {
        Self { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), seed: 1, faults: Faults::default() }
    }
}

impl Builder {
    /// Sets the listen address. The default is a free port of 127.0.0.1.
    #[must_use]
    pub fn listen(mut self, address: impl Into<SocketAddr>) -> Self {
        self.listen = address.into();
        self
    }

    /// Sets the seed of the random numbers of [`Faults`].
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets the initial faults.
    #[must_use]
    pub fn faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// Starts the server.
    ///
    /// # Errors
    ///
    /// Returns an error if the server cannot listen on the address.
    pub async fn start(self) -> Result<PubSub, StartError> {
        let broker = Arc::new(Broker::new(self.seed));
        broker.set_faults(self.faults);
        let server = Server::start(self.listen, None, Arc::new(Grpc::new(&broker))).await?;
        Ok(PubSub { broker, server })
    }
}

impl PubSub {
    /// Returns a builder with the defaults: no topics, no faults, a free port of 127.0.0.1.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Returns the listen address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Returns the endpoint to configure: `http://127.0.0.1:8085`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.server.reachable())
    }

    /// Returns the value for `PUBSUB_EMULATOR_HOST`: `127.0.0.1:8085`.
    #[must_use]
    pub fn host(&self) -> String {
        self.server.reachable().to_string()
    }

    /// Rejects calls without this bearer token with `UNAUTHENTICATED` from now on. The token cannot be
    /// changed.
    pub fn require_token(&self, token: &str) {
        self.server.handler().bearer.require(token);
    }

    /// Creates a topic.
    ///
    /// # Errors
    ///
    /// Returns `ALREADY_EXISTS`, or `INVALID_ARGUMENT` for an invalid name.
    pub fn create_topic(&self, topic: &str) -> Result<(), Status> {
        self.broker.create_topic(v1::Topic { name: topic.to_owned(), ..v1::Topic::default() }).map(drop)
    }

    /// Creates a subscription with the default settings.
    ///
    /// # Errors
    ///
    /// Returns `ALREADY_EXISTS`, `NOT_FOUND` if the topic does not exist, or `INVALID_ARGUMENT` for an
    /// invalid name.
    pub fn create_subscription(&self, subscription: &str, topic: &str) -> Result<(), Status> {
        self.define_subscription(v1::Subscription {
            name: subscription.to_owned(),
            topic: topic.to_owned(),
            ..v1::Subscription::default()
        })
    }

    /// Creates a subscription with settings: the lease, exactly-once delivery, the maximum number of delivery
    /// attempts.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`create_subscription`](Self::create_subscription), and `UNIMPLEMENTED` for
    /// settings that are not simulated.
    pub fn define_subscription(&self, subscription: v1::Subscription) -> Result<(), Status> {
        self.broker.create_subscription(subscription).map(drop)
    }

    /// Deletes a topic. Its subscriptions keep their messages.
    ///
    /// # Errors
    ///
    /// Returns `NOT_FOUND`.
    pub fn delete_topic(&self, topic: &str) -> Result<(), Status> {
        self.broker.delete_topic(topic)
    }

    /// Deletes a subscription and its messages, and closes its streams with `NOT_FOUND`.
    ///
    /// # Errors
    ///
    /// Returns `NOT_FOUND`.
    pub fn delete_subscription(&self, subscription: &str) -> Result<(), Status> {
        self.broker.delete_subscription(subscription)
    }

    /// Publishes any number of messages and returns their ids.
    ///
    /// # Errors
    ///
    /// Returns `NOT_FOUND` if the topic does not exist.
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

    /// Returns the counts of a subscription.
    #[must_use]
    pub fn counts(&self, subscription: &str) -> Counts {
        self.find(subscription).map(|subscription| self.broker.counts(&subscription).0).unwrap_or_default()
    }

    /// Returns the number of unacknowledged messages.
    #[must_use]
    pub fn unacked(&self, subscription: &str) -> u64 {
        self.counts(subscription).unacked
    }

    /// Returns the number of deliveries with an active lease.
    #[must_use]
    pub fn outstanding(&self, subscription: &str) -> u64 {
        self.counts(subscription).outstanding
    }

    /// Returns the number of acknowledged messages.
    #[must_use]
    pub fn acked(&self, subscription: &str) -> u64 {
        self.counts(subscription).acked
    }

    /// Waits until the counts meet a condition, and returns them.
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
                // The subscription may have been deleted and created again.
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

    /// Waits until all messages are acknowledged.
    pub async fn wait_until_drained(&self, subscription: &str) {
        self.wait_until(subscription, |counts| counts.unacked == 0).await;
    }

    /// Sets the faults of the server. Faults of a subscription take precedence.
    pub fn set_faults(&self, faults: Faults) {
        self.broker.set_faults(faults);
    }

    /// Returns the faults of the server.
    #[must_use]
    pub fn faults(&self) -> Faults {
        (*self.broker.faults()).clone()
    }

    /// Sets the faults of a subscription, which replace those of the server. Unknown subscriptions are
    /// ignored.
    pub fn set_subscription_faults(&self, subscription: &str, faults: Faults) {
        if let Some(subscription) = self.find(subscription) {
            subscription.set_faults(Some(faults));
        }
    }

    /// Removes all faults of the server and of the subscriptions.
    pub fn clear_faults(&self) {
        self.broker.clear_faults();
    }

    /// Closes all open streams of a subscription with `UNAVAILABLE`, once.
    pub fn reset_streams(&self, subscription: &str) {
        if let Some(subscription) = self.find(subscription) {
            self.broker.reset_streams(&subscription);
        }
    }

    /// Closes all open streams with `UNAVAILABLE`, once.
    pub fn reset_all_streams(&self) {
        self.broker.reset_all_streams();
    }

    /// Closes the listener and all connections. Connections are refused until a restart; messages are kept
    /// and leases continue.
    pub async fn stop(&self) {
        self.server.stop().await;
    }

    /// Listens again on the same address, after [`stop`](Self::stop) or without it.
    ///
    /// # Errors
    ///
    /// Returns an error if another process uses the address.
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
