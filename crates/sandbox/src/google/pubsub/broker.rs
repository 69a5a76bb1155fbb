//! Topics and subscriptions by name.

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
    names::{self, Kind, already_exists, not_found},
    queue::Queue,
    refusal::refusal,
    wire,
};

/// What Google puts in the place of a topic that was deleted.
const DELETED_TOPIC: &str = "_deleted-topic_";
/// What a subscription says of itself; nothing is ever forgotten here.
const RETENTION: prost_types::Duration = prost_types::Duration { seconds: 7 * 24 * 60 * 60, nanos: 0 };
/// Everything that the server knows.
pub(super) struct Broker {
    names: RwLock<Names>,
    faults: RwLock<Arc<Faults>>,
    /// Something that is not one subscription's has changed.
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

struct Topic {
    topic: v1::Topic,
    subscriptions: Vec<Arc<Subscription>>,
}

/// A subscription: what it was created as and what it holds.
pub(super) struct Subscription {
    pub(super) name: String,
    /// Something that a stream or an observer may wait for has changed.
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
            // Subscribers remember ids, so a server that starts anew must not issue the same again.
            next_message: AtomicU64::new(u64::try_from(since.as_micros()).unwrap_or(0)),
            next_stream: AtomicU64::new(0),
            seed,
        }
    }

    pub(super) fn next_stream(&self) -> u64 {
        self.next_stream.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn create_topic(&self, topic: v1::Topic) -> Result<v1::Topic, Status> {
        names::check(Kind::Topic, &topic.name)?;
        let mut names = self.names_mut();
        if names.topics.contains_key(&topic.name) {
            return Err(already_exists(Kind::Topic, &topic.name));
        }
        let entry = Topic { topic: topic.clone(), subscriptions: Vec::new() };
        names.topics.insert(topic.name.clone(), entry);
        Ok(topic)
    }

    pub(super) fn delete_topic(&self, name: &str) -> Result<(), Status> {
        names::check(Kind::Topic, name)?;
        let topic = self.names_mut().topics.remove(name).ok_or_else(|| not_found(Kind::Topic, name))?;
        for subscription in topic.subscriptions {
            DELETED_TOPIC.clone_into(&mut lock(&subscription.definition).topic);
        }
        Ok(())
    }

    pub(super) fn create_subscription(
        &self,
        mut definition: v1::Subscription,
    ) -> Result<v1::Subscription, Status> {
        names::check(Kind::Subscription, &definition.name)?;
        names::check(Kind::Topic, &definition.topic)?;
        check_ack_deadline(definition.ack_deadline_seconds)?;
        if let Some(refused) = unsupported(&definition) {
            return Err(Status::unimplemented(format!("the sandbox knows no {refused}")));
        }
        if definition.ack_deadline_seconds == 0 {
            definition.ack_deadline_seconds = *ACK_DEADLINE.start();
        }
        definition.message_retention_duration.get_or_insert(RETENTION);
        definition.state = v1::subscription::State::Active.into();
        let mut names = self.names_mut();
        let Names { topics, subscriptions } = &mut *names;
        let topic =
            topics.get_mut(&definition.topic).ok_or_else(|| not_found(Kind::Topic, &definition.topic))?;
        if subscriptions.contains_key(&definition.name) {
            return Err(already_exists(Kind::Subscription, &definition.name));
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
        names::check(Kind::Subscription, name)?;
        self.find_subscription(name).ok_or_else(|| not_found(Kind::Subscription, name))
    }

    /// Like [`subscription`](Self::subscription) for those who do not care why there is none.
    pub(super) fn find_subscription(&self, name: &str) -> Option<Arc<Subscription>> {
        self.names().subscriptions.get(name).cloned()
    }

    pub(super) fn delete_subscription(&self, name: &str) -> Result<(), Status> {
        names::check(Kind::Subscription, name)?;
        let mut names = self.names_mut();
        let subscription =
            names.subscriptions.remove(name).ok_or_else(|| not_found(Kind::Subscription, name))?;
        for topic in names.topics.values_mut() {
            topic.subscriptions.retain(|other| other.name != name);
        }
        drop(names);
        lock(&subscription.queue).delete();
        subscription.changed.notify_waiters();
        Ok(())
    }

    /// Gives messages their ids and hands them to the topic's subscriptions.
    pub(super) fn publish(
        &self,
        topic: &str,
        messages: impl IntoIterator<Item = PubsubMessage>,
    ) -> Result<Vec<String>, Status> {
        names::check(Kind::Topic, topic)?;
        let subscriptions = {
            let names = self.names();
            let entry = names.topics.get(topic).ok_or_else(|| not_found(Kind::Topic, topic))?;
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

    /// Does something with what a subscription holds, and wakes whoever waits for a change of it.
    pub(super) fn change<T>(&self, subscription: &Subscription, change: impl FnOnce(&mut Queue) -> T) -> T {
        let result = change(&mut lock(&subscription.queue));
        subscription.changed.notify_waiters();
        result
    }

    /// The same for something that may well change nothing. It wakes others only if it did, or two who look
    /// for something to do would keep each other awake.
    pub(super) fn look<T>(&self, subscription: &Subscription, look: impl FnOnce(&mut Queue) -> T) -> T {
        let (result, has_changed) = {
            let mut queue = lock(&subscription.queue);
            let before = queue.counts();
            let result = look(&mut queue);
            (result, queue.counts() != before)
        };
        if has_changed {
            subscription.changed.notify_waiters();
        }
        result
    }

    /// What has become of a subscription's messages, and when something will become of them by itself.
    pub(super) fn counts(&self, subscription: &Subscription) -> (Counts, Option<Instant>) {
        self.look(subscription, |queue| {
            queue.tick(Instant::now());
            (queue.counts(), queue.next_deadline())
        })
    }

    pub(super) fn set_faults(&self, faults: Faults) {
        *self.faults.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(faults);
        self.wake_all();
    }

    /// The faults of the server as a whole.
    pub(super) fn faults(&self) -> Arc<Faults> {
        Arc::clone(&self.faults.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The faults of a subscription: its own, or else the server's.
    pub(super) fn faults_of(&self, subscription: &Subscription) -> Arc<Faults> {
        let own = subscription.faults.read().unwrap_or_else(PoisonError::into_inner).clone();
        own.unwrap_or_else(|| self.faults())
    }

    /// Waits for as long as the server is frozen, then says whether it refuses.
    pub(super) async fn admit(&self) -> Result<(), Status> {
        admit(&self.changed, || self.faults()).await.map(drop)
    }

    /// The same for a call that is about one subscription; yields the faults to apply.
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

    /// Replaces the server's faults for this subscription; none gives them back.
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
                Some(code) => Err(refusal(code)),
                None => Ok(faults),
            };
        }
        notified.await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
