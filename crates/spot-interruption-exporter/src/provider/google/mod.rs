//! Google Cloud: messages from Pub/Sub, instances and operations from the Compute API.

pub mod audit_log;
pub(crate) mod compute;
pub mod config;
pub(crate) mod credentials;
mod discovery;
mod instance_page;
mod instances;
mod names;
mod operation_page;
mod operations;
mod page;
mod probe;
pub(crate) mod pubsub;
pub mod resource;
mod rest;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use exporter_common::readiness::Readiness;
use exporter_common::supervisor::{Supervised, Supervisor};
use jiff::Timestamp;
use tokio::sync::{OnceCell, mpsc, watch};
use tokio_util::sync::CancellationToken;

use self::audit_log::InterruptionMethods;
use self::compute::Compute;
use self::config::{GoogleConfig, OperationsMode, Subscriptions};
use self::credentials::SharedCredentials;
use self::discovery::{Discovery, Search};
use self::instances::{Conditions, InstanceListings};
use self::names::ProjectNumbers;
use self::operations::OperationsListings;
use self::pubsub::{Flush, Subscription};
use super::Token;
use crate::attribution::Lookup;
use crate::event::{Entry, Invalid};
use crate::instance::Instance;
use crate::inventory::Scope;
use crate::metrics::OwnMetrics;
use crate::source::{Decode, Input, InstanceLookup, LookupError, Queue};

/// Identifies this provider in sums over providers.
const NAME: &str = "google";

/// The configured Google Cloud provider: decodes log entries, looks up instances, and starts the tasks that feed the
/// pipeline.
#[derive(Debug, Clone)]
pub(crate) struct Google {
    methods: InterruptionMethods,
    compute: Compute,
    numbers: ProjectNumbers,
    access: SharedCredentials,
    metrics: OwnMetrics,
}

/// Dependencies of the tasks that feed the pipeline.
pub(crate) struct Feed<'a> {
    pub(crate) supervisor: &'a mut Supervisor,
    pub(crate) readiness: &'a Readiness,
    pub(crate) inputs: mpsc::Sender<Input<Token>>,
    /// For each project, the time up to which its operations are processed.
    pub(crate) cursors: BTreeMap<Scope, Timestamp>,
    /// Projects that events name and that are in no scope.
    pub(crate) unlisted: mpsc::UnboundedReceiver<Scope>,
    pub(crate) stop: CancellationToken,
    /// How long messages can be held.
    pub(crate) grace: Duration,
}

/// The tasks that feed the pipeline.
#[derive(Debug)]
pub(crate) struct Feeding {
    consumers: Vec<Supervised<Flush>>,
    listings: Vec<Supervised<()>>,
}

impl Google {
    /// Creates the provider. It connects on the first request.
    pub(crate) fn new(config: &GoogleConfig, metrics: OwnMetrics) -> Self {
        let access = SharedCredentials::default();
        let endpoint = config.compute_endpoint.clone();
        let credentials = access.to(endpoint.as_ref());
        let is_only = config.projects.len() == 1 && config.discover.is_empty();
        let only_project = is_only.then(|| config.project.clone());
        let compute = Compute::new(endpoint, credentials, only_project, metrics.clone());
        let numbers = ProjectNumbers::default();
        Self { methods: config.methods.clone(), compute, numbers, access, metrics }
    }

    /// Starts to consume the subscriptions and to list instances and operations.
    pub(crate) fn start(&self, config: &GoogleConfig, feed: Feed<'_>) -> Feeding {
        let Feed { supervisor, readiness, inputs, unlisted, cursors, stop, grace } = feed;
        let labels = config.subscription_labels();
        let names = config.subscriptions.iter().flat_map(|Subscriptions { creations, interruptions }| {
            [
                (Queue::Creations, creations, "creation_subscription"),
                (Queue::Interruptions, interruptions, "interruption_subscription"),
            ]
        });
        let consumers = names.zip(labels).map(|((queue, name, condition), label)| {
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
        let consumers = consumers.collect();
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
        let (listed, scopes) = watch::channel(BTreeSet::new());
        let operations_inputs = inputs.clone();
        let conditions = Conditions {
            listed: readiness
                .condition("compute", "Compute API: the first listing of all instances is not complete yet"),
            whole: readiness.optional_condition("scopes"),
            discovery: discovery.is_some().then(|| readiness.optional_condition("discovery")),
        };
        let instances = InstanceListings {
            compute: self.compute.clone(),
            interval: config.resync_interval,
            configured: config.projects.clone(),
            discovery,
            conditions,
            metrics: self.metrics.clone(),
            inputs,
            listed,
            unlisted,
        };
        let mut listings = vec![supervisor.spawn("instances", instances.run())];
        if config.operations != OperationsMode::Off {
            let condition = match config.operations {
                OperationsMode::Source => readiness.condition(
                    "operations",
                    "Compute API: the first listing of operations is not complete yet",
                ),
                _ => readiness.optional_condition("reconcile"),
            };
            let operations = OperationsListings {
                compute: self.compute.clone(),
                methods: self.methods.clone(),
                mode: config.operations,
                interval: config.operations_interval,
                cursors,
                condition,
                metrics: self.metrics.clone(),
                inputs: operations_inputs,
                scopes,
            };
            listings.push(supervisor.spawn("operations", operations.run()));
        }
        Feeding { consumers, listings }
    }
}

impl Feeding {
    /// Stops the listings, waits until the consumers have stopped, and returns the pending acknowledgements.
    pub(crate) async fn stopped(self) -> Vec<Flush> {
        for listing in self.listings {
            listing.abort();
        }
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

impl InstanceLookup for Google {
    async fn lookup(&self, lookup: &Lookup) -> Result<Option<Instance<'static>>, LookupError> {
        let found = self.compute.lookup(lookup).await;
        found.map_err(|error| LookupError {
            reason: format!("Compute API, looking instances up: {}", error.reason),
            ..error
        })
    }
}
