//! Lists Compute Engine's own operations of every project again and again: preemptions, whether or not Pub/Sub tells of
//! them, and in place of Pub/Sub creations too.
//!
//! Each listing overlaps the one before, since operations appear late and out of order. Each operation is passed to the
//! pipeline once, and the pipeline drops those whose event it has counted. The cursor of a project is a time by the API's
//! clock, taken from the `Date` header of its answers, so the clock of this host does not matter.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use exporter_common::failure_log::LogLine;
use exporter_common::readiness::Condition;
use http::StatusCode;
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};

use super::audit_log::InterruptionMethods;
use super::compute::Compute;
use super::config::OperationsMode;
use super::operation::{INSERT, Operation};
use super::page::{Page, Pages};
use super::rest::Failure;
use super::schedule::{Outcome, Schedule};
use crate::attribution::OPERATION_LATENESS;
use crate::inventory::Scope;
use crate::metrics::{OwnMetrics, ScopeState};
use crate::provider::Token;
use crate::source::Input;

/// The filter sent to the API begins this much earlier than needed, since it may compare times as text in another time
/// zone. The exact comparison happens here.
const MARGIN: Duration = Duration::from_secs(24 * 60 * 60);

/// The most operations that the API lists. A listing of so many may lack some.
const MOST_LISTED: usize = 5_000;

/// The longest that the listing of a project may take, over all its pages.
const LISTING_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// The time after which a project whose operations may not be listed is asked again.
const OFF_INTERVAL: Duration = Duration::from_secs(10 * 60);

/// Lists the operations of every project and offers them to the pipeline.
#[derive(Debug)]
pub(super) struct Operations {
    pub(super) compute: Compute,
    pub(super) methods: InterruptionMethods,
    /// Whether they stand in for lost messages, or for Pub/Sub.
    pub(super) mode: OperationsMode,
    /// The time between two listings of a project.
    pub(super) interval: Duration,
    /// How far each project's operations are dealt with, from the durable state.
    pub(super) cursors: BTreeMap<Scope, Timestamp>,
    pub(super) condition: Condition,
    pub(super) metrics: OwnMetrics,
    pub(super) inputs: mpsc::Sender<Input<Token>>,
    /// What is listed.
    pub(super) scopes: watch::Receiver<BTreeSet<Scope>>,
}

/// A project.
#[derive(Debug)]
struct Project {
    /// Everything that happened before is offered, but for what appears late. By the API's clock.
    cursor: Option<Timestamp>,
    /// When the exporter began to watch the project, by this host's clock.
    watched_since: Timestamp,
    /// What happened before is not wanted, by the API's clock.
    floor: Option<Timestamp>,
    /// Operations since a little before the cursor that were offered.
    offered: HashMap<String, Timestamp>,
    /// When the last complete listing began. Before the first there is nothing to wait for, unless the listing goes on
    /// where another process ended.
    listed_at: Option<Instant>,
}

/// The projects, with the listings that run.
type Projects = Schedule<Project, Result<Listed, Failure>>;

/// What a listing is to have.
#[derive(Debug)]
struct Wanted {
    cursor: Option<Timestamp>,
    floor: Option<Timestamp>,
    watched_since: Timestamp,
}

/// A listing that has ended.
#[derive(Debug)]
struct Listed {
    operations: Vec<Operation>,
    /// What it had everything from.
    from: Timestamp,
    /// When it began, by the API's clock.
    date: Timestamp,
    began: Instant,
    /// Why it is only a part.
    partial: Option<String>,
}

impl Operations {
    /// Runs until the pipeline ends.
    ///
    /// # Panics
    /// With a listing that panicked: a defect of this program.
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
                (scope, listed) = projects.next_ended(list) => {
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
            offered: HashMap::new(),
            listed_at: (!self.cursors.contains_key(scope)).then(Instant::now),
        });
    }

    /// Passes on what a listing has that was not offered before.
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
            // Without the API there are no operations. Whether there should be, the listing of instances says.
            Err(Failure { is_disabled: true, .. }) => {
                projects.succeeded(scope, OFF_INTERVAL);
                self.metrics.operations_listed(true);
                let Some(project) = projects.get_mut(scope) else { return Ok(()) };
                project.listed_at = Some(Instant::now());
                return self.note_offered(projects).await;
            }
            Err(failure) => {
                let is_off = self.mode == OperationsMode::Reconcile && is_refusal(&failure);
                let line = match is_off {
                    true => projects.impaired(scope, OFF_INTERVAL, Outcome::Off(failure.reason.clone())),
                    false => projects.failed(scope, &failure),
                };
                self.metrics.operations_failed();
                let reason = failure.reason;
                if is_off && line.is_some() {
                    tracing::warn!(
                        project = name,
                        reason,
                        "operations may not be listed: interruptions that Pub/Sub misses are not noticed"
                    );
                } else if let Some(LogLine::Failed | LogLine::OtherReason { .. }) = line {
                    tracing::warn!(project = name, reason, "cannot list operations");
                } else {
                    tracing::debug!(project = name, reason, "cannot list operations");
                }
                return self.note_offered(projects).await;
            }
        };
        let Listed { operations, from, date, began, partial } = listed;
        let line = match &partial {
            None => projects.succeeded(scope, self.interval),
            Some(reason) => projects.impaired(scope, self.interval, Outcome::Partial(reason.clone())),
        };
        self.metrics.operations_listed(partial.is_none());
        let Some(project) = projects.get_mut(scope) else { return Ok(()) };
        project.floor.get_or_insert(from);
        project.offered.retain(|_, at| *at >= from);
        let mut fresh = Vec::new();
        for operation in operations {
            if operation.at >= from && !project.offered.contains_key(&operation.name) {
                project.offered.insert(operation.name.clone(), operation.at);
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
                tracing::warn!(project = name, reason, "listed a part of the operations");
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
            let offered = Input::Offered { scope: scope.clone(), listing: number, wait, operations };
            self.inputs.send(offered).await?;
        }
        self.inputs.send(Input::OperationsListed { scope: scope.clone(), listing: number, cursor }).await?;
        self.note_offered(projects).await
    }

    /// Tells the pipeline up to when the operations of all projects were offered.
    async fn note_offered(&self, projects: &Projects) -> Result<(), mpsc::error::SendError<Input<Token>>> {
        let listed = projects.iter().map(|(scope, project)| match projects.outcome(scope) {
            // There is nothing to wait for.
            Some(Outcome::Off(_)) => Some(Instant::now()),
            _ => project.listed_at,
        });
        // `None`, the least of all, if there is one that is not known yet.
        match listed.min().unwrap_or_else(|| Some(Instant::now())) {
            Some(until) => self.inputs.send(Input::OfferedUntil(until.into_std())).await,
            None => Ok(()),
        }
    }

    /// Tells metrics and `/ready` how the projects are.
    fn report(&self, projects: &Projects) {
        let states = self.metrics.operations.set(projects.states());
        let complete = states.number(ScopeState::Complete);
        let partial = states.number(ScopeState::Partial);
        let failing = states.number(ScopeState::Failing);
        let off = states.number(ScopeState::Off);
        let number = projects.len();
        let tried = complete + partial + failing + off;
        let problems = projects.problems(|_| true);
        let troubled = partial + failing + off;
        let text = format!("Compute API, listing operations of {troubled} of {number} projects: {problems}");
        match self.mode {
            // They are what counts interruptions: those that are listed suffice, as for instances.
            OperationsMode::Source if complete + partial > 0 && tried == number => self.condition.ready(),
            OperationsMode::Source if troubled == 0 => {
                self.condition.missing("Compute API: the first listing of operations is not complete yet");
            }
            _ if troubled > 0 => self.condition.missing(text),
            _ => self.condition.ready(),
        }
    }
}

/// Whether the API refuses, rather than being in trouble.
fn is_refusal(failure: &Failure) -> bool {
    let refusals = [
        StatusCode::BAD_REQUEST,
        StatusCode::FORBIDDEN,
        StatusCode::NOT_FOUND,
        StatusCode::METHOD_NOT_ALLOWED,
        StatusCode::NOT_IMPLEMENTED,
    ];
    failure.retry_after.is_none() && failure.status.is_some_and(|status| refusals.contains(&status))
}

/// Lists the operations of one project.
#[derive(Debug)]
struct Lister {
    compute: Compute,
    methods: InterruptionMethods,
    inserts: bool,
    scope: Scope,
}

/// The pages of one question, put together.
#[derive(Debug, Default)]
struct Gathered {
    operations: Vec<Operation>,
    zones: BTreeSet<String>,
    reason: Option<String>,
    /// By the API's clock, when the first page was made.
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

    /// All operations of a type since a moment, and some from before.
    async fn gather(&self, kind: &str, from: Timestamp) -> Result<Gathered, Failure> {
        let all = self.pages(kind, from.checked_sub(MARGIN).unwrap_or(from), None).await?;
        if all.operations.len() < MOST_LISTED {
            return Ok(all);
        }
        let all = self.pages(kind, from, None).await?;
        if all.operations.len() < MOST_LISTED {
            return Ok(all);
        }
        let mut gathered = Gathered { date: all.date, reason: all.reason, ..Gathered::default() };
        for zone in &all.zones {
            let mut part = self.pages(kind, from, Some(zone)).await?;
            gathered.reason = gathered.reason.or(part.reason);
            if part.operations.len() >= MOST_LISTED {
                let reason = format!("zones/{zone}: more operations than the API lists, some are missing");
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
    /// The moment from which operations are wanted, by the API's clock, which says that it is `date` when it is `now`
    /// here.
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
