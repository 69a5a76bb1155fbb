//! Finds the projects of folders and organisations by [searches] in Cloud Asset Inventory.
//!
//! Only projects are searched. Their instances are listed by the Compute API, because the index of Cloud Asset
//! Inventory is delayed.
//!
//! [searches]: https://cloud.google.com/asset-inventory/docs/reference/rest/v1/TopLevel/searchAllResources

use std::collections::BTreeSet;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use exporter_common::backoff::Backoff;
use google_cloud_auth::credentials::Credentials;
use serde::Deserialize;
use tokio::sync::OnceCell;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::names::{ProjectNumbers, is_project_id, project_number};
use super::rest::Rest;
use crate::provider::endpoint::Endpoint;
use crate::provider::failure::Failure;
use crate::provider::pages::Pages;

/// URL of the API if no endpoint is configured.
const DEFAULT_ENDPOINT: &str = "https://cloudasset.googleapis.com";

const PROJECTS: &str = "cloudresourcemanager.googleapis.com/Project";

/// Maximum size of a page in bytes.
const MAX_PAGE_BYTES: usize = 16 * 1024 * 1024;

/// Interval between two searches.
const INTERVAL: Duration = Duration::from_secs(3_600);

/// Minimum interval between two searches that are triggered by events of unknown projects.
const MIN_INTERVAL: Duration = Duration::from_secs(60);

/// Delay before a failed search is repeated.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const MAX_PAUSE: Duration = Duration::from_secs(5 * 60);

/// Repeats the search for projects.
#[derive(Debug)]
pub(super) struct Discovery {
    search: Arc<Search>,
    running: JoinSet<Result<BTreeSet<String>, Failure>>,
    next: Instant,
    /// Start of the last search.
    last: Option<Instant>,
    /// Whether another search was requested since its start.
    is_wanted: bool,
    backoff: Backoff,
}

/// What to search for, and where.
#[derive(Debug)]
pub(super) struct Search {
    /// Folders and organisations, such as `folders/1`.
    pub(super) parents: Vec<String>,
    /// Query that narrows the search.
    pub(super) query: Option<String>,
    pub(super) endpoint: Option<Endpoint>,
    pub(super) credentials: Credentials,
    pub(super) client: OnceCell<Rest>,
    /// Receives the numbers of the projects.
    pub(super) numbers: ProjectNumbers,
}

impl Discovery {
    /// The first search is due immediately.
    pub(super) fn new(search: Search) -> Self {
        Self {
            search: Arc::new(search),
            running: JoinSet::new(),
            next: Instant::now(),
            last: None,
            is_wanted: false,
            backoff: Backoff::new(FIRST_PAUSE, MAX_PAUSE),
        }
    }

    /// Waits until the next search ends and returns the ids of the found projects. Cancel safe.
    ///
    /// # Errors
    /// Returns an error if the search has failed.
    ///
    /// # Panics
    /// If the search panicked, which is a defect of this program.
    pub(super) async fn count_search(&mut self) -> Result<BTreeSet<String>, Failure> {
        if self.running.is_empty() {
            sleep_until(self.next).await;
            self.last = Some(Instant::now());
            self.is_wanted = false;
            let search = Arc::clone(&self.search);
            self.running.spawn(async move { search.run().await });
        }
        let Some(found) = self.running.join_next().await else { return std::future::pending().await };
        let found = found.unwrap_or_else(|error| resume_unwind(error.into_panic()));
        let pause = match &found {
            Ok(_) => {
                self.backoff.reset();
                INTERVAL
            }
            Err(Failure { retry_after, .. }) => self.backoff.pause().max(retry_after.unwrap_or_default()),
        };
        self.next = Instant::now() + pause;
        if self.is_wanted {
            self.search_soon();
        }
        found
    }

    /// Requests a search before the interval ends, because an event named an unknown project.
    pub(super) fn search_soon(&mut self) {
        self.is_wanted = true;
        let earliest = self.last.map_or_else(Instant::now, |last| last + MIN_INTERVAL);
        self.next = self.next.min(earliest);
    }
}

impl Search {
    /// Searches once. Returns the ids of all projects.
    async fn run(&self) -> Result<BTreeSet<String>, Failure> {
        let client = self
            .client
            .get_or_try_init(async || {
                Rest::new(DEFAULT_ENDPOINT, self.endpoint.as_ref(), self.credentials.clone())
            })
            .await?;
        let mut found = BTreeSet::new();
        for parent in &self.parents {
            let path: Vec<&str> = parent.split('/').collect();
            let [kind, id] = path[..] else { continue };
            let method = format!("{id}:searchAllResources");
            let mut token = String::new();
            let mut pages = Pages::default();
            loop {
                let mut query = vec![("assetTypes", PROJECTS), ("pageSize", "500")];
                query.extend(self.query.as_deref().map(|text| ("query", text)));
                if !token.is_empty() {
                    query.push(("pageToken", &token));
                }
                let response = client.get(&["v1", kind, &method], &query, MAX_PAGE_BYTES).await;
                let page =
                    response.and_then(|response| Ok(Page::parse(&response.body)?)).map_err(|failure| {
                        Failure { reason: format!("{parent}: {}", failure.reason), ..failure }
                    })?;
                for project in page.results.into_iter().flatten() {
                    let (id, number) = project.names();
                    let Some(id) = id.filter(|_| project.is_active()) else { continue };
                    if let Some(number) = number {
                        self.numbers.insert(number, id);
                    }
                    found.insert(id.to_owned());
                }
                let Some(next) = page.next_page_token.filter(|token| !token.is_empty()) else { break };
                pages.follow(&next)?;
                token = next;
            }
        }
        Ok(found)
    }
}

/// A page of results.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    results: Option<Vec<FoundProject>>,
    next_page_token: Option<String>,
}

/// A project in the results.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FoundProject {
    /// `//cloudresourcemanager.googleapis.com/projects/ID`
    name: Option<String>,
    /// `projects/NUMBER`
    project: Option<String>,
    state: Option<String>,
    additional_attributes: Option<Attributes>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Attributes {
    project_id: Option<String>,
}

impl Page {
    fn parse(response: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(response)
            .map_err(|error| format!("the response is not a list of search results: {error}"))
    }
}

impl FoundProject {
    /// Whether the project is not marked for deletion.
    fn is_active(&self) -> bool {
        self.state.as_deref().is_none_or(|state| state == "ACTIVE")
    }

    /// The id and the number.
    fn names(&self) -> (Option<&str>, Option<u64>) {
        let attribute =
            self.additional_attributes.as_ref().and_then(|attributes| attributes.project_id.as_deref());
        let named = self.name.as_deref().and_then(|name| name.rsplit_once("/projects/")).map(|(_, id)| id);
        let id = attribute.or(named).filter(|id| !id.is_empty() && is_project_id(id));
        (id, self.project.as_deref().and_then(project_number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_id_and_number_of_a_project() {
        let page = Page::parse(
            br#"{"results": [
                {"name": "//cloudresourcemanager.googleapis.com/projects/a", "project": "projects/1", "state": "ACTIVE",
                 "additionalAttributes": {"projectId": "a", "other": {}}},
                {"name": "//cloudresourcemanager.googleapis.com/projects/b", "state": "DELETE_REQUESTED"},
                {"name": "//cloudresourcemanager.googleapis.com/projects/c"},
                {"name": "//cloudresourcemanager.googleapis.com/projects/7"}, {}], "nextPageToken": "t"}"#,
        )
        .unwrap();
        let found = page.results.unwrap();
        let names: Vec<_> = found.iter().map(FoundProject::names).collect();
        let expected =
            [(Some("a"), Some(1)), (Some("b"), None), (Some("c"), None), (None, None), (None, None)];
        assert_eq!(names, expected);
        let active: Vec<_> = found.iter().map(FoundProject::is_active).collect();
        assert_eq!(active, [true, false, true, true, true]);
        assert_eq!(page.next_page_token.as_deref(), Some("t"));
    }

    #[test]
    fn rejects_a_response_that_is_not_a_page() {
        for response in ["", "null", "[]", "<html>", r#"{"results": {}}"#, r#"{"results": [7]}"#] {
            let error = Page::parse(response.as_bytes()).unwrap_err();
            assert!(error.starts_with("the response is not a list of search results: "), "{error}");
        }
    }
}
