//! The Compute API: pages of a project's instances, and single ones.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use google_cloud_auth::credentials::Credentials;
use http::StatusCode;
use jiff::Timestamp;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::attribution::Lookup;
use crate::instance::Instance;
use crate::metrics::OwnMetrics;
use crate::provider::google::config::Endpoint;
use crate::provider::google::listing::{self, InstancePage};
use crate::provider::google::operation::{self, OperationPage};
use crate::provider::google::resource::Resource;
use crate::provider::google::rest::{Answer, Failure, Rest};
use crate::source::{LookUp, LookUpError};

/// Where the API is, unless something else is configured.
const GOOGLE: &str = "https://compute.googleapis.com";

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

/// The Compute API. Clones share one client, with its connections and its credentials.
#[derive(Debug, Clone)]
pub(crate) struct Compute {
    endpoint: Option<Endpoint>,
    credentials: Credentials,
    /// The one whose instances are asked for, where there is only one.
    only_project: Option<String>,
    client: Arc<OnceCell<Rest>>,
    limits: RateLimits,
    metrics: OwnMetrics,
    complained: Arc<Mutex<Option<Instant>>>,
}

impl Compute {
    /// Nothing is connected yet.
    pub(crate) fn new(
        endpoint: Option<Endpoint>,
        credentials: Credentials,
        only_project: Option<String>,
        metrics: OwnMetrics,
    ) -> Self {
        let (client, limits, complained) = (Arc::default(), RateLimits::default(), Arc::default());
        Self { endpoint, credentials, only_project, client, limits, metrics, complained }
    }

    /// The answer to a question about a project, of at most so many bytes. Nothing is asked before the API wants to be
    /// asked again.
    async fn ask(
        &self,
        project: &str,
        path: &[&str],
        query: &[(&str, &str)],
        most: usize,
    ) -> Result<Answer, Failure> {
        self.limits.check(project)?;
        let client = self
            .client
            .get_or_try_init(async || Rest::new(GOOGLE, self.endpoint.as_ref(), self.credentials.clone()))
            .await?;
        let path: Vec<&str> = ["compute", "v1", "projects", project].iter().chain(path).copied().collect();
        let answer = client.get(&path, query, most).await;
        if let Err(Failure { reason, retry_after: Some(wait), .. }) = &answer {
            self.metrics.api_rate_limited();
            if self.limits.set(project, reason, *wait) {
                let seconds = wait.as_secs();
                tracing::warn!(project, reason, seconds, "the Compute API asks not to be asked for a while");
            }
        }
        answer
    }

    /// One page of `instances.aggregatedList`; the first one has no token.
    pub(super) async fn page(&self, project: &str, token: &str) -> Result<InstancePage, Failure> {
        let fields = listing::fields();
        let mut query = vec![
            ("filter", NODES),
            ("maxResults", PAGE),
            // A zone that does not answer costs no other.
            ("returnPartialSuccess", "true"),
            ("fields", &fields),
        ];
        if !token.is_empty() {
            query.push(("pageToken", token));
        }
        let answer = self.ask(project, &["aggregated", "instances"], &query, LARGEST_PAGE).await?;
        Ok(InstancePage::aggregated(&answer.body)?)
    }

    /// One page of a project's or a zone's operations, and when it was made by the API's clock; the first one has no
    /// token.
    pub(super) async fn operations(
        &self,
        project: &str,
        zone: Option<&str>,
        filter: &str,
        token: &str,
    ) -> Result<(OperationPage, Option<Timestamp>), Failure> {
        let fields = if zone.is_some() { operation::zone_fields() } else { operation::aggregated_fields() };
        let mut query = vec![
            ("filter", filter),
            ("maxResults", PAGE),
            ("returnPartialSuccess", "true"),
            ("fields", &fields),
        ];
        if !token.is_empty() {
            query.push(("pageToken", token));
        }
        Ok(match zone {
            Some(zone) => {
                let answer = self.ask(project, &["zones", zone, "operations"], &query, LARGEST_PAGE).await?;
                (OperationPage::of_zone(&answer.body)?, answer.date)
            }
            None => {
                let answer = self.ask(project, &["aggregated", "operations"], &query, LARGEST_PAGE).await?;
                (OperationPage::aggregated(&answer.body)?, answer.date)
            }
        })
    }

    /// `instances.get`. One instance is no burden, even as a whole.
    async fn get(&self, lookup: &Lookup) -> Result<Option<Instance<'static>>, LookUpError> {
        let path = ["zones", &lookup.zone, "instances", &*lookup.instance];
        let answer = match self.ask(&lookup.project, &path, &[], LARGEST_INSTANCE).await {
            Ok(answer) => answer,
            Err(Failure { status: Some(StatusCode::NOT_FOUND), .. }) => return Ok(None),
            Err(failure) if self.is_about_the_question(lookup, &failure) => {
                return Err(LookUpError::instance(failure.reason));
            }
            Err(failure) => return Err(LookUpError::service(failure.reason, failure.retry_after)),
        };
        let useless = |error: &str| LookUpError::instance(format!("the answer describes no instance{error}"));
        let resource: Resource<'_> =
            serde_json::from_slice(&answer.body).map_err(|error| useless(&format!(": {error}")))?;
        let instance = resource.into_instance().ok_or_else(|| useless(""))?;
        Ok(Some(instance.into_owned()))
    }

    /// Whether a failure says nothing about other look-ups: the API does not take the name, or refuses one project of
    /// several.
    fn is_about_the_question(&self, lookup: &Lookup, failure: &Failure) -> bool {
        let is_one_of_several = self.only_project.as_ref() != Some(&lookup.project);
        match failure.status {
            Some(StatusCode::BAD_REQUEST) => true,
            Some(StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS) => is_one_of_several,
            // Too early to ask again.
            None if failure.retry_after.is_some() => is_one_of_several,
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

/// Until when the API wants not to be asked about a project. It limits the project, not the single question, so listings
/// and look-ups share it.
#[derive(Debug, Clone, Default)]
struct RateLimits(Arc<Mutex<HashMap<String, Limited>>>);

#[derive(Debug)]
struct Limited {
    until: Instant,
    /// The API's words.
    reason: String,
}

impl RateLimits {
    /// Nothing is to be asked about a project for so long. Says whether that is news.
    fn set(&self, project: &str, reason: &str, wait: Duration) -> bool {
        let now = Instant::now();
        let Some(until) = now.checked_add(wait) else { return false };
        let mut limits = self.lock();
        limits.retain(|_, limited| limited.until > now);
        let before = limits.get(project).map(|limited| limited.until);
        // Answers that were under way together may arrive in any order.
        if !wait.is_zero() && before.is_none_or(|before| before < until) {
            limits.insert(project.to_owned(), Limited { until, reason: reason.to_owned() });
        }
        before.is_none() && !wait.is_zero()
    }

    /// # Errors
    /// It is too early to ask.
    fn check(&self, project: &str) -> Result<(), Failure> {
        let limits = self.lock();
        let Some(Limited { until, reason }) = limits.get(project) else { return Ok(()) };
        let wait = until.saturating_duration_since(Instant::now());
        if wait.is_zero() {
            return Ok(());
        }
        let seconds = wait.as_secs_f64().ceil();
        let reason = format!("{reason}; to be asked again in {seconds} s");
        Err(Failure { retry_after: Some(wait), ..Failure::from(reason) })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Limited>> {
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
        let limit = RateLimits::default();
        assert!(limit.check("p").is_ok());
        assert!(limit.set("p", "HTTP 429", Duration::from_secs(30)), "it is new");
        assert!(!limit.set("p", "HTTP 429", Duration::from_secs(10)), "a shorter one ends within it");
        tokio::time::advance(Duration::from_secs(29)).await;
        assert!(limit.check("q").is_ok(), "another project is not limited");
        let failure = limit.check("p").unwrap_err();
        assert_eq!(failure.retry_after, Some(Duration::from_secs(1)));
        assert_eq!(failure.reason, "HTTP 429; to be asked again in 1 s");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(limit.check("p").is_ok());
        assert!(!limit.set("p", "HTTP 503", Duration::ZERO), "nothing to wait for is no limit");
        assert!(limit.check("p").is_ok());
    }
}
