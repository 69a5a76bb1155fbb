//! Google Cloud: messages from Pub/Sub, instances from the Compute API.

pub mod audit_log;
pub(crate) mod compute;
pub mod config;
pub(crate) mod credentials;
mod discovery;
mod listing;
mod names;
mod probe;
pub(crate) mod pubsub;
pub mod resource;
mod rest;
mod resync;

use std::time::Duration;

use exporter_common::readiness::Readiness;
use exporter_common::supervisor::{Supervised, Supervisor};
use tokio::sync::{OnceCell, mpsc};
use tokio_util::sync::CancellationToken;

use self::audit_log::InterruptionMethods;
use self::compute::Compute;
use self::config::GoogleConfig;
use self::credentials::Access;
use self::discovery::{Discovery, Search};
use self::names::ProjectNumbers;
use self::pubsub::{Flush, Subscription};
use self::resync::{Conditions, Resync};
use super::Token;
use crate::attribution::Lookup;
use crate::event::{Entry, Invalid};
use crate::instance::Instance;
use crate::inventory::Scope;
use crate::metrics::OwnMetrics;
use crate::source::{Decode, Input, LookUp, LookUpError, Queue};

/// Google Cloud as it is configured: reads log entries, looks instances up in the Compute API, and starts what feeds the
/// pipeline.
#[derive(Debug, Clone)]
pub(crate) struct Google {
    methods: InterruptionMethods,
    compute: Compute,
    numbers: ProjectNumbers,
    access: Access,
    metrics: OwnMetrics,
}

/// What the tasks that feed the pipeline need.
pub(crate) struct Feed<'a> {
    pub(crate) supervisor: &'a mut Supervisor,
    pub(crate) readiness: &'a Readiness,
    pub(crate) inputs: mpsc::Sender<Input<Token>>,
    /// Projects that events are about and that are not listed.
    pub(crate) unlisted: mpsc::UnboundedReceiver<Scope>,
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
        let is_only = config.projects.len() == 1 && config.discover.is_empty();
        let only_project = is_only.then(|| config.project.clone());
        let compute = Compute::new(endpoint, credentials, only_project, metrics.clone());
        let numbers = ProjectNumbers::default();
        Self { methods: config.methods.clone(), compute, numbers, access, metrics }
    }

    /// Starts to consume the subscriptions and to list instances.
    pub(crate) fn start(&self, config: &GoogleConfig, feed: Feed<'_>) -> Feeding {
        let Feed { supervisor, readiness, inputs, unlisted, stop, grace } = feed;
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
        let discovery = (!config.discover.is_empty()).then(|| {
            Discovery::new(Search {
                parents: config.discover.clone(),
                query: config.discover_query.clone(),
                endpoint: config.asset_endpoint.clone(),
                credentials: self.access.to(config.asset_endpoint.as_ref()),
                client: OnceCell::new(),
                numbers: self.numbers.clone(),
            })
        });
        let conditions = Conditions {
            listed: readiness
                .condition("compute", "Compute API: the first listing of all instances is not complete yet"),
            whole: readiness.optional_condition("scopes"),
            discovery: discovery.is_some().then(|| readiness.optional_condition("discovery")),
        };
        let resync = Resync {
            compute: self.compute.clone(),
            interval: config.resync_interval,
            configured: config.projects.clone(),
            discovery,
            conditions,
            metrics: self.metrics.clone(),
            inputs,
            unlisted,
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
        audit_log::parse_with(message, &self.methods, &self.numbers)
    }
}

impl LookUp for Google {
    async fn look_up(&self, lookup: &Lookup) -> Result<Option<Instance<'static>>, LookUpError> {
        self.compute.look_up(lookup).await
    }
}
