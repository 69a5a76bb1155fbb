//! The Compute API: every instance now and then, and single ones on demand.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use exporter_common::backoff::Backoff;
use exporter_common::readiness::Condition;
use google_cloud_compute_v1::client::Instances;
use google_cloud_compute_v1::model;
use google_cloud_gax::options::RequestOptionsBuilder;
use google_cloud_gax::retry_policy::NeverRetry;
use google_cloud_pubsub::subscriber::handler::Handler;
use tokio::sync::{OnceCell, mpsc};
use tokio::time::{Instant, sleep};

use crate::attribution::Lookup;
use crate::config::Endpoint;
use crate::google::{chain, credentials, explain};
use crate::instance::resource::{Resource, Scheduling};
use crate::instance::{Instance, InstanceId};
use crate::metrics::Health;
use crate::pipeline::{Input, LookUp};

/// Instances that are nodes of a cluster.
const NODES: &str = "labels.goog-k8s-cluster-name:*";

/// Instances in a page. The most that the API gives is 500; a page is held as text and decoded at the same time.
const PAGE: u32 = 250;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
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
        let client = self.compute.client().await?;
        let _ = self.inputs.send(Input::ListingBegun).await;
        let mut count = 0;
        let mut incomplete = None;
        let mut page_token = String::new();
        loop {
            let request = client
                .aggregated_list()
                .set_project(&self.compute.project)
                .set_filter(NODES)
                .set_max_results(PAGE)
                .set_or_clear_page_token(Some(page_token.as_str()).filter(|token| !token.is_empty()))
                .with_retry_policy(NeverRetry)
                .with_attempt_timeout(REQUEST_TIMEOUT);
            let page = request.send().await.map_err(|error| explain(&error))?;
            let next = page.next_page_token.unwrap_or_default();
            if let Some(unreachable) = page.unreachables.first() {
                incomplete = Some(format!("{unreachable} cannot be reached"));
            }
            let mut instances = Vec::new();
            for (scope, list) in page.items {
                incomplete = incomplete.or(trouble(&scope, list.warning));
                instances.extend(list.instances.iter().filter_map(describe));
            }
            count += instances.len();
            let _ = self.inputs.send(Input::Listed(instances)).await;
            if next.is_empty() {
                break;
            }
            if next == page_token {
                return Err("the API repeats a page".to_owned());
            }
            page_token = next;
        }
        // What was listed is known now; but what was not may exist in the part that could not be reached.
        incomplete.map_or(Ok(count), Err)
    }
}

/// An empty scope says so in a warning; any other warning means that instances may be missing from the answer.
fn trouble(scope: &str, warning: Option<model::instances_scoped_list::Warning>) -> Option<String> {
    let warning = warning?;
    let code = warning.code?;
    let name = code.name().unwrap_or("a warning").to_owned();
    (name != "NO_RESULTS_ON_PAGE").then(|| format!("{scope}: {name}"))
}

/// The Compute API. Clones share one client, with its connections and its credentials.
#[derive(Debug, Clone)]
pub(crate) struct Compute {
    endpoint: Option<Endpoint>,
    project: String,
    client: Arc<OnceCell<Instances>>,
    complained: Arc<Mutex<Option<Instant>>>,
}

impl Compute {
    /// Nothing is connected yet.
    pub(crate) fn new(endpoint: Option<Endpoint>, project: String) -> Self {
        Self { endpoint, project, client: Arc::default(), complained: Arc::default() }
    }

    async fn client(&self) -> Result<&Instances, String> {
        let connect = async || {
            let mut builder = Instances::builder().with_credentials(credentials(self.endpoint.as_ref())?);
            if let Some(endpoint) = &self.endpoint {
                builder = builder.with_endpoint(endpoint.url());
            }
            builder.build().await.map_err(|error| chain(&error))
        };
        self.client.get_or_try_init(connect).await
    }

    async fn get(&self, lookup: &Lookup) -> Result<Option<Instance<'static>>, String> {
        let request = self
            .client()
            .await?
            .get()
            .set_project(&lookup.project)
            .set_zone(&lookup.zone)
            .set_instance(&lookup.instance)
            .with_retry_policy(NeverRetry)
            .with_attempt_timeout(REQUEST_TIMEOUT);
        match request.send().await {
            Ok(instance) => Ok(describe(&instance)),
            Err(error) if error.http_status_code() == Some(404) => Ok(None),
            Err(error) => Err(explain(&error)),
        }
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
    async fn look_up(&self, lookup: &Lookup) -> Result<Option<Instance<'static>>, String> {
        // The names come from a message and go into the path of a request that carries credentials.
        if ![&lookup.project, &lookup.zone, &lookup.instance].into_iter().all(|name| is_name(name)) {
            return Ok(None);
        }
        let answer = self.get(lookup).await;
        if let Err(reason) = &answer {
            self.complain(lookup, reason);
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

/// What matters here of the API's description; `None` where it names no instance.
fn describe(from: &model::Instance) -> Option<Instance<'static>> {
    let scheduling = from.scheduling.as_ref();
    let resource = Resource {
        id: from.id.and_then(InstanceId::new),
        name: from.name.as_deref().map(Into::into),
        zone: from.zone.as_deref().map(Into::into),
        self_link: from.self_link.as_deref().map(Into::into),
        machine_type: from.machine_type.as_deref().map(Into::into),
        creation_timestamp: from.creation_timestamp.as_deref().map(Into::into),
        status: from.status.as_ref().and_then(|status| status.name()).map(Into::into),
        labels: from.labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect(),
        scheduling: Scheduling {
            provisioning_model: scheduling
                .and_then(|scheduling| scheduling.provisioning_model.as_ref()?.name())
                .map(Into::into),
            preemptible: scheduling.is_some_and(|scheduling| scheduling.preemptible == Some(true)),
        },
    };
    resource.into_instance().map(Instance::into_owned)
}
