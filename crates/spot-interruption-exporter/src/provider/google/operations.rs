//! Lists Compute Engine's operations of every project at intervals: preemptions, whether Pub/Sub reports them or not,
//! and, in place of Pub/Sub, creations.
//!
//! Listings overlap, because operations appear late and out of order. Each operation is sent to the pipeline once, and
//! the pipeline drops those whose event is already counted. The cursor of a project is a time by the API's clock, from
//! the `Date` header of its responses, so the clock of this host does not matter.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use exporter_common::failure_log::LogLine;
use exporter_common::readiness::Condition;
use http::StatusCode;
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};

use super::NAME;
use super::audit_log::InterruptionMethods;
use super::compute::Compute;
use super::config::OperationsMode;
use super::operation_page::{INSERT, Operation};
use super::page::Page;
use crate::attribution::OPERATION_LATENESS;
use crate::inventory::Scope;
use crate::metrics::{OwnMetrics, ScopeState};
use crate::provider::Token;
use crate::provider::failure::Failure;
use crate::provider::pages::Pages;
use crate::provider::schedule::{Outcome, Schedule};
use crate::source::{Input, Queue};

/// The filter sent to the API starts this much earlier than needed, because the API may compare times as texts in
/// another time zone. The exact comparison is done here.
const MARGIN: Duration = Duration::from_secs(24 * 60 * 60);

/// Maximum number of operations that the API lists. A listing with this many may be incomplete.
const MAX_LISTED: usize = 5_000;

/// Maximum time for the listing of a project, all pages included.
const LISTING_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Interval between attempts for a project whose operations cannot be listed.
const OFF_INTERVAL: Duration = Duration::from_secs(10 * 60);

/// Lists the operations of every project and sends them to the pipeline.
#[derive(Debug)]
pub(super) struct OperationsListings {
    pub(super) compute: Compute,
    pub(super) methods: InterruptionMethods,
    /// Whether operations replace lost messages, or Pub/Sub.
    pub(super) mode: OperationsMode,
    /// Interval between two listings of a project.
    pub(super) interval: Duration,
    /// For each project, the time up to which its operations are processed, from the durable state.
    pub(super) cursors: BTreeMap<Scope, Timestamp>,
    pub(super) condition: Condition,
    pub(super) metrics: OwnMetrics,
    pub(super) inputs: mpsc::Sender<Input<Token>>,
    /// The scopes to list.
    pub(super) scopes: watch::Receiver<BTreeSet<Scope>>,
}

/// State of a project.
#[derive(Debug)]
struct Project {
    /// Time by the API's clock up to which operations were sent, except operations that appear late.
    cursor: Option<Timestamp>,
    /// When the exporter started to watch the project, by this host's clock.
    watched_since: Timestamp,
    /// Operations before this time by the API's clock are not needed.
    floor: Option<Timestamp>,
    /// Sent operations, from slightly before the cursor.
    sent: HashMap<String, Timestamp>,
    /// Start of the last complete listing. Before the first listing there is nothing to wait for, unless a cursor from
    /// an earlier process exists.
    listed_at: Option<Instant>,
}

/// The projects with their running listings.
type Projects = Schedule<Project, Result<Listed, Failure>>;

/// Request for a listing.
#[derive(Debug)]
struct Wanted {
    cursor: Option<Timestamp>,
    floor: Option<Timestamp>,
    watched_since: Timestamp,
}

/// A finished listing.
#[derive(Debug)]
struct Listed {
    operations: Vec<Operation>,
    /// The time from which the listing is complete.
    from: Timestamp,
    /// Start of the listing by the API's clock.
    date: Timestamp,
    began: Instant,
    /// Why the listing is partial.
    partial: Option<String>,
}

impl OperationsListings {
    /// Runs until the pipeline ends.
    ///
    /// # Panics
    /// If a listing panicked, which is a defect of this program.
    pub(super) async fn run(mut self) {
        let mut projects = Projects::new();
        let mut number = 0;
        let listed = self.scopes.borrow_and_update().clone();
        self.set_projects(&mut projects, &listed);
        loop {
            let list = |scope: &Scope, project: &Project| {
                let lister = Lister {
                    compute: self.compute.clone(),
                    methods: self.methods.clone(),
                    inserts: self.mode == OperationsMode::Source,
                    scope: scope.clone(),
                };
                lister.run(Wanted {
                    cursor: project.cursor,
                    floor: project.floor,
                    watched_since: project.watched_since,
                })
            };
            tokio::select! {
                (scope, listed) = projects.next_result(list) => {
                    number += 1;
                    if self.take(&scope, &mut projects, number, listed).await.is_err() {
                        return;
                    }
                }
                changed = self.scopes.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let listed = self.scopes.borrow_and_update().clone();
                    self.set_projects(&mut projects, &listed);
                }
                () = self.inputs.closed() => return,
            }
            self.report(&projects);
        }
    }

    fn set_projects(&self, projects: &mut Projects, scopes: &BTreeSet<Scope>) {
        projects.set(scopes, |scope| Project {
            cursor: self.cursors.get(scope).copied(),
            watched_since: Timestamp::now(),
            floor: None,
            sent: HashMap::new(),
            listed_at: (!self.cursors.contains_key(scope)).then(Instant::now),
        });
    }

    /// Sends the operations of a listing that were not sent before.
    async fn take(
        &self,
        scope: &Scope,
        projects: &mut Projects,
        number: u64,
        listed: Result<Listed, Failure>,
    ) -> Result<(), mpsc::error::SendError<Input<Token>>> {
        let name = scope.name();
        let listed = match listed {
            Ok(listed) => listed,
            // Without the API there are no operations. The instance listing reports whether the API should be enabled.
            Err(Failure { is_disabled: true, .. }) => {
                projects.succeeded(scope, OFF_INTERVAL);
                self.metrics.count_operations_listing(true);
                let Some(project) = projects.get_mut(scope) else { return Ok(()) };
                project.listed_at = Some(Instant::now());
                return self.report_progress(projects).await;
            }
            Err(failure) => {
                let is_off = self.mode == OperationsMode::Reconcile && is_rejection(&failure);
                let line = match is_off {
                    true => projects.impaired(scope, OFF_INTERVAL, Outcome::Off(failure.reason.clone())),
                    false => projects.failed(scope, &failure),
                };
                self.metrics.count_failed_operations_listing();
                let reason = failure.reason;
                if is_off && line.is_some() {
                    tracing::warn!(
                        project = name,
                        reason,
                        "operations may not be listed: interruptions whose Pub/Sub message is missing are not noticed"
                    );
                } else if let Some(LogLine::Failed | LogLine::OtherReason { .. }) = line {
                    tracing::warn!(project = name, reason, "cannot list operations");
                } else {
                    tracing::debug!(project = name, reason, "cannot list operations");
                }
                return self.report_progress(projects).await;
            }
        };
        let Listed { operations, from, date, began, partial } = listed;
        let line = match &partial {
            None => projects.succeeded(scope, self.interval),
            Some(reason) => projects.impaired(scope, self.interval, Outcome::Partial(reason.clone())),
        };
        self.metrics.count_operations_listing(partial.is_none());
        let Some(project) = projects.get_mut(scope) else { return Ok(()) };
        project.floor.get_or_insert(from);
        project.sent.retain(|_, at| *at >= from);
        let mut fresh = Vec::new();
        for operation in operations {
            if operation.at >= from && !project.sent.contains_key(&operation.name) {
                project.sent.insert(operation.name.clone(), operation.at);
                fresh.extend(operation.entry(&self.methods));
            }
        }
        let count = fresh.len();
        let cursor = partial.is_none().then_some(date);
        if cursor.is_some() {
            project.cursor = project.cursor.max(cursor);
            project.listed_at = Some(began);
        }
        match (&partial, line) {
            (Some(reason), Some(_)) => {
                tracing::warn!(project = name, reason, "listed the operations partially");
            }
            (None, Some(_)) => {
                tracing::info!(project = name, "operations are listed again");
            }
            _ => {
                tracing::debug!(project = name, new = count, "listed operations");
            }
        }
        if count > 0 {
            let operations = fresh.into_iter().map(|entry| (entry, Token::Operation)).collect();
            let wait = self.mode == OperationsMode::Reconcile;
            let sent = Input::Operations {
                scope: scope.clone(),
                listing: Some(number),
                queue: if wait { Queue::Reconciled } else { Queue::Operations },
                wait,
                operations,
            };
            self.inputs.send(sent).await?;
        }
        self.inputs
            .send(Input::OperationsListingFinished { scope: scope.clone(), listing: number, cursor })
            .await?;
        self.report_progress(projects).await
    }

    /// Reports to the pipeline up to when the operations of all projects were sent.
    async fn report_progress(&self, projects: &Projects) -> Result<(), mpsc::error::SendError<Input<Token>>> {
        let listed = projects.iter().map(|(scope, project)| match projects.outcome(scope) {
            // There is nothing to wait for.
            Some(Outcome::Off(_)) => Some(Instant::now()),
            _ => project.listed_at,
        });
        // `None`, the minimum, if a project was not listed yet.
        match listed.min().unwrap_or_else(|| Some(Instant::now())) {
            Some(until) => self.inputs.send(Input::OperationsReceivedUntil(until.into_std())).await,
            None => Ok(()),
        }
    }

    /// Updates metrics and `/ready`.
    fn report(&self, projects: &Projects) {
        let states = self.metrics.operations.set(NAME, projects.states());
        let complete = states.number(ScopeState::Complete);
        let partial = states.number(ScopeState::Partial);
        let failing = states.number(ScopeState::Failing);
        let off = states.number(ScopeState::Off);
        let number = projects.len();
        let tried = complete + partial + failing + off;
        let problems = projects.problems(|_| true);
        let impaired = partial + failing + off;
        let text = format!("Compute API, listing operations of {impaired} of {number} projects: {problems}");
        match self.mode {
            // In this mode operations are the source of counts. As for instances, some listed projects are enough to be
            // ready.
            OperationsMode::Source if complete + partial > 0 && tried == number => self.condition.ready(),
            OperationsMode::Source if impaired == 0 => {
                self.condition.missing("Compute API: the first listing of operations is not complete yet");
            }
            _ if impaired > 0 => self.condition.missing(text),
            _ => self.condition.ready(),
        }
    }
}

/// Whether the API rejects the request, in contrast to a temporary error.
fn is_rejection(failure: &Failure) -> bool {
    let rejections = [
        StatusCode::BAD_REQUEST,
        StatusCode::FORBIDDEN,
        StatusCode::NOT_FOUND,
        StatusCode::METHOD_NOT_ALLOWED,
        StatusCode::NOT_IMPLEMENTED,
    ];
    failure.retry_after.is_none() && failure.status.is_some_and(|status| rejections.contains(&status))
}

/// Lists the operations of one project.
#[derive(Debug)]
struct Lister {
    compute: Compute,
    methods: InterruptionMethods,
    inserts: bool,
    scope: Scope,
}

/// The combined pages of a request.
#[derive(Debug, Default)]
struct Gathered {
    operations: Vec<Operation>,
    zones: BTreeSet<String>,
    reason: Option<String>,
    /// Time of the first page by the API's clock.
    date: Option<Timestamp>,
}

impl Lister {
    async fn run(self, wanted: Wanted) -> Result<Listed, Failure> {
        timeout(LISTING_TIMEOUT, self.list(&wanted)).await.unwrap_or_else(|_| {
            Err(Failure::from(format!("the list has not ended within {} s", LISTING_TIMEOUT.as_secs())))
        })
    }

    async fn list(&self, wanted: &Wanted) -> Result<Listed, Failure> {
        let (began, began_at) = (Instant::now(), Timestamp::now());
        let kinds = self.methods.names().chain(self.inserts.then_some(INSERT));
        let (mut operations, mut partial) = (Vec::new(), None);
        let mut date = None;
        for kind in kinds {
            let from = wanted.from(began_at, date);
            let gathered = self.gather(kind, from).await?;
            date = date.or(gathered.date);
            partial = partial.or(gathered.reason);
            let mut found = gathered.operations;
            found.retain(|operation| operation.kind == kind);
            for operation in &mut found {
                operation.instance.project.get_or_insert_with(|| self.scope.name().to_owned().into());
            }
            operations.append(&mut found);
        }
        let from = wanted.from(began_at, date);
        Ok(Listed { operations, from, date: date.unwrap_or(began_at), began, partial })
    }

    /// Lists the operations of a type since `from`, and some earlier ones.
    async fn gather(&self, kind: &str, from: Timestamp) -> Result<Gathered, Failure> {
        let all = self.pages(kind, from.checked_sub(MARGIN).unwrap_or(from), None).await?;
        if all.operations.len() < MAX_LISTED {
            return Ok(all);
        }
        let all = self.pages(kind, from, None).await?;
        if all.operations.len() < MAX_LISTED {
            return Ok(all);
        }
        let mut gathered = Gathered { date: all.date, reason: all.reason, ..Gathered::default() };
        for zone in &all.zones {
            let mut part = self.pages(kind, from, Some(zone)).await?;
            gathered.reason = gathered.reason.or(part.reason);
            if part.operations.len() >= MAX_LISTED {
                let reason = format!("zones/{zone}: more operations than the API lists; some are missing");
                gathered.reason.get_or_insert(reason);
            }
            gathered.operations.append(&mut part.operations);
        }
        Ok(gathered)
    }

    async fn pages(&self, kind: &str, from: Timestamp, zone: Option<&str>) -> Result<Gathered, Failure> {
        let filter = format!("(operationType=\"{kind}\") AND (insertTime>=\"{from:.0}\")");
        let mut gathered = Gathered::default();
        let mut token = String::new();
        let mut pages = Pages::default();
        loop {
            let page = self.compute.operations(self.scope.name(), zone, &filter, &token).await?;
            let (Page { items, zones, next, reason, .. }, date) = page;
            gathered.operations.extend(items);
            gathered.zones.extend(zones);
            gathered.reason = gathered.reason.or(reason);
            gathered.date = gathered.date.or(date);
            let Some(next) = next else { return Ok(gathered) };
            pages.follow(&next)?;
            token = next;
        }
    }
}

impl Wanted {
    /// The time from which operations are needed, by the API's clock. `date` is the API's time when this host's time is
    /// `now`.
    fn from(&self, now: Timestamp, date: Option<Timestamp>) -> Timestamp {
        let skew = date.map(|date| date.duration_since(now)).unwrap_or_default();
        let since = self.watched_since.checked_add(skew).unwrap_or(self.watched_since);
        match self.cursor {
            Some(cursor) => cursor
                .checked_sub(OPERATION_LATENESS)
                .unwrap_or(cursor)
                .max(self.floor.unwrap_or(Timestamp::MIN)),
            None => since,
        }
    }
}
