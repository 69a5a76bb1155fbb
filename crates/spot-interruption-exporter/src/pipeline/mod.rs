//! The way of an event, from top to bottom: decode, attribute, record, acknowledge.
//!
//! Whatever arrives - a message, a page of a listing, an answer to a look-up - is an [`Input`], and one loop takes
//! them in turn. Nothing is acknowledged before it is recorded, and nothing
//! is recorded twice, because only this loop does either. With durable state, what is recorded passes through the
//! [`Journal`] before it counts and is acknowledged; the loop goes on meanwhile.

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
use self::flow::Flow;
use self::lookups::Lookups;

use crate::attribution::{Outcome, Resolved};
use crate::durable::journal::{Commit, Gathered, Journal};
use crate::durable::store::Store;
use crate::event::Reasons;
use crate::instance::CompactRef;
use crate::interruption_log::{InterruptionLog, subject};
use crate::inventory::{Moment, Scope};
use crate::metrics::OwnMetrics;
use crate::source::{Acknowledge, Attempts, Confirmation, Decode, Input, LookUp, Queue};
use crate::state::{Shared, State};

/// A message's handle and where it came from: what the state machine keeps for us.
#[derive(Debug)]
pub struct Ticket<T> {
    queue: Queue,
    message_id: String,
    /// In bytes.
    size: usize,
    /// What the log says of an interruption's instance.
    subject: CompactRef,
    attempts: Option<Attempts>,
    /// The scope and the listing that has offered the operation, if it is one.
    offered: Option<(Scope, u64)>,
    token: T,
}

impl<T> Ticket<T> {
    /// Whether the message can come again without being half way to the dead letters.
    fn may_go_back(&self) -> bool {
        self.attempts.is_none_or(|Attempts { made, most }| made < most / 2)
    }
}

/// Inputs that are taken in one go, under one lock.
const BATCH: usize = 256;

/// Messages that may wait for a commit. The queue bounds what is outstanding, but while nothing can be written, the
/// same messages come again and again.
const UNSAFE_MESSAGES: usize = 50_000;

/// While nothing is taken, how often to look whether the exporter stops.
const CLOSED_CHECK: Duration = Duration::from_millis(100);

/// The pipeline.
#[derive(Debug)]
pub struct Pipeline<T, P, S: Commit = Store> {
    /// What is known and counted.
    pub state: Shared<Ticket<T>>,
    /// The reasons of interruptions.
    pub reasons: Reasons,
    /// Who reads messages and looks instances up.
    pub provider: P,
    /// Whether instances can be looked up.
    pub lookups_condition: Option<Condition>,
    /// Is told of projects in no scope that events are about, each once.
    pub unlisted: mpsc::UnboundedSender<Scope>,
    /// Where look-ups are counted.
    pub metrics: OwnMetrics,
    /// Where the state is durable.
    pub journal: Option<Journal<Ticket<T>, S>>,
}

/// Acknowledgements that the queue has not confirmed yet.
#[derive(Debug, Default)]
struct Confirmations(JoinSet<Result<(), String>>);

impl Confirmations {
    fn add(&mut self, confirmation: Confirmation) {
        self.0.spawn(confirmation);
    }

    /// Waits for the next one, and takes with it whatever has come; without any it never completes.
    async fn next(&mut self) {
        let Some(mut confirmed) = self.0.join_next().await else { return std::future::pending().await };
        loop {
            if let Ok(Err(reason)) = confirmed {
                tracing::debug!(reason, "an acknowledgement is not confirmed; the message may come again");
            }
            match self.0.try_join_next() {
                Some(next) => confirmed = next,
                None => return,
            }
        }
    }
}

impl Drop for Confirmations {
    /// A client may hand a message back whose acknowledgement is not waited for any more.
    fn drop(&mut self) {
        self.0.detach_all();
    }
}

impl<T: Acknowledge, P: Decode + LookUp, S: Commit> Pipeline<T, P, S> {
    /// Runs until every sender of inputs is gone and the queues have confirmed the acknowledgements. Look-ups that still
    /// run are given up then.
    ///
    /// # Panics
    /// With a look-up or a commit that panicked: a defect of this program, which is not to go on.
    pub async fn run(mut self, mut inputs: mpsc::Receiver<Input<T>>) {
        let mut journal = self.journal.take();
        let mut lookups = Lookups::new(self.lookups_condition.take());
        let mut flow = Flow::default();
        let mut cursors = Cursors::default();
        let mut confirmations = Confirmations::default();
        let mut batch = Vec::with_capacity(BATCH);
        let mut gathered = Gathered::default();
        let mut log = InterruptionLog::new(self.reasons.clone());
        loop {
            let is_full = gathered.tickets.len() >= UNSAFE_MESSAGES;
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
                () = sleep(CLOSED_CHECK), if is_full => {
                    if inputs.is_closed() {
                        break;
                    }
                }
                Some(answered) = lookups.answered() => {
                    let answer = lookups.take(answered, &self.metrics, Instant::now());
                    batch.extend(answer.map(|(id, found)| match found {
                        Some(instance) => Input::Found(id, Box::new(instance)),
                        None => Input::NotFound(id),
                    }));
                }
                safe = committed => acknowledge(safe, &mut flow, &mut confirmations),
                () = confirmations.next() => {}
                () = timer => {}
            }
            let is_safe = gathered.tickets.is_empty() && journal.as_ref().is_none_or(Journal::is_idle);
            self.state.lock().attribution.note_backlog(!inputs.is_empty(), Instant::now().into_std());
            let returned = self.take(&mut batch, &mut gathered, &mut flow, &mut cursors, &mut log, is_safe);
            // Dropped, they go back to their queues.
            self.metrics.given_back(returned.len());
            drop(returned);
            match &mut journal {
                Some(journal) => journal.proceed(&mut gathered, &self.state),
                None => {
                    let Gathered { ledger, tickets, .. } = mem::take(&mut gathered);
                    self.state.lock().ledger.add(&ledger);
                    acknowledge(tickets, &mut flow, &mut confirmations);
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

    /// When there is something to do, if nothing happens before.
    fn next_deadline(&self, lookups: &Lookups, flow: &Flow) -> Option<Instant> {
        let now = Instant::now();
        let state = self.state.lock();
        let attribution = state.attribution.next_deadline(now.into_std()).map(Instant::from_std);
        let lookup = lookups.next_start(state.attribution.has_lookups(now.into_std()), now);
        [attribution, lookup, flow.next_retry()].into_iter().flatten().min()
    }

    /// Takes a batch, and gathers what is recorded now. `is_safe` says that nothing of what was gathered before still
    /// waits. What is returned is to go back to its queue.
    fn take(
        &self,
        batch: &mut Vec<Input<T>>,
        gathered: &mut Gathered<Ticket<T>>,
        flow: &mut Flow,
        cursors: &mut Cursors,
        interruptions: &mut InterruptionLog,
        is_safe: bool,
    ) -> Vec<Ticket<T>> {
        let now = Instant::now();
        let (instant, timestamp) = (now.into_std(), Timestamp::now());
        let mut state = self.state.lock();
        let State { attribution, recent, last, .. } = &mut *state;
        if is_safe {
            let decided = attribution.decided(instant);
            attribution.settle(decided, instant);
        }
        attribution.tick(instant);
        for input in batch.drain(..) {
            match input {
                Input::Message { queue, id, data, attempts, token } => {
                    let parsed = self.provider.decode(queue, &data);
                    let size = data.len();
                    flow.took(queue, size);
                    last.note_taken(queue, instant);
                    let subject = parsed.as_ref().map(subject).unwrap_or_default();
                    let ticket = Ticket {
                        queue,
                        message_id: id.clone(),
                        size,
                        subject,
                        attempts,
                        offered: None,
                        token,
                    };
                    attribution.message(&id, parsed, ticket, instant);
                }
                Input::Scopes { scopes, are_more_pending } => {
                    attribution.set_scopes(scopes, are_more_pending, instant);
                }
                Input::ListingBegun(scope) => {
                    attribution.begin_resync(&scope, Moment { instant, timestamp });
                }
                Input::Listed(scope, instances) => {
                    for instance in &instances {
                        attribution.list(&scope, instance, instant);
                    }
                }
                Input::ListingFinished { scope, unseen, gone } => {
                    // A listing whose author is gone was still complete.
                    let _ = gone.send(attribution.finish_resync(&scope, &unseen, instant));
                }
                Input::ListingFailed(scope) => attribution.fail_resync(&scope),
                Input::Offered { scope, listing, wait, operations } => {
                    cursors.offered(&scope, listing, operations.len());
                    for (entry, token) in operations {
                        let ticket = Ticket {
                            queue: if wait { Queue::Reconciled } else { Queue::Operations },
                            message_id: entry.operation_id.as_deref().unwrap_or_default().to_owned(),
                            size: 0,
                            subject: subject(&entry),
                            attempts: None,
                            offered: Some((scope.clone(), listing)),
                            token,
                        };
                        flow.took(ticket.queue, 0);
                        last.note_taken(ticket.queue, instant);
                        attribution.operation(entry, wait, ticket, instant);
                    }
                }
                Input::OperationsListed { scope, listing, cursor } => {
                    let cursor = cursors.ended(&scope, listing, cursor);
                    gathered.cursors.extend(cursor.map(|cursor| (scope, cursor)));
                }
                Input::OfferedUntil(moment) => attribution.operations_offered(moment),
                Input::Found(lookup, instance) => attribution.found(lookup, &instance, instant),
                Input::NotFound(lookup) => attribution.not_found(lookup),
            }
        }
        while let Some(Resolved { token: ticket, outcome }) = attribution.poll_resolved() {
            gathered.ledger.record(ticket.queue, &outcome, timestamp);
            if matches!(outcome, Outcome::Counted(_) | Outcome::Unattributed { .. }) {
                last.note_interruption(ticket.queue, instant);
            }
            let inventory = attribution.inventory();
            interruptions.write(&ticket.subject, &outcome, inventory, (instant, timestamp));
            recent.record(&ticket.subject, ticket.queue, &outcome, timestamp);
            log(&ticket.message_id, &outcome);
            flow.resolved(ticket.queue, ticket.size);
            if let Some((scope, listing)) = &ticket.offered
                && let Some(cursor) = cursors.resolved(scope, *listing)
            {
                gathered.cursors.insert(scope.clone(), cursor);
            }
            gathered.tickets.push(ticket);
        }
        interruptions.flush(instant);
        for scope in attribution.take_unlisted() {
            // Without a receiver nobody wants to know.
            let _ = self.unlisted.send(scope);
        }
        let returned = flow.make_room(attribution, now);
        state.notice();
        returned
    }
}

fn acknowledge<T: Acknowledge>(tickets: Vec<Ticket<T>>, flow: &mut Flow, confirmations: &mut Confirmations) {
    for ticket in tickets {
        flow.acknowledged(ticket.queue, ticket.size);
        if let Some(confirmation) = ticket.token.acknowledge() {
            confirmations.add(confirmation);
        }
    }
}

fn log(message_id: &str, outcome: &Outcome) {
    match outcome {
        Outcome::Invalid(reason) => {
            tracing::warn!(message_id, %reason, "a message cannot be read and is dropped");
        }
        Outcome::Counted(_) | Outcome::Unattributed { .. } => {
            tracing::debug!(message_id, outcome = outcome.label(), "an interruption is dealt with");
        }
        Outcome::Added => tracing::debug!(message_id, "added an instance"),
        Outcome::CreationFailed { reason, .. } => {
            tracing::debug!(message_id, reason = reason.label(), "the creation of a spot node failed");
        }
        Outcome::Duplicate => tracing::debug!(message_id, "an event came again"),
        Outcome::Ignored(reason) => {
            tracing::debug!(message_id, reason = reason.label(), "a message is of no consequence");
        }
    }
}
