//! The topics and subscriptions of the server.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use google_cloud_googleapis::pubsub::v1::{self, PubsubMessage};
use prost::Message as _;
use tokio::{sync::Notify, time::Instant};
use tonic::Status;

use super::{
    counts::Counts,
    faults::Faults,
    limits::{ACK_DEADLINE, check_ack_deadline, unsupported},
    names::{self, ResourceKind, already_exists, not_found},
    queue::Queue,
    rejection::rejection,
    wire,
};

/// Google's placeholder for the name of a deleted topic.
const DELETED_TOPIC: &str = "_deleted-topic_";
/// The reported retention. Messages never expire here.
const RETENTION: prost_types::Duration = prost_types::Duration { seconds: 7 * 24 * 60 * 60, nanos: 0 };
/// The state of the server.
pub(super) struct Broker {
    names: RwLock<Names>,
    faults: RwLock<Arc<Faults>>,
    /// Notifies of changes to the faults of the server and of new subscriptions.
    pub(super) changed: Notify,
    next_message: AtomicU64,
    next_stream: AtomicU64,
    seed: u64,
}

#[derive(Default)]
struct Names {
    topics: BTreeMap<String, Topic>,
    subscriptions: BTreeMap<String, Arc<Subscription>>,
}

#[derive(Default)]
struct Topic {
    subscriptions: Vec<Arc<Subscription>>,
}

/// A subscription: its definition and its messages.
pub(super) struct Subscription {
    pub(super) name: String,
    /// Notifies streams and observers of changes to the queue and the faults.
    pub(super) changed: Notify,
    faults: RwLock<Option<Arc<Faults>>>,
    definition: Mutex<v1::Subscription>,
    queue: Mutex<Queue>,
}

impl Broker {
    pub(super) fn new(seed: u64) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            names: RwLock::default(),
            faults: RwLock::default(),
            changed: Notify::new(),
            // Message ids start at the current time, because subscribers remember the ids of a previous
            // server.
            next_message: AtomicU64::new(u64::try_from(since.as_micros()).unwrap_or(0)),
            next_stream: AtomicU64::new(0),
            seed,
        }
    }

    pub(super) fn next_stream(&self) -> u64 {
        self.next_stream.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn create_topic(&self, topic: v1::Topic) -> Result<v1::Topic, Status> {
        names::check(ResourceKind::Topic, &topic.name)?;
        let mut names = self.names_mut();
        if names.topics.contains_key(&topic.name) {
            return Err(already_exists(ResourceKind::Topic, &topic.name));
        }
        names.topics.insert(topic.name.clone(), Topic::default());
        Ok(topic)
    }

    pub(super) fn delete_topic(&self, name: &str) -> Result<(), Status> {
        names::check(ResourceKind::Topic, name)?;
        let topic =
            self.names_mut().topics.remove(name).ok_or_else(|| not_found(ResourceKind::Topic, name))?;
        for subscription in topic.subscriptions {
            DELETED_TOPIC.clone_into(&mut lock(&subscription.definition).topic);
        }
        Ok(())
    }

    pub(super) fn create_subscription(
        &self,
        mut definition: v1::Subscription,
    ) -> Result<v1::Subscription, Status> {
        names::check(ResourceKind::Subscription, &definition.name)?;
        names::check(ResourceKind::Topic, &definition.topic)?;
        check_ack_deadline(definition.ack_deadline_seconds)?;
        if let Some(setting) = unsupported(&definition) {
            return Err(Status::unimplemented(format!("the sandbox does not support {setting}")));
        }
        if definition.ack_deadline_seconds == 0 {
            definition.ack_deadline_seconds = *ACK_DEADLINE.start();
        }
        definition.message_retention_duration.get_or_insert(RETENTION);
        definition.state = v1::subscription::State::Active.into();
        let mut names = self.names_mut();
        let Names { topics, subscriptions } = &mut *names;
        let topic = topics
            .get_mut(&definition.topic)
            .ok_or_else(|| not_found(ResourceKind::Topic, &definition.topic))?;
        if subscriptions.contains_key(&definition.name) {
            return Err(already_exists(ResourceKind::Subscription, &definition.name));
        }
        let mut hasher = DefaultHasher::new();
        (self.seed, &definition.name).hash(&mut hasher);
        let subscription = Arc::new(Subscription {
            name: definition.name.clone(),
            changed: Notify::new(),
            faults: RwLock::default(),
            queue: Mutex::new(Queue::new(&definition, hasher.finish())),
            definition: Mutex::new(definition.clone()),
        });
        topic.subscriptions.push(Arc::clone(&subscription));
        subscriptions.insert(definition.name.clone(), subscription);
        drop(names);
        self.changed.notify_waiters();
        Ok(definition)
    }

    pub(super) fn subscription(&self, name: &str) -> Result<Arc<Subscription>, Status> {
        names::check(ResourceKind::Subscription, name)?;
        self.find_subscription(name).ok_or_else(|| not_found(ResourceKind::Subscription, name))
    }

    /// Returns the subscription, if it exists.
    pub(super) fn find_subscription(&self, name: &str) -> Option<Arc<Subscription>> {
        self.names().subscriptions.get(name).cloned()
    }

    pub(super) fn delete_subscription(&self, name: &str) -> Result<(), Status> {
        names::check(ResourceKind::Subscription, name)?;
        let mut names = self.names_mut();
        let subscription =
            names.subscriptions.remove(name).ok_or_else(|| not_found(ResourceKind::Subscription, name))?;
        for topic in names.topics.values_mut() {
            topic.subscriptions.retain(|other| other.name != name);
        }
        drop(names);
        lock(&subscription.queue).delete();
        subscription.changed.notify_waiters();
        Ok(())
    }

    /// Assigns message ids and adds the messages to the subscriptions of the topic.
    pub(super) fn publish(
        &self,
        topic: &str,
        messages: impl IntoIterator<Item = PubsubMessage>,
    ) -> Result<Vec<String>, Status> {
        names::check(ResourceKind::Topic, topic)?;
        let subscriptions = {
            let names = self.names();
            let entry = names.topics.get(topic).ok_or_else(|| not_found(ResourceKind::Topic, topic))?;
            entry.subscriptions.clone()
        };
        let publish_time = Some(wire::timestamp(SystemTime::now()));
        let (ids, messages): (Vec<String>, Vec<Bytes>) = messages
            .into_iter()
            .map(|mut message| {
                message.message_id = self.next_message.fetch_add(1, Ordering::Relaxed).to_string();
                message.publish_time = publish_time;
                let encoded = Bytes::from(message.encode_to_vec());
                (message.message_id, encoded)
            })
            .unzip();
        for subscription in subscriptions {
            lock(&subscription.queue).publish(&messages);
            subscription.changed.notify_waiters();
        }
        Ok(ids)
    }

    /// Changes the queue of a subscription and notifies its observers.
    pub(super) fn change<T>(&self, subscription: &Subscription, change: impl FnOnce(&mut Queue) -> T) -> T {
        let result = change(&mut lock(&subscription.queue));
        subscription.changed.notify_waiters();
        result
    }

    /// Like [`change`](Self::change), but notifies observers only if the counts changed. Otherwise two idle
    /// observers would wake each other forever.
    pub(super) fn update<T>(&self, subscription: &Subscription, update: impl FnOnce(&mut Queue) -> T) -> T {
        let (result, has_changed) = {
            let mut queue = lock(&subscription.queue);
            let before = queue.counts();
            let result = update(&mut queue);
            (result, queue.counts() != before)
        };
        if has_changed {
            subscription.changed.notify_waiters();
        }
        result
    }

    /// Returns the counts of a subscription, and the time of the next lease expiry.
    pub(super) fn counts(&self, subscription: &Subscription) -> (Counts, Option<Instant>) {
        self.update(subscription, |queue| {
            queue.tick(Instant::now());
            (queue.counts(), queue.next_deadline())
        })
    }

    pub(super) fn set_faults(&self, faults: Faults) {
        *self.faults.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(faults);
        self.wake_all();
    }

    /// Returns the faults of the server.
    pub(super) fn faults(&self) -> Arc<Faults> {
        Arc::clone(&self.faults.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns the faults of a subscription; by default those of the server.
    pub(super) fn faults_of(&self, subscription: &Subscription) -> Arc<Faults> {
        let own = subscription.faults.read().unwrap_or_else(PoisonError::into_inner).clone();
        own.unwrap_or_else(|| self.faults())
    }

    /// Waits while the server is frozen. Returns an error if it rejects all calls.
    pub(super) async fn admit(&self) -> Result<(), Status> {
        admit(&self.changed, || self.faults()).await.map(drop)
    }

    /// Like [`admit`](Self::admit) for a call on one subscription. Returns the active faults.
    pub(super) async fn admit_to(&self, subscription: &Subscription) -> Result<Arc<Faults>, Status> {
        admit(&subscription.changed, || self.faults_of(subscription)).await
    }

    pub(super) fn clear_faults(&self) {
        for subscription in self.all_subscriptions() {
            subscription.set_faults(None);
        }
        self.set_faults(Faults::default());
    }

    pub(super) fn reset_streams(&self, subscription: &Subscription) {
        self.change(subscription, Queue::reset_streams);
    }

    pub(super) fn reset_all_streams(&self) {
        for subscription in self.all_subscriptions() {
            self.reset_streams(&subscription);
        }
    }

    fn all_subscriptions(&self) -> Vec<Arc<Subscription>> {
        self.names().subscriptions.values().cloned().collect()
    }

    fn wake_all(&self) {
        self.changed.notify_waiters();
        for subscription in self.names().subscriptions.values() {
            subscription.changed.notify_waiters();
        }
    }

    fn names(&self) -> RwLockReadGuard<'_, Names> {
        self.names.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn names_mut(&self) -> RwLockWriteGuard<'_, Names> {
        self.names.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscription {
    pub(super) fn definition(&self) -> v1::Subscription {
        lock(&self.definition).clone()
    }

    /// Sets the faults of this subscription; `None` restores the faults of the server.
    pub(super) fn set_faults(&self, faults: Option<Faults>) {
        *self.faults.write().unwrap_or_else(PoisonError::into_inner) = faults.map(Arc::new);
        self.changed.notify_waiters();
    }
}

async fn admit(changed: &Notify, faults: impl Fn() -> Arc<Faults>) -> Result<Arc<Faults>, Status> {
    loop {
        let notified = changed.notified();
        let faults = faults();
        if !faults.freeze {
            return match faults.refuse {
                Some(code) => Err(rejection(code)),
                None => Ok(faults),
            };
        }
        notified.await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
