//! Counts the interruptions of Google Cloud spot instances, by the Kubernetes cluster that they belonged to.
//!
//! A message goes a straight way. [`pipeline`] takes the messages, which `subscription` streams from Pub/Sub, through
//! it in turn; the stations of deciding, 1 and 2, are pure: no socket, no clock, no runtime.
//!
//! 1. [`audit_log`](provider::google::audit_log) turns the bytes of a Pub/Sub message into an event, or into the reason why it holds none.
//! 2. [`attribution`] decides what the event amounts to: counted for a cluster, held until its instance becomes
//!    known, a duplicate. It asks [`dedup`] whether it has met the event before, and [`inventory`] whose instance
//!    the event is about.
//! 3. The outcome comes back together with the message's token, and only then is the message acknowledged: a
//!    crash at any moment costs a redelivery, never an event.
//!
//! [`instance`] holds the vocabulary that they share: which instance is meant, and what is known of one.
//! [`resource`](provider::google::resource) reads the Compute Engine API's JSON for an instance, which is also the
//! `request` of a creation's log entry. `compute` lists the instances and looks single ones up, and `probe` asks
//! beside the stream whether Pub/Sub can be reached.

pub mod attribution;
pub mod config;
pub mod dedup;
pub mod durable;
pub mod event;
pub mod instance;
mod interruption_log;
pub mod inventory;
pub mod ledger;
mod lenient;
pub mod metrics;
pub mod pipeline;
pub mod provider;
pub mod timeline;

use std::future::Future;
use std::time::{Duration, Instant};

use exporter_common::http::{Limits, Listener, Scrape, ScrapeError, ScrapeRequest, Site, serve};
use exporter_common::metrics::{BuildInfo, ProcessCollector};
use exporter_common::readiness::Readiness;
use exporter_common::shutdown::DRAIN;
use exporter_common::supervisor::{Supervisor, TaskEnded};
use exporter_common::telemetry::LogCollector;
use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::attribution::Attribution;
pub use crate::config::Config;
use crate::durable::journal::Journal;
pub use crate::durable::store::OpenError;
use crate::durable::store::{Opened, Store};
use crate::ledger::{Ledger, Source};
use crate::metrics::{Health, Labels, Shared, StateFamilies};
use crate::pipeline::Pipeline;
use crate::provider::google::compute::{Compute, Resync};
use crate::provider::google::credentials::Access;
use crate::provider::google::pubsub::Subscription;

/// The binary's name.
pub const NAME: &str = "spot-interruption-exporter";

/// One sentence about it.
pub const ABOUT: &str =
    "Prometheus exporter that counts interruptions of Google Cloud spot instances by Kubernetes cluster";

/// Inputs that may wait for the pipeline. What is not taken from Pub/Sub yet waits there.
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
/// Nothing that Pub/Sub or Compute do ends it: it says in `/ready` what is wrong, and goes on by itself.
///
/// # Errors
/// See [`RunError`].
pub async fn run(
    config: Config,
    listener: Listener,
    shutdown: impl Future<Output = ()>,
) -> Result<(), RunError> {
    // Google's clients leave the choice of the cryptography provider to the process. One that was made before stands.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut registry = Registry::default();
    registry.register_collector(Box::new(BuildInfo { name: "spot_interruption_exporter_build_info" }));
    registry.register_collector(Box::new(ProcessCollector::new()));
    registry.register_collector(Box::new(LogCollector));
    let subscriptions = config.subscription_labels();
    let health = Health::register(&mut registry, subscriptions);
    let [creations, interruptions] = subscriptions;
    let readiness = Readiness::default();
    let mut reasons = config.methods.reasons().clone();
    let (attribution, ledger, journal) = match &config.state_path {
        Some(path) => {
            let condition = readiness.condition("state", "durable state: not open yet");
            let settings = config.attribution.clone();
            let Opened { store, attribution, ledger } =
                Store::open(path, settings, &mut reasons, Instant::now())?;
            (attribution, ledger, Some(Journal::new(store, condition, health.clone())))
        }
        None => (Attribution::new(config.attribution.clone()), Ledger::default(), None),
    };
    let state = Shared::new(attribution, ledger);
    let families = Families {
        state: state.clone(),
        labels: Labels {
            cluster: config.cluster_label.as_str().into(),
            reasons,
            subscriptions: subscriptions.map(Into::into),
        },
    };

    let (inputs, incoming) = mpsc::channel(INPUTS);
    let (stop, stopped) = watch::channel(false);
    let access = Access::default();
    let endpoint = config.compute_endpoint.clone();
    let credentials = access.to(endpoint.as_ref());
    let compute = Compute::new(endpoint, credentials, config.project.clone(), health.clone());
    let pipeline = Pipeline {
        state: state.clone(),
        methods: config.methods.clone(),
        lookups: compute.clone(),
        lookups_condition: Some(readiness.optional_condition("lookups")),
        health: health.clone(),
        journal,
    };
    let mut supervisor = Supervisor::default();
    let pipeline = supervisor.spawn("pipeline", pipeline.run(incoming));
    let sources = [
        (Source::Creations, &config.creations, creations),
        (Source::Interruptions, &config.interruptions, interruptions),
    ];
    let consumers = sources.map(|(source, name, label)| {
        let subscription = Subscription {
            source,
            name: name.clone(),
            label: label.to_owned(),
            grace: config.attribution.attribution_grace,
            endpoint: config.pubsub_endpoint.clone(),
            credentials: access.to(config.pubsub_endpoint.as_ref()),
            condition: readiness.condition(
                match source {
                    Source::Creations => "creation_subscription",
                    Source::Interruptions => "interruption_subscription",
                },
                format!("Pub/Sub subscription {}: not open yet", name.full()),
            ),
            health: health.clone(),
            inputs: inputs.clone(),
        };
        supervisor.spawn(format!("subscription {}", name.short()), subscription.consume(stopped.clone()))
    });
    let resync = Resync {
        compute,
        interval: config.resync_interval,
        condition: readiness
            .condition("compute", "Compute API: the first listing of all instances is not complete yet"),
        health,
        inputs,
    };
    let resync = supervisor.spawn("resync", resync.run());

    let site = Site::new(
        NAME,
        ABOUT,
        config.metrics_path.clone(),
        readiness,
        registry,
        families,
        config.web.clone(),
    );
    let stopping = supervisor.shutdown();
    let (told, tell) = (stop.clone(), async move {
        shutdown.await;
        stopping.begin();
        stop.send_replace(true);
    });
    let mut closing = told.subscribe();
    let end_of_service = async move {
        // The sender lives until it has spoken; should it not, that is the end as well.
        let _ = closing.wait_for(|stop| *stop).await;
    };
    let flush = async {
        tell.await;
        resync.abort();
        let flushed = async {
            let mut flushes = Vec::new();
            for consumer in consumers {
                flushes.extend(consumer.output().await);
            }
            // Without consumers the pipeline takes what is still in its queue and ends. What it holds then goes
            // back to Pub/Sub.
            let _ = pipeline.output().await;
            state.forget_held();
            for flush in flushes {
                flush.finish().await;
            }
        };
        if timeout(FLUSH, flushed).await.is_err() {
            tracing::warn!(
                "some acknowledgements may not have reached Pub/Sub; their messages will come again"
            );
        }
        tracing::info!(interruptions = state.lock().ledger.total(), "stopped");
    };
    tokio::select! {
        // In this order: nothing is served or flushed from what a panic has left half-done.
        biased;
        failure = supervisor.failure() => return Err(failure.into()),
        _ = async { tokio::join!(serve(listener, site, Limits::of_process(), end_of_service, DRAIN), flush) } => {}
    }
    Ok(supervisor.finish()?)
}

/// What is known and counted, as the families of a scrape.
struct Families<T> {
    state: Shared<T>,
    labels: Labels,
}

impl<T: std::fmt::Debug + Send + 'static> Scrape for Families<T> {
    async fn scrape(&self, _: &ScrapeRequest) -> Result<Registry, ScrapeError> {
        let mut registry = Registry::default();
        let families = StateFamilies { state: self.state.clone(), labels: self.labels.clone() };
        registry.register_collector(Box::new(families));
        Ok(registry)
    }
}
