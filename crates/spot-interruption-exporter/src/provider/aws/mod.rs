//! Amazon Web Services: spot events from SQS, instances from EC2.
//!
//! EventBridge delivers a warning two minutes before an interruption, but not always. An instance that EC2 has taken back
//! without a warning is found in the listing of instances, and counted as unannounced. A change of the instance's state
//! is not counted: it does not tell who ended the instance.

mod api;
mod arn;
mod clock;
pub mod config;
mod credentials;
mod ec2;
pub mod event;
mod instance_id;
pub mod instance_page;
mod listings;
mod lookups;
pub(crate) mod sqs;
pub mod tags;
mod xml;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use exporter_common::readiness::Readiness;
use exporter_common::supervisor::{Supervised, Supervisor};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::api::Api;
use self::config::{AwsConfig, QueueUrl};
use self::credentials::AccountCredentials;
use self::ec2::{Ec2, service_endpoint};
use self::event::AwsReasons;
use self::listings::{InstanceListings, Lister, NOT_LISTED_YET};
use self::lookups::Lookups;
use self::sqs::receipts::Receipts;
use self::sqs::{Consumer, QueueConditions, SqsQueue};
use crate::attribution::Lookup;
use crate::event::{Entry, Event, Invalid};
use crate::instance::{Instance, InstanceRef};
use crate::metrics::OwnMetrics;
use crate::provider::Token;
use crate::provider::endpoint::Endpoint;
use crate::source::{Decode, Input, InstanceLookup, LookupError, Queue};

/// Identifies this provider in sums over providers.
const NAME: &str = "aws";

/// How long interruptions are remembered at least. EC2 lists an instance for up to an hour after its end, and the listing
/// must not count what its warning has counted.
pub(crate) const MEMORY: Duration = Duration::from_secs(75 * 60);

/// Time after the grace during which a held message is still invisible to other consumers.
const EXTRA_VISIBILITY: Duration = Duration::from_secs(60);

/// Maximum visibility timeout of SQS.
const MAX_VISIBILITY: Duration = Duration::from_secs(12 * 60 * 60);

/// The configured provider: decodes events, looks up instances, and starts the tasks that feed the pipeline.
#[derive(Debug, Clone)]
pub(crate) struct Aws {
    reasons: AwsReasons,
    /// By number of the queue: the first queue with that number.
    queues: Arc<[QueueUrl]>,
    lookups: Lookups,
    ec2: Ec2,
    api: Api,
    base: AccountCredentials,
    metrics: OwnMetrics,
}

/// Dependencies of the tasks that feed the pipeline.
pub(crate) struct Feed<'a> {
    pub(crate) supervisor: &'a mut Supervisor,
    pub(crate) readiness: &'a Readiness,
    pub(crate) inputs: mpsc::Sender<Input<Token>>,
    pub(crate) stop: CancellationToken,
    /// How long messages can be held.
    pub(crate) grace: Duration,
    /// Whether counts survive a restart.
    pub(crate) is_durable: bool,
    /// Whether no other provider lists operations.
    pub(crate) reports_operations: bool,
}

/// The tasks that feed the pipeline.
#[derive(Debug)]
pub(crate) struct Feeding {
    consumers: Vec<Supervised<()>>,
    listings: Supervised<()>,
    receipts: Vec<Supervised<()>>,
}

/// The pending deletions at shutdown.
#[derive(Debug)]
pub(crate) struct Flush(Vec<Supervised<()>>);

impl Aws {
    /// Creates the provider. It connects on the first request.
    ///
    /// # Errors
    /// Returns an error if the HTTP client cannot be created.
    pub(crate) fn new(config: &AwsConfig, reasons: AwsReasons, metrics: OwnMetrics) -> Result<Self, String> {
        let api = Api::new()?;
        let region = config.queues.first().map_or("", |queue| &queue.region);
        let base = AccountCredentials::of_environment(config.sts_endpoint.clone(), region);
        let of = |endpoint: Option<&Endpoint>| match endpoint.is_some_and(Endpoint::is_plain) {
            true => AccountCredentials::dummy(),
            false => base.clone(),
        };
        let mut accounts = BTreeMap::new();
        accounts.insert(config.account().to_owned(), of(config.ec2_endpoint.as_ref()));
        let sts = config.sts_endpoint.clone().map_or_else(|| service_endpoint("sts", region), Ok)?;
        for role in &config.roles {
            // Credentials from an unencrypted endpoint are those of a stand-in. The real ones are not sent to a stand-in.
            let is_stand_in = config.ec2_endpoint.as_ref().is_some_and(Endpoint::is_plain);
            let credentials = if is_stand_in && !sts.is_plain() {
                AccountCredentials::dummy()
            } else {
                AccountCredentials::of_role(role.clone(), of(Some(&sts)), sts.clone(), region)
            };
            accounts.insert(role.account().to_owned(), credentials);
        }
        let ec2 = Ec2::new(api.clone(), accounts, config);
        let lookups = Lookups::new(ec2.clone(), config.scopes().len() == 1);
        let labels = config.queue_labels();
        let queues = labels
            .iter()
            .filter_map(|label| config.queues.iter().find(|queue| queue.name == *label))
            .cloned();
        Ok(Self { reasons, queues: queues.collect(), lookups, ec2, api, base, metrics })
    }

    /// Starts to receive from the queues and to list instances.
    pub(crate) fn start(&self, config: &AwsConfig, feed: Feed<'_>) -> Feeding {
        let Feed { supervisor, readiness, inputs, stop, grace, is_durable, reports_operations } = feed;
        let names = config.queues.iter().map(|queue| format!("{} ({})", queue.name, queue.region)).collect();
        let conditions =
            QueueConditions::new(readiness.condition("queue", "SQS: nothing received yet"), names);
        let labels = config.queue_labels();
        let (mut consumers, mut receipts) = (Vec::new(), Vec::new());
        for (index, url) in config.queues.iter().enumerate() {
            let endpoint = config.sqs_endpoint.clone().unwrap_or_else(|| url.endpoint.clone());
            let sqs = SqsQueue {
                url: url.clone(),
                credentials: if endpoint.is_plain() {
                    AccountCredentials::dummy()
                } else {
                    self.base.clone()
                },
                endpoint,
                api: self.api.clone(),
                visibility: (grace + EXTRA_VISIBILITY).min(MAX_VISIBILITY),
            };
            let (events, received) = mpsc::unbounded_channel();
            let number = labels.iter().position(|label| *label == url.name).unwrap_or_default();
            let consumer = Consumer {
                sqs: sqs.clone(),
                queue: Queue::Mixed(u8::try_from(number).unwrap_or(u8::MAX)),
                index,
                conditions: conditions.clone(),
                inputs: inputs.clone(),
                receipts: events,
            };
            let name = format!("queue {} ({})", url.name, url.region);
            receipts.push(supervisor.spawn(
                format!("receipts of {name}"),
                Receipts::new(sqs, conditions.clone(), index).run(received),
            ));
            consumers.push(supervisor.spawn(name, consumer.consume(stop.clone())));
        }
        let lister = Lister {
            ec2: self.ec2.clone(),
            clock: self.api.clock.clone(),
            reasons: self.reasons,
            inputs,
            counts_from: (!is_durable).then(Instant::now),
            last: Arc::default(),
        };
        let listings = InstanceListings {
            lister,
            interval: config.resync_interval,
            scopes: config.scopes(),
            condition: readiness.condition("ec2", NOT_LISTED_YET),
            whole: readiness.optional_condition("regions"),
            metrics: self.metrics.clone(),
            reports_operations,
        };
        let listings = supervisor.spawn("regions", listings.run());
        Feeding { consumers, listings, receipts }
    }
}

impl Feeding {
    /// Stops the listings, waits until the consumers have stopped, and returns the pending deletions.
    pub(crate) async fn stopped(self) -> Flush {
        self.listings.abort();
        for consumer in self.consumers {
            let _ = consumer.output().await;
        }
        Flush(self.receipts)
    }
}

impl Flush {
    /// Waits until processed messages are deleted and the others are returned.
    pub(crate) async fn finish(self) {
        for receipts in self.0 {
            let _ = receipts.output().await;
        }
    }
}

impl Decode for Aws {
    fn decode<'a>(&self, queue: Queue, message: &'a [u8]) -> Result<Entry<'a>, Invalid> {
        let mut entry = event::parse(message, &self.reasons)?;
        if let Queue::Mixed(number) = queue
            && let Some(queue) = self.queues.get(usize::from(number))
            && let Event::Interruption { instance, .. } | Event::UnlabelledCreation(instance) =
                &mut entry.event
        {
            complete(instance, queue);
        }
        Ok(entry)
    }
}

/// Fills missing fields from the queue. AWS's events have all fields.
fn complete(instance: &mut InstanceRef<'_>, queue: &QueueUrl) {
    instance.project.get_or_insert_with(|| queue.account.clone().into());
    instance.zone.get_or_insert_with(|| queue.region.clone().into());
}

impl InstanceLookup for Aws {
    async fn lookup(&self, lookup: &Lookup) -> Result<Option<Instance<'static>>, LookupError> {
        self.lookups.lookup(lookup).await
    }
}
