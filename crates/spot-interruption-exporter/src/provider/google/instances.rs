//! Lists the instances of every project at intervals.
//!
//! Each project is a separate [`Scope`] with its own schedule, backoff and failures. Four projects are listed at the
//! same time. The projects are those in the configuration and those that [`Discovery`] finds.

use std::collections::BTreeSet;
use std::time::Duration;

use exporter_common::failure_log::LogLine;
use exporter_common::readiness::Condition;
use http::StatusCode;
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};

use super::NAME;
use super::compute::Compute;
use super::discovery::Discovery;
use crate::inventory::{Scope, Unseen};
use crate::metrics::{OwnMetrics, ScopeState};
use crate::provider::Token;
use crate::provider::failure::Failure;
use crate::provider::pages::Pages;
use crate::provider::schedule::{Outcome, Schedule};
use crate::source::Input;

/// Maximum time for the listing of a project, all pages included.
const LISTING_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// Delay before a discovered project is listed again that may not be listed. There can be many of them.
const REFUSED_PAUSE: Duration = Duration::from_secs(5 * 60);

/// The readiness conditions of the listings.
#[derive(Debug)]
pub(super) struct Conditions {
    /// At least one project is listed, and each was tried.
    pub(super) listed: Condition,
    /// Every project is listed completely.
    pub(super) whole: Condition,
    /// Projects can be discovered.
    pub(super) discovery: Option<Condition>,
}

/// Lists the instances of every project and sends them to the pipeline.
#[derive(Debug)]
pub(super) struct InstanceListings {
    pub(super) compute: Compute,
    /// Interval between two listings of a project.
    pub(super) interval: Duration,
    /// The configured projects.
    pub(super) configured: Vec<String>,
    pub(super) discovery: Option<Discovery>,
    pub(super) conditions: Conditions,
    pub(super) metrics: OwnMetrics,
    pub(super) inputs: mpsc::Sender<Input<Token>>,
    /// Publishes the scopes that are listed.
    pub(super) listed: watch::Sender<BTreeSet<Scope>>,
    /// Projects that events name and that are in no scope.
    pub(super) unlisted: mpsc::UnboundedReceiver<Scope>,
}

/// The projects with their running listings.
type Projects = Schedule<Project, Result<Listing, Failure>>;

/// A finished listing, complete or partial.
#[derive(Debug)]
struct Listing {
    instances: usize,
    /// Number of instances that were removed because the listing did not contain them.
    gone: usize,
    /// Why the listing is partial.
    partial: Option<String>,
    took: Duration,
}

/// State of a project.
#[derive(Debug)]
struct Project {
    is_configured: bool,
    /// End of the last listing that did not fail.
    listed_at: Option<Timestamp>,
}

impl InstanceListings {
    /// Runs until the pipeline ends.
    ///
    /// # Panics
    /// If a listing panicked, which is a defect of this program.
    pub(super) async fn run(mut self) {
        let mut projects = Projects::new();
        let mut unlisted = BTreeSet::new();
        let mut were_all_tried = false;
        let mut is_discovered = self.discovery.is_none();
        self.set_projects(&mut projects, &BTreeSet::new());
        if self.announce(&projects, is_discovered).await.is_err() {
            return;
        }
        loop {
            let list = |scope: &Scope, project: &Project| {
                let lister = Lister { compute: self.compute.clone(), inputs: self.inputs.clone() };
                lister.run(scope.clone(), project.is_configured)
            };
            let count_search = async {
                match &mut self.discovery {
                    Some(discovery) => discovery.count_search().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                (scope, listed) = projects.next_result(list) => self.note(&scope, &mut projects, listed),
                found = count_search => {
                    is_discovered = true;
                    if let Some(found) = self.note_search(found) {
                        self.set_projects(&mut projects, &found);
                        report_unlisted(&mut unlisted, &projects);
                    }
                    if self.announce(&projects, true).await.is_err() {
                        return;
                    }
                }
                Some(scope) = self.unlisted.recv() => {
                    unlisted.insert(scope);
                    match &mut self.discovery {
                        Some(discovery) => discovery.search_soon(),
                        None => report_unlisted(&mut unlisted, &projects),
                    }
                }
                () = self.inputs.closed() => return,
            }
            were_all_tried |= is_discovered && projects.outcomes().all(|(_, outcome)| outcome.is_some());
            self.report(&projects, were_all_tried);
        }
    }

    /// Sets the projects to the configured and the discovered ones.
    fn set_projects(&self, projects: &mut Projects, found: &BTreeSet<String>) {
        let scopes = |ids: &mut dyn Iterator<Item = &String>| -> BTreeSet<Scope> {
            ids.map(|id| Scope::project(id.as_str())).collect()
        };
        let configured = scopes(&mut self.configured.iter());
        let all = &configured | &scopes(&mut found.iter());
        let new = |scope: &Scope| Project { is_configured: configured.contains(scope), listed_at: None };
        for gone in projects.set(&all, new) {
            let project = gone.name();
            tracing::warn!(project, "the project is no longer found and is not listed from now on");
        }
        self.listed.send_replace(all);
    }

    /// Sends the scopes to the pipeline.
    async fn announce(
        &self,
        projects: &Projects,
        is_discovered: bool,
    ) -> Result<(), mpsc::error::SendError<Input<Token>>> {
        let scopes = projects.scopes().cloned().collect();
        self.inputs.send(Input::Scopes { scopes, are_more_pending: !is_discovered }).await
    }

    /// Processes the result of a search for projects.
    fn note_search(&self, found: Result<BTreeSet<String>, Failure>) -> Option<BTreeSet<String>> {
        self.metrics.count_search(found.is_ok());
        match found {
            Ok(found) => {
                tracing::debug!(projects = found.len(), "searched for projects");
                if let Some(condition) = &self.conditions.discovery {
                    condition.ready();
                }
                Some(found)
            }
            Err(Failure { reason, .. }) => {
                tracing::warn!(reason, "cannot search for projects; the known ones stay");
                if let Some(condition) = &self.conditions.discovery {
                    condition.missing(format!("Cloud Asset API, searching for projects: {reason}"));
                }
                None
            }
        }
    }

    /// Counts and logs the result of a listing, and schedules the next one.
    fn note(&self, scope: &Scope, projects: &mut Projects, listed: Result<Listing, Failure>) {
        let was_complete = projects.outcome(scope) == Some(&Outcome::Complete);
        let line = match &listed {
            Ok(Listing { partial: None, .. }) => projects.succeeded(scope, self.interval),
            Ok(Listing { partial: Some(reason), .. }) => {
                projects.impaired(scope, self.interval, Outcome::Partial(reason.clone()))
            }
            Err(failure) => projects.failed(scope, failure),
        };
        let name = scope.name();
        let is_refused = matches!(
            &listed,
            Err(Failure { status: Some(StatusCode::FORBIDDEN | StatusCode::NOT_FOUND), .. })
        );
        if is_refused && projects.get_mut(scope).is_some_and(|project| !project.is_configured) {
            projects.postpone(scope, REFUSED_PAUSE);
        }
        // The project may have been removed meanwhile.
        let Some(project) = projects.get_mut(scope) else { return };
        match listed {
            Ok(Listing { instances, gone, partial, took }) => {
                let seconds = took.as_secs_f64();
                project.listed_at = Some(Timestamp::now());
                self.metrics.count_listing(partial.is_none());
                if let Some(reason) = partial {
                    if line.is_some() {
                        tracing::warn!(
                            project = name,
                            reason,
                            instances,
                            gone,
                            "listed the instances partially"
                        );
                    }
                } else if gone > 0 || !was_complete {
                    tracing::info!(project = name, instances, gone, seconds, "listed all instances");
                } else {
                    tracing::debug!(project = name, instances, gone, seconds, "listed all instances");
                }
            }
            Err(Failure { reason, .. }) => {
                self.metrics.count_failed_listing();
                match line {
                    Some(LogLine::StillFailing { failures, .. }) => {
                        tracing::warn!(project = name, reason, failures, "still cannot list all instances");
                    }
                    Some(_) => tracing::warn!(project = name, reason, "cannot list all instances"),
                    None => tracing::debug!(project = name, reason, "cannot list all instances"),
                }
            }
        }
    }

    /// Updates metrics and `/ready`.
    fn report(&self, projects: &Projects, were_all_tried: bool) {
        let states = self.metrics.scopes.set(NAME, projects.states());
        let complete = states.number(ScopeState::Complete);
        let partial = states.number(ScopeState::Partial);
        let failing = states.number(ScopeState::Failing);
        if let Some(oldest) = projects.iter().filter_map(|(_, project)| project.listed_at).min() {
            self.metrics.set_last_listing(NAME, oldest);
        }
        let failures = projects.problems(|state| state == ScopeState::Failing);
        let number = projects.len();
        if let Some((scope, Some(Outcome::Failed(reason)))) =
            projects.outcomes().next().filter(|_| number == 1)
        {
            let reason = format!("Compute API, listing instances of project {scope}: {reason}");
            self.conditions.listed.missing(reason);
        } else if !were_all_tried {
            let mut reason = "Compute API: the first listing of all instances is not complete yet".to_owned();
            if failing > 0 {
                reason.push_str(&format!("; {failing} of {number} projects cannot be listed: {failures}"));
            }
            self.conditions.listed.missing(reason);
        } else if complete + partial == 0 && failing > 0 {
            let reason = format!("Compute API: none of {number} projects can be listed: {failures}");
            self.conditions.listed.missing(reason);
        } else {
            self.conditions.listed.ready();
        }
        let mut impaired = Vec::new();
        if failing > 0 && complete + partial > 0 {
            impaired
                .push(format!("Compute API: {failing} of {number} projects cannot be listed: {failures}"));
        }
        if partial > 0 {
            let parts = projects.problems(|state| state == ScopeState::Partial);
            impaired.push(format!("Compute API: {partial} of {number} projects listed partially: {parts}"));
        }
        match impaired.is_empty() {
            true => self.conditions.whole.ready(),
            false => self.conditions.whole.missing(impaired.join("; ")),
        }
    }
}

/// Logs the projects that events name and that are not listed, each once.
fn report_unlisted(unlisted: &mut BTreeSet<Scope>, projects: &Projects) {
    for scope in std::mem::take(unlisted) {
        if !projects.contains(&scope) {
            let project = scope.name();
            tracing::warn!(
                project,
                "events come from a project that is not listed: its nodes are known by events only; add it to gcp.projects"
            );
        }
    }
}

/// Lists one project.
#[derive(Debug)]
struct Lister {
    compute: Compute,
    inputs: mpsc::Sender<Input<Token>>,
}

impl Lister {
    async fn run(self, scope: Scope, is_configured: bool) -> Result<Listing, Failure> {
        let started = Instant::now();
        let listed = timeout(LISTING_TIMEOUT, self.list(&scope)).await.unwrap_or_else(|_| {
            Err(Failure::from(format!("the listing did not end within {} s", LISTING_TIMEOUT.as_secs())))
        });
        let (instances, unseen, partial) = match listed {
            Ok(listed) => listed,
            // Without the API there are no instances. For a discovered project this is not an error.
            Err(Failure { is_disabled: true, .. }) if !is_configured => (0, Unseen::default(), None),
            Err(failure) => {
                // Without a pipeline the result is not needed.
                let _ = self.inputs.send(Input::ListingFailed(scope)).await;
                return Err(failure);
            }
        };
        let (sender, gone) = tokio::sync::oneshot::channel();
        let finished = Input::ListingFinished { scope, unseen, gone: sender };
        let _ = self.inputs.send(finished).await;
        let gone = gone.await.unwrap_or_default();
        let took = started.elapsed();
        Ok(Listing { instances, gone, partial, took })
    }

    /// Sends every page to the pipeline. Returns the number of instances, the parts that could not be listed, and the
    /// reason.
    async fn list(&self, scope: &Scope) -> Result<(usize, Unseen, Option<String>), Failure> {
        let _ = self.inputs.send(Input::ListingStarted(scope.clone())).await;
        let (mut count, mut unseen, mut partial) = (0, Unseen::default(), None);
        let mut token = String::new();
        let mut pages = Pages::default();
        loop {
            let mut page = self.compute.page(scope.name(), &token).await?;
            unseen.extend(page.unseen);
            partial = partial.or(page.reason);
            count += page.items.len();
            for instance in &mut page.items {
                instance.instance.project = Some(scope.name().to_owned().into());
            }
            let _ = self.inputs.send(Input::ListingPage(scope.clone(), page.items)).await;
            let Some(next) = page.next else { break };
            pages.follow(&next)?;
            token = next;
        }
        Ok((count, unseen, partial))
    }
}
