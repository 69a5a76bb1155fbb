//! Google Cloud: messages from Pub/Sub, instances from the Compute API.

pub mod audit_log;
pub(crate) mod compute;
pub mod config;
pub(crate) mod credentials;
mod listing;
mod names;
mod probe;
pub(crate) mod pubsub;
pub mod resource;
mod rest;

use std::time::Duration;

use exporter_common::readiness::Readiness;
use exporter_common::supervisor::{Supervised, Supervisor};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::audit_log::InterruptionMethods;
use self::compute::{Compute, Resync};
use self::config::GoogleConfig;
use self::credentials::Access;
use self::pubsub::{Flush, Subscription};
use super::Token;
use crate::attribution::Lookup;
use crate::event::{Entry, Invalid};
use crate::instance::Instance;
use crate::metrics::OwnMetrics;
use crate::source::{Decode, Input, LookUp, LookUpError, Queue};

/// Google Cloud as it is configured: reads log entries, looks instances up in the Compute API, and starts what feeds the
/// pipeline.
#[derive(Debug, Clone)]
pub(crate) struct Google {
    methods: InterruptionMethods,
    compute: Compute,
    access: Access,
    metrics: OwnMetrics,
}

/// What the tasks that feed the pipeline need.
pub(crate) struct Feed<'a> {
    pub(crate) supervisor: &'a mut Supervisor,
    pub(crate) readiness: &'a Readiness,
    pub(crate) inputs: mpsc::Sender<Input<Token>>,
    pub(crate) stop: CancellationToken,
    /// How long messages may be held.
    pub(crate) grace: Duration,
}

/// The tasks that feed the pipeline.
#[derive(Debug)]
pub(crate) struct Feeding {
    consumers: [Supervised<Flush>; 2],
    resync: Supervised<()>,
}

impl Google {
    /// Nothing is connected yet.
    pub(crate) fn new(config: &GoogleConfig, metrics: OwnMetrics) -> Self {
        let access = Access::default();
        let endpoint = config.compute_endpoint.clone();
        let credentials = access.to(endpoint.as_ref());
        let compute = Compute::new(endpoint, credentials, config.project.clone(), metrics.clone());
        Self { methods: config.methods.clone(), compute, access, metrics }
    }

    /// Starts to consume the subscriptions and to list instances.
    pub(crate) fn start(&self, config: &GoogleConfig, feed: Feed<'_>) -> Feeding {
        let Feed { supervisor, readiness, inputs, stop, grace } = feed;
        let [creations, interruptions] = config.subscription_labels();
        let queues = [
            (Queue::Creations, &config.creations, creations, "creation_subscription"),
            (Queue::Interruptions, &config.interruptions, interruptions, "interruption_subscription"),
        ];
        let consumers = queues.map(|(queue, name, label, condition)| {
            let reason = format!("Pub/Sub subscription {}: not open yet", name.full());
            let subscription = Subscription {
                queue,
                name: name.clone(),
                label: label.to_owned(),
                grace,
                endpoint: config.pubsub_endpoint.clone(),
                credentials: self.access.to(config.pubsub_endpoint.as_ref()),
                condition: readiness.condition(condition, reason),
                metrics: self.metrics.clone(),
                inputs: inputs.clone(),
            };
            supervisor.spawn(format!("subscription {}", name.short()), subscription.consume(stop.clone()))
        });
        let resync = Resync {
            compute: self.compute.clone(),
            interval: config.resync_interval,
            condition: readiness
                .condition("compute", "Compute API: the first listing of all instances is not complete yet"),
            metrics: self.metrics.clone(),
            inputs,
        };
        Feeding { consumers, resync: supervisor.spawn("resync", resync.run()) }
    }
}

impl Feeding {
    /// Once the feeding is to stop: waits until nothing is consumed any more, and returns what flushes the
    /// acknowledgements.
    pub(crate) async fn stopped(self) -> Vec<Flush> {
        self.resync.abort();
        let mut flushes = Vec::new();
        for consumer in self.consumers {
            flushes.extend(consumer.output().await);
        }
        flushes
    }
}

impl Decode for Google {
    fn decode<'a>(&self, _: Queue, message: &'a [u8]) -> Result<Entry<'a>, Invalid> {
        audit_log::parse(message, &self.methods)
    }
}

impl LookUp for Google {
    async fn look_up(&self, lookup: &Lookup) -> Result<Option<Instance<'static>>, LookUpError> {
        self.compute.look_up(lookup).await
    }
}
