//! Counts the interruptions of Google Cloud spot instances, by the Kubernetes cluster that they belonged to.
//!
//! A message goes a straight way through the core, which knows no provider and whose deciding parts are pure: no
//! socket, no clock, no runtime.
//!
//! 1. The [`provider`] delivers messages, and [decodes](source::Decode) their bytes to an [`event`], or to the reason
//!    why they hold none.
//! 2. [`attribution`] decides what the event amounts to: counted for a cluster, held until its instance becomes
//!    known, a duplicate. It asks [`dedup`] whether it has met the event before, and [`inventory`] whose instance
//!    the event is about.
//! 3. The outcome comes back together with the message's token. [`pipeline`] records it in the [`ledger`], with
//!    [`durable`] state on the disk first, and only then acknowledges the message: a crash at any moment costs a
//!    redelivery, never an event.
//!
//! [`instance`] says which instance is meant and what is known of one, [`source`] what feeds the pipeline. [`state`] is
//! what the pipeline changes and the [`metrics`] show.

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
use crate::interruptions::Recent;
use crate::inventory::Scope;
use crate::ledger::Ledger;
use crate::metrics::{Labels, OwnMetrics, StateFamilies};
use crate::pipeline::{Pipeline, Ticket};
use crate::provider::google::config::OperationsMode;
use crate::provider::google::{Feed, Feeding, Google};
use crate::provider::{Provider, Token};
use crate::source::Input;
use crate::state::Shared;

/// The binary's name.
pub const NAME: &str = "spot-interruption-exporter";

/// One sentence about it.
pub const ABOUT: &str =
    "Prometheus exporter that counts interruptions of Google Cloud spot instances by Kubernetes cluster";

/// Inputs that may wait for the pipeline. What is not taken from a queue yet waits there.
const INPUTS: usize = 1_024;

/// How long recording what was taken and acknowledging it may take at shutdown. An acknowledgement that does not
/// make it costs a redelivery, not an event.
const FLUSH: Duration = Duration::from_millis(4_500);

/// What ends a running exporter other than shutdown.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is to be durable state, and its directory cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A task that the exporter cannot do without has ended.
    #[error(transparent)]
    Task(#[from] TaskEnded),
}

/// Serves on `listener` until `shutdown` completes; then stops consuming, flushes acknowledgements and lets running
/// scrapes finish, all at the same time.
///
/// Nothing that a provider does ends it: it says in `/ready` what is wrong, and goes on by itself.
///
/// # Errors
/// See [`RunError`].
pub async fn run(
    config: Config,
    listener: Listener,
    shutdown: impl Future<Output = ()>,
) -> Result<(), RunError> {
    // The providers' clients leave the choice of the cryptography provider to the process. One that was made before
    // stands.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut registry = Registry::default();
    registry.register_collector(Box::new(BuildInfo { name: "spot_interruption_exporter_build_info" }));
    registry.register_collector(Box::new(ProcessCollector::new()));
    registry.register_collector(Box::new(LogCollector));
    let metrics = OwnMetrics::register(&mut registry, &config.google.subscription_labels());
    let readiness = Readiness::default();
    let stop = CancellationToken::new();
    let mut supervisor = Supervisor::new(stop.clone());

    let google = Google::new(&config.google, metrics.clone());
    let provider = Provider::Google(google.clone());
    let core = Core::start(&config, provider, metrics.clone(), &readiness, &mut supervisor)?;
    let feed = Feed {
        supervisor: &mut supervisor,
        readiness: &readiness,
        inputs: core.inputs,
        unlisted: core.unlisted,
        cursors: core.cursors,
        stop: stop.clone(),
        grace: config.attribution.attribution_grace,
    };
    let feeding = google.start(&config.google, feed);
    let interruptions = config
        .interruptions_page
        .then(|| interruptions::route(core.state.clone(), core.labels.reasons.clone()));
    let has_operations = config.google.operations != OperationsMode::Off;
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
        // In this order: nothing is served or flushed from what a panic has left half-done.
        biased;
        failure = supervisor.failure() => return Err(failure.into()),
        _ = service => {}
    }
    Ok(supervisor.finish()?)
}

/// What knows no provider: the state and the pipeline that changes it.
struct Core {
    state: Shared<Ticket<Token>>,
    labels: Labels,
    /// What the pipeline takes.
    inputs: mpsc::Sender<Input<Token>>,
    /// Projects that events are about and that are not listed.
    unlisted: mpsc::UnboundedReceiver<Scope>,
    /// How far the operations of scopes are dealt with.
    cursors: BTreeMap<Scope, Timestamp>,
    pipeline: Supervised<()>,
}

impl Core {
    /// Opens the durable state, if there is to be one, and starts the pipeline.
    fn start(
        config: &Config,
        provider: Provider,
        metrics: OwnMetrics,
        readiness: &Readiness,
        supervisor: &mut Supervisor,
    ) -> Result<Self, OpenError> {
        let mut reasons = config.google.methods.reasons().clone();
        let settings = config.attribution.clone();
        let (mut attribution, ledger, cursors, recent, journal) = match &config.state_path {
            Some(path) => {
                let condition = readiness.condition("state", "durable state: not open yet");
                let opened = store::open(path, &settings, &mut reasons, Instant::now())?;
                let Opened { store, attribution, ledger, cursors, recent } = opened;
                let journal = Journal::new(store, condition, &metrics);
                (attribution, ledger, cursors, recent, Some(journal))
            }
            None => {
                let attribution = Attribution::new(settings);
                (attribution, Ledger::default(), BTreeMap::new(), Recent::default(), None)
            }
        };
        if config.google.operations != OperationsMode::Off {
            attribution.watch_operations();
        }
        let state = Shared::new(attribution, ledger);
        state.lock().recent = recent;
        let labels = Labels {
            cluster: config.cluster_label.as_str().into(),
            reasons: reasons.clone(),
            subscriptions: config.google.subscription_labels().into_iter().map(Into::into).collect(),
        };
        let (inputs, incoming) = mpsc::channel(INPUTS);
        let (report_unlisted, unlisted) = mpsc::unbounded_channel();
        let pipeline = Pipeline {
            state: state.clone(),
            reasons,
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

/// Once the exporter stops: records what was taken and acknowledges it, within a bound.
async fn flush(feeding: Feeding, pipeline: Supervised<()>, state: &Shared<Ticket<Token>>) {
    let flushed = async {
        let flushes = feeding.stopped().await;
        // Without consumers the pipeline takes what is still in its queue and ends. What it holds then goes back.
        let _ = pipeline.output().await;
        state.forget_held();
        for flush in flushes {
            flush.finish().await;
        }
    };
    if timeout(FLUSH, flushed).await.is_err() {
        tracing::warn!("some acknowledgements may not have arrived; their messages will come again");
    }
    tracing::info!(interruptions = state.lock().ledger.total(), "stopped");
}

/// What is known and counted, as the families of a scrape.
struct Families<T> {
    state: Shared<T>,
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
