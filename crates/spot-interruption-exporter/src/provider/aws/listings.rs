//! Lists the spot instances of every account and region at intervals.
//!
//! Each region of an account is a separate [`Scope`] with its own schedule, backoff and failures. A listing also shows the
//! instances that EC2 has taken back, for up to an hour. Those are passed to the pipeline as operations: most of them were
//! counted by their warning, and the others had none.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use exporter_common::failure_log::LogLine;
use exporter_common::readiness::Condition;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};

use super::NAME;
use super::clock::AwsClock;
use super::ec2::Ec2;
use super::event::{AwsReasons, INTERRUPTION};
use super::instance_page::Described;
use crate::event::{Entry, Event};
use crate::instance::InstanceId;
use crate::inventory::{Scope, Unseen};
use crate::metrics::{OwnMetrics, ScopeState};
use crate::provider::Token;
use crate::provider::failure::Failure;
use crate::provider::pages::Pages;
use crate::provider::schedule::{Outcome, Schedule};
use crate::source::{Input, Queue};

/// Maximum time for the listing of a region, all pages included.
const LISTING_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// An interruption that is older is not counted from a listing. EC2 lists an instance for up to an hour after its end, but
/// a stopped one for as long as it exists. The exporter remembers interruptions for longer than this.
const MAX_AGE: SignedDuration = SignedDuration::from_mins(65);

/// Lists the instances of every scope and sends them to the pipeline.
#[derive(Debug)]
pub(super) struct InstanceListings {
    pub(super) lister: Lister,
    /// Time between two listings of a scope.
    pub(super) interval: Duration,
    pub(super) scopes: Vec<Scope>,
    /// At least one scope is listed, and each was tried.
    pub(super) condition: Condition,
    /// Every scope is listed.
    pub(super) whole: Condition,
    pub(super) metrics: OwnMetrics,
    /// Whether the end of a listing lets ids of counted warnings expire. They are kept for longer than EC2 lists an ended
    /// instance, so other scopes need not be listed. If another provider lists operations, its listings decide.
    pub(super) reports_operations: bool,
}

/// Lists one scope.
#[derive(Debug, Clone)]
pub(super) struct Lister {
    pub(super) ec2: Ec2,
    pub(super) clock: AwsClock,
    pub(super) reasons: AwsReasons,
    pub(super) inputs: mpsc::Sender<Input<Token>>,
    /// Interruptions before this time by AWS's clock are not counted from a listing. Without durable state it is the start
    /// of the process, because an earlier process may have counted them.
    pub(super) counts_from: Option<Instant>,
    /// By scope.
    pub(super) last: Arc<Mutex<BTreeMap<Scope, LastListing>>>,
}

/// The instances in the last listing of a scope.
#[derive(Debug, Clone, Default)]
pub(super) struct LastListing {
    /// Interrupted instances that were passed to the pipeline.
    reported: HashSet<InstanceId>,
    running: HashSet<InstanceId>,
}

/// The scopes with their running listings, and the end of the last successful one.
type Scopes = Schedule<Option<Timestamp>, Result<Listing, Failure>>;

/// A finished listing.
#[derive(Debug)]
struct Listing {
    instances: usize,
    /// Number of instances that were removed because the listing did not contain them.
    gone: usize,
    took: Duration,
}

impl InstanceListings {
    /// Runs until the pipeline ends.
    ///
    /// # Panics
    /// If a listing panicked, which is a defect of this program.
    pub(super) async fn run(self) {
        let mut scopes = Scopes::new();
        scopes.set(&self.scopes.iter().cloned().collect(), |_| None);
        loop {
            let list = |scope: &Scope, _: &Option<Timestamp>| self.lister.clone().run(scope.clone());
            tokio::select! {
                (scope, listed) = scopes.next_result(list) => {
                    let is_complete = listed.is_ok();
                    self.note(&scope, &mut scopes, listed);
                    if is_complete && self.reports_operations {
                        let now = Instant::now().into_std();
                        let _ = self.lister.inputs.send(Input::OperationsReceivedUntil(now)).await;
                    }
                }
                () = self.lister.inputs.closed() => return,
            }
            self.report(&scopes);
        }
    }

    /// Counts and logs the result of a listing, and schedules the next one.
    fn note(&self, scope: &Scope, scopes: &mut Scopes, listed: Result<Listing, Failure>) {
        let was_complete = scopes.outcome(scope) == Some(&Outcome::Complete);
        let (account, region) = scope.project_and_location();
        let region = region.unwrap_or_default();
        match listed {
            Ok(Listing { instances, gone, took }) => {
                scopes.succeeded(scope, self.interval);
                if let Some(listed_at) = scopes.get_mut(scope) {
                    *listed_at = Some(Timestamp::now());
                }
                self.metrics.count_listing(true);
                let seconds = took.as_secs_f64();
                if gone > 0 || !was_complete {
                    tracing::info!(account, region, instances, gone, seconds, "listed all spot instances");
                } else {
                    tracing::debug!(account, region, instances, gone, seconds, "listed all spot instances");
                }
            }
            Err(failure) => {
                let line = scopes.failed(scope, &failure);
                let reason = failure.reason;
                self.metrics.count_failed_listing();
                match line {
                    Some(LogLine::StillFailing { failures, .. }) => {
                        tracing::warn!(account, region, reason, failures, "still cannot list spot instances");
                    }
                    Some(_) => tracing::warn!(account, region, reason, "cannot list spot instances"),
                    None => tracing::debug!(account, region, reason, "cannot list spot instances"),
                }
            }
        }
    }

    /// Updates metrics and `/ready`.
    fn report(&self, scopes: &Scopes) {
        let states = self.metrics.scopes.set(NAME, scopes.states());
        let complete = states.number(ScopeState::Complete);
        let failing = states.number(ScopeState::Failing);
        if let Some(oldest) = scopes.iter().filter_map(|(_, listed_at)| *listed_at).min() {
            self.metrics.set_last_listing(NAME, oldest);
        }
        let number = scopes.len();
        let failures = scopes.problems(|state| state == ScopeState::Failing);
        let were_all_tried = complete + failing == number;
        if complete == 0 && failing > 0 {
            let reason = format!("EC2: none of {number} regions of accounts can be listed: {failures}");
            self.condition.missing(reason);
        } else if !were_all_tried {
            self.condition.missing(NOT_LISTED_YET);
        } else {
            self.condition.ready();
        }
        match failing > 0 && complete > 0 {
            true => self.whole.missing(format!(
                "EC2: {failing} of {number} regions of accounts cannot be listed: {failures}"
            )),
            false => self.whole.ready(),
        }
    }
}

/// Reason of the condition before the first listing.
pub(super) const NOT_LISTED_YET: &str = "EC2: the first listing of all spot instances is not complete yet";

impl Lister {
    async fn run(self, scope: Scope) -> Result<Listing, Failure> {
        let started = Instant::now();
        let listed = timeout(LISTING_TIMEOUT, self.list(&scope)).await.unwrap_or_else(|_| {
            Err(Failure::from(format!("the listing did not end within {} s", LISTING_TIMEOUT.as_secs())))
        });
        let instances = match listed {
            Ok(instances) => instances,
            Err(failure) => {
                // Without a pipeline the result is not needed.
                let _ = self.inputs.send(Input::ListingFailed(scope)).await;
                return Err(failure);
            }
        };
        let (sender, gone) = oneshot::channel();
        let finished = Input::ListingFinished { scope, unseen: Unseen::default(), gone: sender };
        let _ = self.inputs.send(finished).await;
        Ok(Listing { instances, gone: gone.await.unwrap_or_default(), took: started.elapsed() })
    }

    /// Sends every page to the pipeline. Returns the number of instances.
    async fn list(&self, scope: &Scope) -> Result<usize, Failure> {
        let _ = self.inputs.send(Input::ListingStarted(scope.clone())).await;
        let (account, region) = scope.project_and_location();
        let region = region.unwrap_or_default();
        let before = self.last().get(scope).cloned().unwrap_or_default();
        let mut last = LastListing::default();
        let mut count = 0;
        let mut token = None;
        let mut pages = Pages::default();
        loop {
            let page =
                self.ec2.page(account, region, token.as_deref()).await.map_err(|error| error.failure)?;
            count += page.instances.len();
            let mut operations = Vec::new();
            for described in &page.instances {
                let Some(id) = described.instance.instance.id else { continue };
                if described.instance.running {
                    last.running.insert(id);
                }
                if before.reported.contains(&id) {
                    last.reported.insert(id);
                } else if let Some(entry) = self.interruption(described, before.running.contains(&id)) {
                    last.reported.insert(id);
                    operations.push((entry, Token::Operation));
                }
            }
            let instances = page.instances.into_iter().map(|described| described.instance).collect();
            let _ = self.inputs.send(Input::ListingPage(scope.clone(), instances)).await;
            if !operations.is_empty() {
                let operations = Input::Operations {
                    scope: scope.clone(),
                    listing: None,
                    queue: Queue::Listed,
                    wait: true,
                    operations,
                };
                let _ = self.inputs.send(operations).await;
            }
            let Some(next) = page.next else { break };
            pages.follow(&next)?;
            token = Some(next);
        }
        self.last().insert(scope.clone(), last);
        Ok(count)
    }

    /// The interruption of a listed instance, if it is to be counted unless its warning was. `was_running` is true if the
    /// last listing contained the running instance.
    fn interruption(&self, described: &Described, was_running: bool) -> Option<Entry<'static>> {
        let at = described.interrupted?.at;
        let is_counted = match at {
            Some(at) => self.is_counted(at),
            // The interruption is not older than the last listing.
            None => was_running,
        };
        let event = Event::Interruption {
            instance: described.instance.instance.clone(),
            reason: self.reasons.unannounced,
        };
        let operation_id = Some(INTERRUPTION.into());
        is_counted.then_some(Entry { insert_id: None, operation_id, timestamp: at, event })
    }

    /// Whether an interruption at this time is recent enough.
    fn is_counted(&self, at: Timestamp) -> bool {
        let now = self.clock.now();
        let start = self.counts_from.and_then(|start| {
            let age = SignedDuration::try_from(start.elapsed()).ok()?;
            // The time in a description has whole seconds.
            now.checked_sub(age + SignedDuration::from_secs(1)).ok()
        });
        now.duration_since(at) <= MAX_AGE && start.is_none_or(|start| at >= start)
    }

    fn last(&self) -> MutexGuard<'_, BTreeMap<Scope, LastListing>> {
        // A poisoned lock is safe to use: each update is one operation on the map.
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
