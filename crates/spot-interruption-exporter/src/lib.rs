//! Counts the interruptions of spot instances on Google Cloud and AWS, by the Kubernetes cluster that they belonged to.
//!
//! A message passes through the core, which contains no provider code. The parts that decide are pure: they use no
//! socket, no clock and no runtime.
//!
//! 1. The [`provider`] delivers messages and [decodes](source::Decode) their bytes into an [`event`], or into the
//!    reason why a message is not an event.
//! 2. [`attribution`] decides the outcome of the event: counted for a cluster, held until its instance becomes known, a
//!    duplicate. It uses [`dedup`] to recognize duplicates and [`inventory`] to find the cluster of the instance.
//! 3. The outcome is returned together with the message's token. [`pipeline`] records the outcome in the [`ledger`]
//!    and, if configured, in the [`durable`] state on disk. Only then it acknowledges the message. A crash at any
//!    moment causes a redelivery, never a lost event.
//!
//! [`instance`] identifies and describes instances, and [`source`] defines the inputs of the pipeline. The pipeline
//! changes the [`state`], and the [`metrics`] show it.

pub mod attribution;
pub mod config;
pub mod dedup;
pub mod durable;
pub mod event;
mod facts;
pub mod instance;
mod interruption_log;
pub mod interruptions;
pub mod inventory;
pub mod ledger;
mod lenient;
pub mod metrics;
pub mod pipeline;
pub mod provider;
pub mod source;
pub mod state;
pub use exporter_common::timeline;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use exporter_common::durable::OpenError;
use exporter_common::http::{Fact, Limits, Listener, Scrape, ScrapeError, ScrapeRequest, Site, serve};
use exporter_common::metrics::{BuildInfo, ProcessCollector};
use exporter_common::readiness::Readiness;
use exporter_common::shutdown::DRAIN;
use exporter_common::supervisor::{Supervised, Supervisor, TaskEnded};
use exporter_common::telemetry::LogCollector;
use jiff::Timestamp;
use prometheus_client::registry::Registry;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::attribution::Attribution;
pub use crate::config::Config;
use crate::durable::journal::Journal;
use crate::durable::store::{self, Opened};
use crate::event::Reasons;
use crate::interruptions::Recent;
use crate::inventory::Scope;
use crate::ledger::Ledger;
use crate::metrics::{Labels, OwnMetrics, StateFamilies};
use crate::pipeline::{DeliveryToken, Pipeline};
use crate::provider::aws::config::AwsConfig;
use crate::provider::aws::event::AwsReasons;
use crate::provider::aws::{self, Aws};
use crate::provider::google::config::{GoogleConfig, OperationsMode};
use crate::provider::google::{self, Google};
use crate::provider::{Provider, Token};
use crate::source::{Input, Queue};
use crate::state::SharedState;

/// The binary's name.
pub const NAME: &str = "spot-interruption-exporter";

/// One sentence that describes the program.
pub const ABOUT: &str = "Prometheus exporter that counts interruptions of spot instances on Google Cloud and AWS by Kubernetes cluster";

/// Capacity of the pipeline's input channel. Further messages stay in the Pub/Sub client.
const INPUTS: usize = 1_024;

/// Time limit at shutdown for recording received messages and sending their acknowledgements. A message whose
/// acknowledgement is not sent in time is delivered again.
const FLUSH: Duration = Duration::from_millis(4_500);

/// Why a running exporter exits without a shutdown request.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The directory of the durable state cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A task that the exporter needs has ended.
    #[error(transparent)]
    Task(#[from] TaskEnded),
    /// The HTTP client cannot be created, for example because the root certificates cannot be read.
    #[error("cannot create the HTTP client: {0}")]
    HttpClient(String),
}

/// Serves on `listener` until `shutdown` completes. Then, at the same time, stops consuming, flushes acknowledgements
/// and lets running scrapes finish.
///
/// Errors of a provider do not stop the exporter: `/ready` reports them and the provider's tasks retry.
///
/// # Errors
/// See [`RunError`].
pub async fn run(
    config: Config,
    listener: Listener,
    shutdown: impl Future<Output = ()>,
) -> Result<(), RunError> {
    // The providers' clients use the process-wide TLS provider. If one is installed already, it is kept.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut registry = Registry::default();
    registry.register_collector(Box::new(BuildInfo { name: "spot_interruption_exporter_build_info" }));
    registry.register_collector(Box::new(ProcessCollector::new()));
    registry.register_collector(Box::new(LogCollector));
    let subscriptions = config.google.as_ref().map(GoogleConfig::subscription_labels).unwrap_or_default();
    let metrics = OwnMetrics::register(&mut registry, &subscriptions);
    let readiness = Readiness::default();
    let stop = CancellationToken::new();
    let mut supervisor = Supervisor::new(stop.clone());

    let (mut reasons, aws_reasons) = reasons(&config);
    let google = config.google.as_ref().map(|config| Google::new(config, metrics.clone()));
    let aws = config.aws.as_ref().map(|config| Aws::new(config, aws_reasons, metrics.clone()));
    let aws = aws.transpose().map_err(RunError::HttpClient)?;
    let provider = Provider { google: google.clone(), aws: aws.clone() };
    let core = Core::start(&config, provider, &mut reasons, metrics.clone(), &readiness, &mut supervisor)?;
    let (grace, is_durable) = (config.attribution.attribution_grace, config.state_path.is_some());
    let has_operations =
        config.google.as_ref().is_some_and(|google| google.operations != OperationsMode::Off);
    let mut feeding = Feeding { google: None, aws: None };
    if let Some((aws, config)) = aws.zip(config.aws.as_ref()) {
        let feed = aws::Feed {
            supervisor: &mut supervisor,
            readiness: &readiness,
            inputs: core.inputs.clone(),
            stop: stop.clone(),
            grace,
            is_durable,
            reports_operations: !has_operations,
        };
        feeding.aws = Some(aws.start(config, feed));
    }
    if let Some((google, config)) = google.zip(config.google.as_ref()) {
        let feed = google::Feed {
            supervisor: &mut supervisor,
            readiness: &readiness,
            inputs: core.inputs.clone(),
            unlisted: core.unlisted,
            cursors: core.cursors,
            stop: stop.clone(),
            grace,
        };
        feeding.google = Some(google.start(config, feed));
    }
    // The pipeline ends when all senders are dropped.
    drop(core.inputs);
    let interruptions = config
        .interruptions_page
        .then(|| interruptions::route(core.state.clone(), core.labels.reasons.clone()));
    let families = Families { state: core.state.clone(), labels: core.labels, metrics, has_operations };
    let mut site = Site::new(NAME, ABOUT, config.metrics_path, readiness, registry, families, config.web);
    if let Some(route) = interruptions {
        site = site.route(route);
    }

    let stopping = stop.clone();
    let service = async {
        tokio::join!(serve(listener, site, Limits::of_process(), stop.cancelled(), DRAIN), async {
            shutdown.await;
            stopping.cancel();
            flush(feeding, core.pipeline, &core.state).await;
        })
    };
    tokio::select! {
        // Failures are polled first, so that nothing is served or flushed from a state that a panic left incomplete.
        biased;
        failure = supervisor.failure() => return Err(failure.into()),
        _ = service => {}
    }
    Ok(supervisor.finish()?)
}

/// The parts without provider code: the state and the pipeline that changes it.
struct Core {
    state: SharedState<DeliveryToken<Token>>,
    labels: Labels,
    /// The inputs of the pipeline.
    inputs: mpsc::Sender<Input<Token>>,
    /// Projects that events name and that are in no scope.
    unlisted: mpsc::UnboundedReceiver<Scope>,
    /// For each scope, the time up to which its operations are processed.
    cursors: BTreeMap<Scope, Timestamp>,
    pipeline: Supervised<()>,
}

impl Core {
    /// Opens the durable state, if configured, and starts the pipeline.
    fn start(
        config: &Config,
        provider: Provider,
        reasons: &mut Reasons,
        metrics: OwnMetrics,
        readiness: &Readiness,
        supervisor: &mut Supervisor,
    ) -> Result<Self, OpenError> {
        let settings = config.attribution.clone();
        let (mut attribution, ledger, cursors, recent, journal) = match &config.state_path {
            Some(path) => {
                let condition = readiness.condition("state", "durable state: not open yet");
                let opened = store::open(path, &settings, reasons, Instant::now())?;
                let Opened { store, attribution, ledger, cursors, recent } = opened;
                let journal = Journal::new(store, condition, &metrics);
                (attribution, ledger, cursors, recent, Some(journal))
            }
            None => {
                let attribution = Attribution::new(settings);
                (attribution, Ledger::default(), BTreeMap::new(), Recent::default(), None)
            }
        };
        let google = config.google.as_ref();
        if config.aws.is_some() || google.is_some_and(|google| google.operations != OperationsMode::Off) {
            attribution.watch_operations();
        }
        let state = SharedState::new(attribution, ledger);
        state.lock().recent = recent;
        let labels = Labels {
            cluster: config.cluster_label.as_str().into(),
            reasons: reasons.clone(),
            subscriptions: subscriptions(config),
        };
        let (inputs, incoming) = mpsc::channel(INPUTS);
        let (report_unlisted, unlisted) = mpsc::unbounded_channel();
        let pipeline = Pipeline {
            state: state.clone(),
            reasons: reasons.clone(),
            provider,
            lookups_condition: Some(readiness.optional_condition("lookups")),
            unlisted: report_unlisted,
            metrics,
            journal,
        };
        let pipeline = supervisor.spawn("pipeline", pipeline.run(incoming));
        Ok(Self { state, labels, inputs, unlisted, cursors, pipeline })
    }
}

/// After the exporter stops: records and acknowledges the received messages, within a time limit.
async fn flush(feeding: Feeding, pipeline: Supervised<()>, state: &SharedState<DeliveryToken<Token>>) {
    let flushed = async {
        let Feeding { google, aws } = feeding;
        let stop_google = async {
            match google {
                Some(google) => google.stopped().await,
                None => Vec::new(),
            }
        };
        let stop_aws = async {
            match aws {
                Some(aws) => Some(aws.stopped().await),
                None => None,
            }
        };
        let (flushes, aws) = tokio::join!(stop_google, stop_aws);
        // Without consumers the pipeline processes the rest of its queue and ends. Messages that are still held are
        // then returned to their subscriptions.
        let _ = pipeline.output().await;
        state.forget_held();
        for flush in flushes {
            flush.finish().await;
        }
        if let Some(aws) = aws {
            aws.finish().await;
        }
    };
    if timeout(FLUSH, flushed).await.is_err() {
        tracing::warn!(
            "some acknowledgements may not have been sent; their messages will be delivered again"
        );
    }
    tracing::info!(interruptions = state.lock().ledger.total(), "stopped");
}

/// The tasks of all providers that feed the pipeline.
struct Feeding {
    google: Option<google::Feeding>,
    aws: Option<aws::Feeding>,
}

/// The reasons of all providers, and those of AWS.
fn reasons(config: &Config) -> (Reasons, AwsReasons) {
    let google = config.google.as_ref().map(|google| google.methods.reasons().clone());
    let mut reasons = google.unwrap_or_default();
    let mut all = reasons.clone();
    let aws = AwsReasons::add_to(&mut all);
    if config.aws.is_some() {
        reasons = all;
    }
    (reasons, aws)
}

/// The queues that deliver messages, with their names.
fn subscriptions(config: &Config) -> Vec<(Queue, Arc<str>)> {
    let google = config.google.as_ref().map(GoogleConfig::subscription_labels).unwrap_or_default();
    let queues = [Queue::Creations, Queue::Interruptions].into_iter().zip(google);
    let aws = config.aws.as_ref().map(AwsConfig::queue_labels).unwrap_or_default();
    let mixed = (0..=u8::MAX).map(Queue::Mixed).zip(aws);
    queues.chain(mixed).map(|(queue, name)| (queue, name.into())).collect()
}

/// Encodes the pipeline's state as metric families for a scrape.
struct Families<T> {
    state: SharedState<T>,
    labels: Labels,
    metrics: OwnMetrics,
    has_operations: bool,
}

impl<T: std::fmt::Debug + Send + 'static> Scrape for Families<T> {
    async fn scrape(&self, _: &ScrapeRequest) -> Result<Registry, ScrapeError> {
        let mut registry = Registry::default();
        let families = StateFamilies { state: self.state.clone(), labels: self.labels.clone() };
        registry.register_collector(Box::new(families));
        Ok(registry)
    }

    fn facts(&self) -> Vec<Fact> {
        let now = tokio::time::Instant::now().into_std();
        let state = self.state.lock();
        facts::facts(&state, &self.metrics, &self.labels.subscriptions, self.has_operations, now)
    }
}
