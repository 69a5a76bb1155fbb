//! Client of the Compute API: pages of instances and operations, and single instances.

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
use crate::provider::endpoint::Endpoint;
use crate::provider::failure::Failure;
use crate::provider::google::instance_page::{self, InstancePage};
use crate::provider::google::operation_page::{self, OperationPage};
use crate::provider::google::resource::Resource;
use crate::provider::google::rest::{ApiResponse, Rest};
use crate::source::{InstanceLookup, LookupError};

/// URL of the API if no endpoint is configured.
const DEFAULT_ENDPOINT: &str = "https://compute.googleapis.com";

/// Filter for instances that are nodes of a cluster.
const NODES: &str = "labels.goog-k8s-cluster-name:*";

/// Instances per page: the maximum of the API.
const PAGE: &str = "500";

/// Maximum size of a page in bytes. With the selected fields a page has half a megabyte. Servers that ignore the field
/// mask send some tens of megabytes.
const MAX_PAGE_BYTES: usize = 64 * 1024 * 1024;

/// Maximum size of a single instance in bytes. Its metadata, the largest part, has at most half a megabyte.
const MAX_INSTANCE_BYTES: usize = 2 * 1024 * 1024;

/// Minimum time between two warnings about failed lookups.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// The Compute API. Clones share one client with its connections and credentials.
#[derive(Debug, Clone)]
pub(crate) struct Compute {
    endpoint: Option<Endpoint>,
    credentials: Credentials,
    /// The only project, if exactly one is configured.
    only_project: Option<String>,
    client: Arc<OnceCell<Rest>>,
    limits: RateLimits,
    metrics: OwnMetrics,
    last_warning: Arc<Mutex<Option<Instant>>>,
}

impl Compute {
    /// Creates a client. It connects on the first request.
    pub(crate) fn new(
        endpoint: Option<Endpoint>,
        credentials: Credentials,
        only_project: Option<String>,
        metrics: OwnMetrics,
    ) -> Self {
        let (client, limits, last_warning) = (Arc::default(), RateLimits::default(), Arc::default());
        Self { endpoint, credentials, only_project, client, limits, metrics, last_warning }
    }

    /// Sends a request about a project and returns the response, of at most `max_bytes` bytes. While the API's rate
    /// limit applies, returns an error without a request.
    async fn request(
        &self,
        project: &str,
        path: &[&str],
        query: &[(&str, &str)],
        max_bytes: usize,
    ) -> Result<ApiResponse, Failure> {
        self.limits.check(project)?;
        let client = self
            .client
            .get_or_try_init(async || {
                Rest::new(DEFAULT_ENDPOINT, self.endpoint.as_ref(), self.credentials.clone())
            })
            .await?;
        let path: Vec<&str> = ["compute", "v1", "projects", project].iter().chain(path).copied().collect();
        let response = client.get(&path, query, max_bytes).await;
        if let Err(Failure { reason, retry_after: Some(wait), .. }) = &response {
            self.metrics.count_rate_limit();
            if self.limits.set(project, reason, *wait) {
                let seconds = wait.as_secs();
                tracing::warn!(
                    project,
                    reason,
                    seconds,
                    "the Compute API limits the request rate, requests are paused"
                );
            }
        }
        response
    }

    /// Requests a page of `instances.aggregatedList`. The first page has an empty token.
    pub(super) async fn page(&self, project: &str, token: &str) -> Result<InstancePage, Failure> {
        let fields = instance_page::fields();
        let mut query = vec![
            ("filter", NODES),
            ("maxResults", PAGE),
            // A zone that does not respond does not fail the others.
            ("returnPartialSuccess", "true"),
            ("fields", &fields),
        ];
        if !token.is_empty() {
            query.push(("pageToken", token));
        }
        let response = self.request(project, &["aggregated", "instances"], &query, MAX_PAGE_BYTES).await?;
        Ok(InstancePage::aggregated(&response.body)?)
    }

    /// Requests a page of the operations of a project or a zone. Also returns the time of the response by the API's
    /// clock. The first page has an empty token.
    pub(super) async fn operations(
        &self,
        project: &str,
        zone: Option<&str>,
        filter: &str,
        token: &str,
    ) -> Result<(OperationPage, Option<Timestamp>), Failure> {
        let fields =
            if zone.is_some() { operation_page::zone_fields() } else { operation_page::aggregated_fields() };
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
                let response =
                    self.request(project, &["zones", zone, "operations"], &query, MAX_PAGE_BYTES).await?;
                (OperationPage::of_zone(&response.body)?, response.date)
            }
            None => {
                let response =
                    self.request(project, &["aggregated", "operations"], &query, MAX_PAGE_BYTES).await?;
                (OperationPage::aggregated(&response.body)?, response.date)
            }
        })
    }

    /// Requests `instances.get`, without a field mask because a single instance is small.
    async fn get(&self, lookup: &Lookup) -> Result<Option<Instance<'static>>, LookupError> {
        let path = ["zones", &lookup.zone, "instances", &*lookup.instance];
        let response = match self.request(&lookup.project, &path, &[], MAX_INSTANCE_BYTES).await {
            Ok(response) => response,
            Err(Failure { status: Some(StatusCode::NOT_FOUND), .. }) => return Ok(None),
            Err(failure) if self.affects_only_this_lookup(lookup, &failure) => {
                return Err(LookupError::instance(failure.reason));
            }
            Err(failure) => return Err(LookupError::service(failure.reason, failure.retry_after)),
        };
        let invalid =
            |error: &str| LookupError::instance(format!("the response describes no instance{error}"));
        let resource: Resource<'_> =
            serde_json::from_slice(&response.body).map_err(|error| invalid(&format!(": {error}")))?;
        let instance = resource.into_instance().ok_or_else(|| invalid(""))?;
        Ok(Some(instance.into_owned()))
    }

    /// Whether a failure does not affect other lookups: the API rejects the name, or denies access to one of several
    /// projects.
    fn affects_only_this_lookup(&self, lookup: &Lookup, failure: &Failure) -> bool {
        let is_one_of_several = self.only_project.as_ref() != Some(&lookup.project);
        match failure.status {
            Some(StatusCode::BAD_REQUEST) => true,
            Some(StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS) => is_one_of_several,
            // Not sent because of a rate limit.
            None if failure.retry_after.is_some() => is_one_of_several,
            _ => false,
        }
    }

    /// Logs a failed lookup. Lookups fail in large numbers, so the warnings are rate-limited.
    fn warn_of_failure(&self, lookup: &Lookup, reason: &str) {
        let mut last_warning = self.last_warning.lock().unwrap_or_else(PoisonError::into_inner);
        if last_warning.is_none_or(|last| last.elapsed() > WARNING_INTERVAL) {
            *last_warning = Some(Instant::now());
            let (zone, instance) = (&lookup.zone, &lookup.instance);
            tracing::warn!(zone, instance, reason, "cannot look an instance up");
        }
    }
}

impl InstanceLookup for Compute {
    async fn lookup(&self, lookup: &Lookup) -> Result<Option<Instance<'static>>, LookupError> {
        // The names come from a message and become part of the path of an authenticated request.
        if ![&lookup.project, &lookup.zone, &lookup.instance].into_iter().all(|name| is_name(name)) {
            return Ok(None);
        }
        let response = self.get(lookup).await;
        if let Err(error) = &response {
            self.warn_of_failure(lookup, &error.reason);
        }
        response
    }
}

/// Until when requests about a project are rate-limited. The API limits each project, so listings and lookups share
/// this.
#[derive(Debug, Clone, Default)]
struct RateLimits(Arc<Mutex<HashMap<String, Limited>>>);

#[derive(Debug)]
struct Limited {
    until: Instant,
    /// Message of the API.
    reason: String,
}

impl RateLimits {
    /// Starts a rate limit of a project. Returns whether none applied before.
    fn set(&self, project: &str, reason: &str, wait: Duration) -> bool {
        let now = Instant::now();
        let Some(until) = now.checked_add(wait) else { return false };
        let mut limits = self.lock();
        limits.retain(|_, limited| limited.until > now);
        let before = limits.get(project).map(|limited| limited.until);
        // Concurrent responses can arrive in any order.
        if !wait.is_zero() && before.is_none_or(|before| before < until) {
            limits.insert(project.to_owned(), Limited { until, reason: reason.to_owned() });
        }
        before.is_none() && !wait.is_zero()
    }

    /// Checks whether requests about a project are allowed.
    ///
    /// # Errors
    /// Returns an error while a rate limit applies.
    fn check(&self, project: &str) -> Result<(), Failure> {
        let limits = self.lock();
        let Some(Limited { until, reason }) = limits.get(project) else { return Ok(()) };
        let wait = until.saturating_duration_since(Instant::now());
        if wait.is_zero() {
            return Ok(());
        }
        let seconds = wait.as_secs_f64().ceil();
        let reason = format!("{reason}; next request in {seconds} s");
        Err(Failure { retry_after: Some(wait), ..Failure::from(reason) })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Limited>> {
        // A poisoned lock is safe to use: each update is one assignment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a text can be a project id or the name of a zone or an instance, without characters that have a meaning in
/// URLs.
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
    async fn rate_limit_applies_until_it_expires() {
        let limit = RateLimits::default();
        assert!(limit.check("p").is_ok());
        assert!(limit.set("p", "HTTP 429", Duration::from_secs(30)), "no limit applied before");
        assert!(!limit.set("p", "HTTP 429", Duration::from_secs(10)), "a shorter limit changes nothing");
        tokio::time::advance(Duration::from_secs(29)).await;
        assert!(limit.check("q").is_ok(), "another project is not limited");
        let failure = limit.check("p").unwrap_err();
        assert_eq!(failure.retry_after, Some(Duration::from_secs(1)));
        assert_eq!(failure.reason, "HTTP 429; next request in 1 s");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(limit.check("p").is_ok());
        assert!(!limit.set("p", "HTTP 503", Duration::ZERO), "a delay of zero is not a limit");
        assert!(limit.check("p").is_ok());
    }
}
