//! The Compute API: every instance now and then, and single ones on demand.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use exporter_common::backoff::Backoff;
use exporter_common::readiness::Condition;
use google_cloud_auth::credentials::Credentials;
use http::StatusCode;
use tokio::sync::{OnceCell, mpsc};
use tokio::time::{Instant, sleep, timeout};

use crate::attribution::Lookup;
use crate::instance::Instance;
use crate::metrics::OwnMetrics;
use crate::provider::Token;
use crate::provider::google::config::Endpoint;
use crate::provider::google::listing::{self, Page, Pages};
use crate::provider::google::resource::Resource;
use crate::provider::google::rest::{Failure, Rest};
use crate::source::{Input, LookUp, LookUpError};

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

/// The longest that a listing may take, over all its pages.
const LISTING_TIMEOUT: Duration = Duration::from_secs(10 * 60);

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Lists every instance again and again and passes them to the pipeline.
#[derive(Debug)]
pub(crate) struct Resync {
    pub(crate) compute: Compute,
    pub(crate) interval: Duration,
    pub(crate) condition: Condition,
    pub(crate) metrics: OwnMetrics,
    pub(crate) inputs: mpsc::Sender<Input<Token>>,
}

impl Resync {
    /// Runs until the pipeline ends.
    pub(crate) async fn run(self) {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        while !self.inputs.is_closed() {
            let started = Instant::now();
            let listed = timeout(LISTING_TIMEOUT, self.list()).await.unwrap_or_else(|_| {
                Err(Failure::from(format!("the list has not ended within {} s", LISTING_TIMEOUT.as_secs())))
            });
            let pause = match listed {
                Ok(instances) => {
                    let (finished, dropped) = tokio::sync::oneshot::channel();
                    if self.inputs.send(Input::ListingFinished(finished)).await.is_err() {
                        return;
                    }
                    let Ok(dropped) = dropped.await else { return };
                    self.metrics.resynced(instances, dropped, started.elapsed());
                    self.condition.ready();
                    backoff.reset();
                    self.interval
                }
                Err(Failure { reason, retry_after, .. }) => {
                    self.metrics.resync_failed(&reason);
                    self.condition.missing(format!(
                        "Compute API, listing instances of project {}: {reason}",
                        self.compute.project
                    ));
                    backoff.pause().max(retry_after.unwrap_or_default())
                }
            };
            sleep(pause).await;
        }
    }

    /// Passes on every page and says how many instances there were.
    async fn list(&self) -> Result<usize, Failure> {
        let _ = self.inputs.send(Input::ListingBegun).await;
        let mut count = 0;
        let mut incomplete = None;
        let mut token = String::new();
        let mut pages = Pages::default();
        loop {
            let page = self.compute.page(&token).await?;
            incomplete = incomplete.or(page.incomplete);
            count += page.instances.len();
            let _ = self.inputs.send(Input::Listed(page.instances)).await;
            let Some(next) = page.next else { break };
            pages.follow(&next)?;
            token = next;
        }
        // What was listed is known now; but what was not may exist in the part that could not be reached.
        incomplete.map_or(Ok(count), |reason| Err(reason.into()))
    }
}

/// The Compute API. Clones share one client, with its connections and its credentials.
#[derive(Debug, Clone)]
pub(crate) struct Compute {
    endpoint: Option<Endpoint>,
    credentials: Credentials,
    project: String,
    client: Arc<OnceCell<Rest>>,
    limit: RateLimit,
    metrics: OwnMetrics,
    complained: Arc<Mutex<Option<Instant>>>,
}

impl Compute {
    /// Nothing is connected yet.
    pub(crate) fn new(
        endpoint: Option<Endpoint>,
        credentials: Credentials,
        project: String,
        metrics: OwnMetrics,
    ) -> Self {
        let (client, limit, complained) = (Arc::default(), RateLimit::default(), Arc::default());
        Self { endpoint, credentials, project, client, limit, metrics, complained }
    }

    /// The answer to a question, of at most so many bytes. Nothing is asked before the API wants to be asked again.
    async fn ask(&self, path: &[&str], query: &[(&str, &str)], most: usize) -> Result<Bytes, Failure> {
        self.limit.check()?;
        let client = self
            .client
            .get_or_try_init(async || Rest::new(self.endpoint.as_ref(), self.credentials.clone()))
            .await?;
        let answer = client.get(path, query, most).await;
        if let Err(Failure { reason, retry_after: Some(wait), .. }) = &answer {
            self.metrics.api_rate_limited();
            if self.limit.set(reason, *wait) {
                let seconds = wait.as_secs();
                tracing::warn!(reason, seconds, "the Compute API asks not to be asked for a while");
            }
        }
        answer
    }

    /// One page of `instances.aggregatedList`; the first one has no token.
    async fn page(&self, token: &str) -> Result<Page, Failure> {
        let fields = listing::fields();
        let mut query = vec![("filter", NODES), ("maxResults", PAGE), ("fields", &fields)];
        if !token.is_empty() {
            query.push(("pageToken", token));
        }
        let answer = self.ask(&[&self.project, "aggregated", "instances"], &query, LARGEST_PAGE).await?;
        Ok(Page::parse(&answer)?)
    }

    /// `instances.get`. One instance is no burden, even as a whole.
    async fn get(&self, lookup: &Lookup) -> Result<Option<Instance<'static>>, LookUpError> {
        let path = [&lookup.project, "zones", &lookup.zone, "instances", &*lookup.instance];
        let answer = match self.ask(&path, &[], LARGEST_INSTANCE).await {
            Ok(answer) => answer,
            Err(Failure { status: Some(StatusCode::NOT_FOUND), .. }) => return Ok(None),
            Err(failure) if self.is_about_the_question(lookup, &failure) => {
                return Err(LookUpError::instance(failure.reason));
            }
            Err(failure) => return Err(LookUpError::service(failure.reason, failure.retry_after)),
        };
        let useless = |error: &str| LookUpError::instance(format!("the answer describes no instance{error}"));
        let resource: Resource<'_> =
            serde_json::from_slice(&answer).map_err(|error| useless(&format!(": {error}")))?;
        let instance = resource.into_instance().ok_or_else(|| useless(""))?;
        Ok(Some(instance.into_owned()))
    }

    /// Whether a failure says nothing about other look-ups: the API does not take the name, or does not let us read
    /// another project.
    fn is_about_the_question(&self, lookup: &Lookup, failure: &Failure) -> bool {
        match failure.status {
            Some(StatusCode::BAD_REQUEST) => true,
            Some(StatusCode::FORBIDDEN) => failure.retry_after.is_none() && lookup.project != self.project,
            _ => false,
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

/// Until when the API wants not to be asked. It limits the project, not the single question, so listings and look-ups
/// share it.
#[derive(Debug, Clone, Default)]
struct RateLimit(Arc<Mutex<Option<Limited>>>);

#[derive(Debug)]
struct Limited {
    until: Instant,
    /// The API's words.
    reason: String,
}

impl RateLimit {
    /// Nothing is to be asked for so long. Says whether that is news.
    fn set(&self, reason: &str, wait: Duration) -> bool {
        let now = Instant::now();
        let Some(until) = now.checked_add(wait) else { return false };
        let mut limited = self.lock();
        let is_new = limited.as_ref().is_none_or(|limited| limited.until <= now);
        // Answers that were under way together may arrive in any order.
        if limited.as_ref().is_none_or(|limited| limited.until < until) {
            *limited = Some(Limited { until, reason: reason.to_owned() });
        }
        is_new && !wait.is_zero()
    }

    /// # Errors
    /// It is too early to ask.
    fn check(&self) -> Result<(), Failure> {
        let limited = self.lock();
        let Some(Limited { until, reason }) = &*limited else { return Ok(()) };
        let wait = until.saturating_duration_since(Instant::now());
        if wait.is_zero() {
            return Ok(());
        }
        let seconds = wait.as_secs_f64().ceil();
        let reason = format!("{reason}; to be asked again in {seconds} s");
        Err(Failure { reason, status: None, retry_after: Some(wait) })
    }

    fn lock(&self) -> MutexGuard<'_, Option<Limited>> {
        // An update is one assignment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_rate_limit_holds_until_its_end() {
        let limit = RateLimit::default();
        assert!(limit.check().is_ok());
        assert!(limit.set("HTTP 429", Duration::from_secs(30)), "it is new");
        assert!(!limit.set("HTTP 429", Duration::from_secs(10)), "a shorter one ends within it");
        tokio::time::advance(Duration::from_secs(29)).await;
        let failure = limit.check().unwrap_err();
        assert_eq!(failure.retry_after, Some(Duration::from_secs(1)));
        assert_eq!(failure.reason, "HTTP 429; to be asked again in 1 s");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(limit.check().is_ok());
        assert!(!limit.set("HTTP 503", Duration::ZERO), "nothing to wait for is no limit");
        assert!(limit.check().is_ok());
    }
}
