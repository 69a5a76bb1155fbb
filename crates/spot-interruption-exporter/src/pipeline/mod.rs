//! The path of an event: decode, attribute, record, acknowledge.
//!
//! Everything that arrives (a message, a page of a listing, the result of a lookup) is an [`Input`], and one loop
//! processes the inputs in order. Only this loop records and acknowledges, so nothing is acknowledged before it is
//! recorded, and nothing is recorded twice. With durable state, records pass through the [`Journal`] before they are
//! counted and acknowledged; the loop continues meanwhile.

mod cursors;
mod flow;
mod lookups;

use std::mem;
use std::time::Duration;

use exporter_common::readiness::Condition;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use self::cursors::Cursors;
use self::flow::FlowControl;
use self::lookups::Lookups;

use crate::attribution::{Outcome, Resolved};
use crate::durable::journal::{Commit, Gathered, Journal};
use crate::durable::store::Store;
use crate::event::Reasons;
use crate::instance::CompactRef;
use crate::interruption_log::{InterruptionLog, subject};
use crate::inventory::{Moment, Scope};
use crate::metrics::OwnMetrics;
use crate::source::{Acknowledge, Attempts, Confirmation, Decode, Input, InstanceLookup, Queue};
use crate::state::{PipelineState, SharedState};

/// A message's token and its origin, kept by the state machine until the message is resolved.
#[derive(Debug)]
pub struct DeliveryToken<T> {
    queue: Queue,
    message_id: String,
    /// Size of the payload in bytes.
    size: usize,
    /// The instance for the log line of an interruption.
    subject: CompactRef,
    attempts: Option<Attempts>,
    /// For an operation: its scope and the number of the listing that contained it.
    listing: Option<(Scope, u64)>,
    token: T,
}

impl<T> DeliveryToken<T> {
    /// Whether the message can be redelivered without coming close to the dead-letter limit.
    fn may_go_back(&self) -> bool {
        self.attempts.is_none_or(|Attempts { made, max }| made < max / 2)
    }
}

/// Maximum number of inputs processed in one batch, under one lock.
const BATCH: usize = 256;

/// Maximum number of messages that wait for a commit. The queue limits outstanding messages, but while commits fail,
/// the same messages are delivered again and again.
const MAX_UNSAFE_MESSAGES: usize = 50_000;

/// How often to check for shutdown while no input is accepted.
const SHUTDOWN_CHECK: Duration = Duration::from_millis(100);

/// The pipeline.
#[derive(Debug)]
pub struct Pipeline<T, P, S: Commit = Store> {
    /// Instances, events and counts.
    pub state: SharedState<DeliveryToken<T>>,
    /// The reasons of interruptions.
    pub reasons: Reasons,
    /// Decodes messages and looks up instances.
    pub provider: P,
    /// Readiness condition of lookups.
    pub lookups_condition: Option<Condition>,
    /// Receives projects that events name and that are in no scope, each once.
    pub unlisted: mpsc::UnboundedSender<Scope>,
    /// Counts lookups.
    pub metrics: OwnMetrics,
    /// Writes the durable state, if configured.
    pub journal: Option<Journal<DeliveryToken<T>, S>>,
}

/// Acknowledgements that the queue has not confirmed yet.
#[derive(Debug, Default)]
struct Confirmations(JoinSet<Result<(), String>>);

impl Confirmations {
    fn add(&mut self, confirmation: Confirmation) {
        self.0.spawn(confirmation);
    }

    /// Waits for the next confirmation and processes all that have arrived. Never completes without pending
    /// confirmations.
    async fn next(&mut self) {
        let Some(mut confirmed) = self.0.join_next().await else { return std::future::pending().await };
        loop {
            if let Ok(Err(reason)) = confirmed {
                tracing::debug!(
                    reason,
                    "an acknowledgement is not confirmed; the message may be delivered again"
                );
            }
            match self.0.try_join_next() {
                Some(next) => confirmed = next,
                None => return,
            }
        }
    }
}

impl Drop for Confirmations {
    /// Lets pending acknowledgements continue: aborting one could return its message to the queue.
    fn drop(&mut self) {
        self.0.detach_all();
    }
}

impl<T: Acknowledge, P: Decode + InstanceLookup, S: Commit> Pipeline<T, P, S> {
    /// Runs until all senders of inputs are dropped and the queues have confirmed the acknowledgements. Running lookups
    /// are then cancelled.
    ///
    /// # Panics
    /// If a lookup or a commit panicked, which is a defect of this program.
    pub async fn run(mut self, mut inputs: mpsc::Receiver<Input<T>>) {
        let mut journal = self.journal.take();
        let mut lookups = Lookups::new(self.lookups_condition.take());
        let mut flow = FlowControl::default();
        let mut cursors = Cursors::default();
        let mut confirmations = Confirmations::default();
        let mut batch = Vec::with_capacity(BATCH);
        let mut gathered = Gathered::default();
        let mut log = InterruptionLog::new(self.reasons.clone());
        loop {
            let is_full = gathered.deliveries.len() >= MAX_UNSAFE_MESSAGES;
            let deadline = self.next_deadline(&lookups, &flow);
            let commit = journal.as_ref().and_then(|journal| journal.next_commit(&gathered, &self.state));
            let left_out = log.next_flush().map(Instant::from_std);
            let deadline = [deadline, commit, left_out].into_iter().flatten().min();
            let timer = async {
                match deadline {
                    Some(deadline) => sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            let committed = async {
                match &mut journal {
                    Some(journal) => journal.committed(&self.state).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                taken = inputs.recv_many(&mut batch, BATCH), if !is_full => {
                    if taken == 0 {
                        break;
                    }
                }
                () = sleep(SHUTDOWN_CHECK), if is_full => {
                    if inputs.is_closed() {
                        break;
                    }
                }
                Some(result) = lookups.next_result() => {
                    let result = lookups.take(result, &self.metrics, Instant::now());
                    batch.extend(result.map(|(id, found)| match found {
                        Some(instance) => Input::Found(id, Box::new(instance)),
                        None => Input::NotFound(id),
                    }));
                }
                safe = committed => acknowledge(safe, &mut flow, &mut confirmations),
                () = confirmations.next() => {}
                () = timer => {}
            }
            let is_safe = gathered.deliveries.is_empty() && journal.as_ref().is_none_or(Journal::is_idle);
            self.state.lock().attribution.note_backlog(!inputs.is_empty(), Instant::now().into_std());
            let returned = self.take(&mut batch, &mut gathered, &mut flow, &mut cursors, &mut log, is_safe);
            // Dropping the messages returns them to their queues.
            self.metrics.count_given_back(returned.len());
            drop(returned);
            match &mut journal {
                Some(journal) => journal.start_if_due(&mut gathered, &self.state),
                None => {
                    let Gathered { ledger, deliveries, .. } = mem::take(&mut gathered);
                    self.state.lock().ledger.add(&ledger);
                    acknowledge(deliveries, &mut flow, &mut confirmations);
                }
            }
            lookups.start(&mut self.state.lock().attribution, &self.provider, Instant::now());
        }
        log.finish();
        if let Some(journal) = journal {
            acknowledge(journal.finish(gathered, &self.state).await, &mut flow, &mut confirmations);
        }
        while !confirmations.0.is_empty() {
            confirmations.next().await;
        }
    }

    /// The next time at which something is due, if no input arrives before.
    fn next_deadline(&self, lookups: &Lookups, flow: &FlowControl) -> Option<Instant> {
        let now = Instant::now();
        let state = self.state.lock();
        let attribution = state.attribution.next_deadline(now.into_std()).map(Instant::from_std);
        let lookup = lookups.next_start(state.attribution.has_lookups(now.into_std()), now);
        [attribution, lookup, flow.next_retry()].into_iter().flatten().min()
    }

    /// Processes a batch and gathers the records. `is_safe` is true if no earlier record waits for a commit. Returns
    /// the messages to be returned to their queue.
    fn take(
        &self,
        batch: &mut Vec<Input<T>>,
        gathered: &mut Gathered<DeliveryToken<T>>,
        flow: &mut FlowControl,
        cursors: &mut Cursors,
        interruptions: &mut InterruptionLog,
        is_safe: bool,
    ) -> Vec<DeliveryToken<T>> {
        let now = Instant::now();
        let (instant, timestamp) = (now.into_std(), Timestamp::now());
        let mut state = self.state.lock();
        let PipelineState { attribution, recent, last, .. } = &mut *state;
        if is_safe {
            let decided = attribution.decided(instant);
            attribution.mark_safe(decided, instant);
        }
        attribution.tick(instant);
        for input in batch.drain(..) {
            match input {
                Input::Message { queue, id, data, attempts, token } => {
                    let parsed = self.provider.decode(queue, &data);
                    let size = data.len();
                    flow.received(queue, size);
                    last.note_taken(queue, instant);
                    let subject = parsed.as_ref().map(subject).unwrap_or_default();
                    let delivery = DeliveryToken {
                        queue,
                        message_id: id.clone(),
                        size,
                        subject,
                        attempts,
                        listing: None,
                        token,
                    };
                    attribution.message(&id, parsed, delivery, instant);
                }
                Input::Scopes { scopes, are_more_pending } => {
                    attribution.set_scopes(scopes, are_more_pending, instant);
                }
                Input::ListingStarted(scope) => {
                    attribution.begin_listing(&scope, Moment { instant, timestamp });
                }
                Input::ListingPage(scope, instances) => {
                    for instance in &instances {
                        attribution.list(&scope, instance, instant);
                    }
                }
                Input::ListingFinished { scope, unseen, gone } => {
                    // The listing is complete even if its task has ended.
                    let _ = gone.send(attribution.finish_listing(&scope, &unseen, instant));
                }
                Input::ListingFailed(scope) => attribution.fail_listing(&scope),
                Input::Operations { scope, listing, queue, wait, operations } => {
                    if let Some(listing) = listing {
                        cursors.received(&scope, listing, operations.len());
                    }
                    for (entry, token) in operations {
                        let delivery = DeliveryToken {
                            queue,
                            message_id: entry.operation_id.as_deref().unwrap_or_default().to_owned(),
                            size: 0,
                            subject: subject(&entry),
                            attempts: None,
                            listing: listing.map(|listing| (scope.clone(), listing)),
                            token,
                        };
                        flow.received(delivery.queue, 0);
                        last.note_taken(delivery.queue, instant);
                        attribution.operation(entry, wait, delivery, instant);
                    }
                }
                Input::OperationsListingFinished { scope, listing, cursor } => {
                    let cursor = cursors.finished(&scope, listing, cursor);
                    gathered.cursors.extend(cursor.map(|cursor| (scope, cursor)));
                }
                Input::OperationsReceivedUntil(moment) => attribution.operations_received(moment),
                Input::Found(lookup, instance) => attribution.found(lookup, &instance, instant),
                Input::NotFound(lookup) => attribution.not_found(lookup),
            }
        }
        while let Some(Resolved { token: delivery, outcome }) = attribution.poll_resolved() {
            gathered.ledger.record(delivery.queue, &outcome, timestamp);
            if matches!(outcome, Outcome::Counted(_) | Outcome::Unattributed { .. }) {
                last.note_interruption(delivery.queue, instant);
            }
            let inventory = attribution.inventory();
            interruptions.write(&delivery.subject, &outcome, inventory, (instant, timestamp));
            recent.record(&delivery.subject, delivery.queue, &outcome, timestamp);
            log(&delivery.message_id, &outcome);
            flow.resolved(delivery.queue, delivery.size);
            if let Some((scope, listing)) = &delivery.listing
                && let Some(cursor) = cursors.resolved(scope, *listing)
            {
                gathered.cursors.insert(scope.clone(), cursor);
            }
            gathered.deliveries.push(delivery);
        }
        interruptions.flush(instant);
        for scope in attribution.take_unlisted() {
            // Without a receiver no task needs the projects.
            let _ = self.unlisted.send(scope);
        }
        let returned = flow.make_room(attribution, now);
        state.notice();
        returned
    }
}

fn acknowledge<T: Acknowledge>(
    deliveries: Vec<DeliveryToken<T>>,
    flow: &mut FlowControl,
    confirmations: &mut Confirmations,
) {
    for delivery in deliveries {
        flow.acknowledged(delivery.queue, delivery.size);
        if let Some(confirmation) = delivery.token.acknowledge() {
            confirmations.add(confirmation);
        }
    }
}

fn log(message_id: &str, outcome: &Outcome) {
    match outcome {
        Outcome::Invalid(reason) => {
            tracing::warn!(message_id, %reason, "a message cannot be decoded and is dropped");
        }
        Outcome::Counted(_) | Outcome::Unattributed { .. } => {
            tracing::debug!(message_id, outcome = outcome.label(), "processed an interruption");
        }
        Outcome::Added => tracing::debug!(message_id, "added an instance"),
        Outcome::CreationFailed { reason, .. } => {
            tracing::debug!(message_id, reason = reason.label(), "the creation of a spot node failed");
        }
        Outcome::Duplicate => tracing::debug!(message_id, "received a duplicate event"),
        Outcome::Ignored(reason) => {
            tracing::debug!(message_id, reason = reason.label(), "a message has no effect");
        }
    }
}
