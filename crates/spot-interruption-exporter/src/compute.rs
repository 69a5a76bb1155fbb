//! The Compute API: every instance now and then, and single ones on demand.

mod listing;
mod rest;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use exporter_common::backoff::Backoff;
use exporter_common::readiness::Condition;
use google_cloud_auth::credentials::Credentials;
use google_cloud_pubsub::subscriber::handler::Handler;
use tokio::sync::{OnceCell, mpsc};
use tokio::time::{Instant, sleep};

use crate::attribution::Lookup;
use crate::compute::listing::Page;
use crate::compute::rest::{Failure, Rest};
use crate::config::Endpoint;
use crate::instance::Instance;
use crate::instance::resource::Resource;
use crate::metrics::Health;
use crate::pipeline::{Input, LookUp, LookUpError};

/// Instances that are nodes of a cluster.
const NODES: &str = "labels.goog-k8s-cluster-name:*";

/// Instances in a page: the most that the API gives.
const PAGE: &str = "500";

/// The most that is read of a page, in bytes. With just the fields that are asked for it has half a megabyte, and some
/// tens of megabytes where a server sends whole instances all the same.
const LARGEST_PAGE: usize = 64 * 1024 * 1024;

/// The most that is read of a single instance, in bytes. Its metadata, the largest part, has at most half a megabyte.
const LARGEST_INSTANCE: usize = 2 * 1024 * 1024;

/// The least time between two log lines about look-ups that fail.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(10);

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Lists every instance again and again and passes them to the pipeline.
#[derive(Debug)]
pub(crate) struct Resync {
    pub(crate) compute: Compute,
    pub(crate) interval: Duration,
    pub(crate) condition: Condition,
    pub(crate) health: Health,
    pub(crate) inputs: mpsc::Sender<Input<Handler>>,
}

impl Resync {
    /// Runs until the pipeline ends.
    pub(crate) async fn run(self) {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        while !self.inputs.is_closed() {
            let started = Instant::now();
            let pause = match self.list().await {
                Ok(instances) => {
                    let (finished, dropped) = tokio::sync::oneshot::channel();
                    if self.inputs.send(Input::ListingFinished(finished)).await.is_err() {
                        return;
                    }
                    let Ok(dropped) = dropped.await else { return };
                    self.health.resynced(instances, dropped, started.elapsed());
                    self.condition.ready();
                    backoff.reset();
                    self.interval
                }
                Err(reason) => {
                    self.health.resync_failed(&reason);
                    self.condition.missing(format!(
                        "Compute API, listing instances of project {}: {reason}",
                        self.compute.project
                    ));
                    backoff.pause()
                }
            };
            sleep(pause).await;
        }
    }

    /// Passes on every page and says how many instances there were.
    async fn list(&self) -> Result<usize, String> {
        let _ = self.inputs.send(Input::ListingBegun).await;
        let mut count = 0;
        let mut incomplete = None;
        let mut token = String::new();
        let mut tokens = HashSet::new();
        loop {
            let page = self.compute.page(&token).await?;
            incomplete = incomplete.or(page.incomplete);
            count += page.instances.len();
            let _ = self.inputs.send(Input::Listed(page.instances)).await;
            match page.next {
                None => break,
                Some(next) if !tokens.insert(next.clone()) => return Err("the API repeats a page".to_owned()),
                Some(next) => token = next,
            }
        }
        // What was listed is known now; but what was not may exist in the part that could not be reached.
        incomplete.map_or(Ok(count), Err)
    }
}

/// The Compute API. Clones share one client, with its connections and its credentials.
#[derive(Debug, Clone)]
pub(crate) struct Compute {
    endpoint: Option<Endpoint>,
    credentials: Credentials,
    project: String,
    client: Arc<OnceCell<Rest>>,
    complained: Arc<Mutex<Option<Instant>>>,
}

impl Compute {
    /// Nothing is connected yet.
    pub(crate) fn new(endpoint: Option<Endpoint>, credentials: Credentials, project: String) -> Self {
        Self { endpoint, credentials, project, client: Arc::default(), complained: Arc::default() }
    }

    async fn client(&self) -> Result<&Rest, String> {
        self.client
            .get_or_try_init(async || Rest::new(self.endpoint.as_ref(), self.credentials.clone()))
            .await
    }

    /// One page of `instances.aggregatedList`; the first one has no token.
    async fn page(&self, token: &str) -> Result<Page, String> {
        let fields = listing::fields();
        let mut query = vec![("filter", NODES), ("maxResults", PAGE), ("fields", &fields)];
        if !token.is_empty() {
            query.push(("pageToken", token));
        }
        let path = [&self.project, "aggregated", "instances"];
        let answer = self.client().await?.get(&path, &query, LARGEST_PAGE).await;
        Page::parse(&answer.map_err(Failure::reason)?)
    }

    /// `instances.get`. One instance is no burden, even as a whole.
    async fn get(&self, lookup: &Lookup) -> Result<Option<Instance<'static>>, LookUpError> {
        let unreachable = |reason: String| LookUpError::service(reason, None);
        let path = [&lookup.project, "zones", &lookup.zone, "instances", &lookup.instance];
        let client = self.client().await.map_err(unreachable)?;
        let answer = match client.get(&path, &[], LARGEST_INSTANCE).await {
            Ok(answer) => answer,
            Err(Failure::NotFound(_)) => return Ok(None),
            Err(failure) => return Err(unreachable(failure.reason())),
        };
        let useless = |error: &str| LookUpError::instance(format!("the answer describes no instance{error}"));
        let resource: Resource<'_> =
            serde_json::from_slice(&answer).map_err(|error| useless(&format!(": {error}")))?;
        let instance = resource.into_instance().ok_or_else(|| useless(""))?;
        Ok(Some(instance.into_owned()))
    }

    /// Look-ups fail in numbers when they fail, so only now and then one of them is worth a line.
    fn complain(&self, lookup: &Lookup, reason: &str) {
        let mut complained = self.complained.lock().unwrap_or_else(PoisonError::into_inner);
        if complained.is_none_or(|last| last.elapsed() > COMPLAINT_INTERVAL) {
            *complained = Some(Instant::now());
            let (zone, instance) = (&lookup.zone, &lookup.instance);
            tracing::warn!(zone, instance, reason, "cannot look an instance up");
        }
    }
}

impl LookUp for Compute {
    async fn look_up(&self, lookup: &Lookup) -> Result<Option<Instance<'static>>, LookUpError> {
        // The names come from a message and go into the path of a request that carries credentials.
        if ![&lookup.project, &lookup.zone, &lookup.instance].into_iter().all(|name| is_name(name)) {
            return Ok(None);
        }
        let answer = self.get(lookup).await;
        if let Err(error) = &answer {
            self.complain(lookup, &error.reason);
        }
        answer
    }
}

/// Whether a text can be the id of a project, or the name of a zone or an instance: nothing that would mean something
/// in a URL.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 100
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_:.".contains(&byte))
        && text.bytes().any(|byte| byte.is_ascii_alphanumeric())
}
