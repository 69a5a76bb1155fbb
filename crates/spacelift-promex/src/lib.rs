//! The Spacelift exporter: queries the GraphQL API on each scrape and returns metrics.
//!
//! A scrape: [`exporter`] joins the running `round` or starts one. Each enabled collector of [`collectors`] sends its query
//! through [`client`], which gets a token from [`session`] and a connection from `transport`. The decoded data is written
//! as metric families by the common crate.
//!
//! A webhook delivery: [`webhook`] verifies and parses it, [`runs`] updates the counts, and every scrape shows them.

mod access;
mod api;
pub mod client;
pub mod collectors;
pub mod config;
mod content_coding;
pub mod exporter;
mod failure;
mod graphql;
mod json;
mod program;
mod proxy;
mod refusal;
mod round;
pub mod runs;
mod schema;
pub mod session;
mod single_flight;
mod telemetry;
mod transport;
pub mod webhook;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use exporter_common::durable::{Journal, OpenError, StateMetrics};
use exporter_common::http::{Limits, Listener, Route, Site, serve};
use exporter_common::metrics::{BuildInfo, ProcessCollector};
use exporter_common::readiness::Readiness;
use exporter_common::shutdown::DRAIN;
use exporter_common::supervisor::{Supervised, Supervisor, TaskEnded};
use exporter_common::telemetry::LogCollector;
use http::uri::Scheme;
use prometheus_client::registry::Registry;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::api::Api;
use crate::collectors::DocumentError;
use crate::config::RunsConfig;
use crate::runs::{Recorder, RunFamilies, SavedRuns, SharedRuns, Tracker};

pub use client::Client;
pub use config::Config;
pub use exporter::Exporter;
pub use failure::Failure;
pub use proxy::Proxy;
pub use session::{Rejected, Session};
pub use telemetry::Telemetry;

/// The name of the program.
pub const NAME: &str = "spacelift-promex";

/// Description of the program, one sentence.
pub const ABOUT: &str = "Prometheus exporter for Spacelift: worker pools, runs, usage and stacks";

/// How long the last commit may take at shutdown, after the server has drained.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// An error that stops the exporter.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The API refused the configured credentials, and never accepted them before.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// The GraphQL document of a collector cannot be built.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The HTTP client cannot be set up, for example because there are no trusted root certificates.
    #[error(transparent)]
    Transport(#[from] transport::TransportError),
    /// The directory of the durable state cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// An essential task has ended.
    #[error(transparent)]
    Task(#[from] TaskEnded),
}

/// Serves on `listener` until `shutdown` completes and running scrapes are finished.
///
/// # Errors
/// See [`RunError`]. An unreachable API is not an error.
pub async fn run(
    config: Config,
    listener: Listener,
    shutdown: impl Future<Output = ()>,
) -> Result<(), RunError> {
    if !config.without_effect.is_empty() {
        let keys = config.without_effect.join(", ");
        tracing::warn!(keys, "these options have no effect without webhook.secret or webhook.secret_file");
    }
    let mut registry = Registry::default();
    registry.register_collector(Box::new(BuildInfo { name: "spacelift_build_info" }));
    registry.register_collector(Box::new(ProcessCollector::new()));
    registry.register_collector(Box::new(LogCollector));
    let telemetry = Telemetry::register(&mut registry, &config.collectors);
    let readiness = Readiness::default();

    let http = transport::connect(&config)?;
    // For an https endpoint the credentials are sent once, with CONNECT. For plain http every request needs them.
    let plain_proxy = config.proxy.as_ref().filter(|_| config.api_endpoint.scheme() == Some(&Scheme::HTTP));
    let proxy_authorization = plain_proxy.and_then(|proxy| proxy.authorization().cloned());
    let api = Arc::new(Api::new(http, config.graphql_endpoint(), proxy_authorization));
    let session = Arc::new(Session::new(&config, api.clone(), telemetry.clone(), &readiness));
    let stopping = CancellationToken::new();
    let mut supervisor = Supervisor::new(stopping.clone());
    let receiver = match &config.runs {
        Some(runs) => {
            Some(Receiver::start(runs, &account(&config), &readiness, &mut registry, &mut supervisor)?)
        }
        None => None,
    };
    let state = receiver.as_ref().map(|receiver| receiver.state.clone());
    let exporter = Exporter::new(&config, Client::new(api, session.clone(), telemetry), state)?;

    let mut site = Site::new(NAME, ABOUT, config.metrics_path, readiness, registry, exporter, config.web);
    let mut recorder = None;
    if let Some(Receiver { route, recorder: task, state: _ }) = receiver {
        site = site.route(route);
        recorder = Some(task);
    }
    let session = supervisor.spawn("session", session.maintain());
    let shutdown = async {
        shutdown.await;
        stopping.cancel();
    };
    tokio::select! {
        // In this order, because refused credentials also end the task.
        biased;
        () = serve(listener, site, Limits::of_process(), shutdown, DRAIN) => {}
        Some(rejected) = session.output() => return Err(rejected.into()),
        failure = supervisor.failure() => return Err(failure.into()),
    }
    // The site owned the sender of the queue. Without it the recorder commits what is left and ends.
    if let Some(recorder) = recorder
        && timeout(FLUSH_TIMEOUT, recorder.output()).await.is_err()
    {
        tracing::warn!("the last deliveries could not be committed in time");
    }
    Ok(())
}

/// Returns the owner of the durable state: the host of the API.
fn account(config: &Config) -> String {
    config.api_endpoint.host().unwrap_or_default().to_owned()
}

/// The receiver of webhooks: its state, its page, and the task that processes deliveries.
struct Receiver {
    state: SharedRuns,
    route: Route,
    recorder: Supervised<()>,
}

impl Receiver {
    /// Opens the durable state, if configured, and starts the recorder.
    fn start(
        config: &RunsConfig,
        account: &str,
        readiness: &Readiness,
        registry: &mut Registry,
        supervisor: &mut Supervisor,
    ) -> Result<Self, OpenError> {
        let RunsConfig { webhook, limits, state_path } = config;
        let (known, journal) = match state_path {
            Some(path) => {
                let (store, known) = runs::open(path, account, Instant::now())?;
                let metrics = StateMetrics::default();
                metrics.register(registry, "spacelift_promex");
                (known, Some(Journal::new(store, readiness.optional_condition("state"), metrics)))
            }
            None => (SavedRuns::default(), None),
        };
        let SavedRuns { record, counts, last_delivery } = known;
        let state = SharedRuns::new(
            Tracker::new(*limits, record).with_labels_of(&counts),
            counts,
            last_delivery,
            journal.is_some(),
        );
        registry.register_collector(Box::new(RunFamilies(state.clone())));
        let (recorder, jobs) = Recorder::new(state.clone(), journal);
        let condition = readiness.optional_condition("webhook_secret");
        let route = webhook::route(webhook, state.clone(), jobs, condition);
        Ok(Self { state, route, recorder: supervisor.spawn("recorder", recorder.run()) })
    }
}
