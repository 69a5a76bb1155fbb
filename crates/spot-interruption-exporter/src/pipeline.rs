//! The way of an event, from top to bottom.
//!
//! Whatever arrives - a message, a page of a listing, an answer to a look-up - is an [`Input`], and one loop takes
//! them in turn: parse, attribute, record, acknowledge. Nothing is acknowledged before it is recorded, and nothing
//! is recorded twice, because only this loop does either. With durable state, what is recorded passes through the
//! [`Journal`] before it counts and is acknowledged; the loop goes on meanwhile.

use std::collections::VecDeque;
use std::mem;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use crate::attribution::{Lookup, LookupId, Outcome, Resolved};
use crate::audit_log::{self, InterruptionMethods};
use crate::instance::Instance;
use crate::interruption_log::{InterruptionLog, Subject};
use crate::journal::Journal;
use crate::ledger::{Ledger, Source};
use crate::metrics::{Health, Shared};

/// What the pipeline is fed with. `T` is the handle by which a message is acknowledged.
#[derive(Debug)]
pub enum Input<T> {
    /// A message of a subscription.
    Message {
        /// Which one.
        source: Source,
        /// Given by Pub/Sub, the same in every delivery.
        id: String,
        /// A log entry, if all is well.
        data: Bytes,
        /// Acknowledges the message; dropped, it brings the message back.
        token: T,
    },
    /// A listing of all instances begins.
    ListingBegun,
    /// A page of it.
    Listed(Vec<Instance<'static>>),
    /// It is complete. The answer is how many instances it has shown to be gone.
    ListingFinished(oneshot::Sender<usize>),
    /// An instance that was looked up exists.
    Found(LookupId, Box<Instance<'static>>),
    /// An instance that was looked up does not exist.
    NotFound(LookupId),
}

/// A message's handle.
pub trait Acknowledge: Send + 'static {
    /// The message has had its effect.
    fn acknowledge(self);
}

impl Acknowledge for google_cloud_pubsub::subscriber::handler::Handler {
    fn acknowledge(self) {
        self.ack();
    }
}

/// Answers look-ups.
pub trait LookUp: Clone + Send + Sync + 'static {
    /// The instance, or `None` if there is none of that name.
    ///
    /// # Errors
    /// The question could not be answered. It is asked again while there is time.
    fn look_up(
        &self,
        lookup: &Lookup,
    ) -> impl Future<Output = Result<Option<Instance<'static>>, LookUpError>> + Send;
}

/// Why a look-up has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookUpError {
    /// For the log and `/ready`.
    pub reason: String,
    /// For how long the service asks not to be asked again.
    pub retry_after: Option<Duration>,
    /// What the error is about.
    pub scope: Scope,
}

/// What the error of a look-up is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The service: other look-ups would fail too, so all of them wait.
    Service,
    /// This look-up alone: others do not wait for it.
    Instance,
}

impl LookUpError {
    /// The service cannot be reached, or does not answer anybody now.
    #[must_use]
    pub fn service(reason: impl Into<String>, retry_after: Option<Duration>) -> Self {
        Self { reason: reason.into(), retry_after, scope: Scope::Service }
    }

    /// The answer to this one question is of no use.
    #[must_use]
    pub fn instance(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), retry_after: None, scope: Scope::Instance }
    }
}

/// A message's handle and where it came from: what the state machine keeps for us.
#[derive(Debug)]
pub struct Ticket<T> {
    source: Source,
    message_id: String,
    /// What the log says of an interruption's instance.
    subject: Subject,
    token: T,
}

/// Inputs that are taken in one go, under one lock.
const BATCH: usize = 256;

/// Messages that may wait for a commit. Pub/Sub bounds what is outstanding, but while nothing can be written, the
/// same messages come again and again.
const UNSAFE_MESSAGES: usize = 50_000;

/// Look-ups that may run at the same time.
const LOOKUPS: usize = 16;

/// How long a look-up that could not be answered waits before it is tried again; meanwhile others have its place.
const LOOKUP_PAUSE: Duration = Duration::from_secs(2);

/// The pipeline.
#[derive(Debug)]
pub struct Pipeline<T, L> {
    /// What is known and counted.
    pub state: Shared<Ticket<T>>,
    /// What counts as an interruption.
    pub methods: InterruptionMethods,
    /// Who looks instances up.
    pub lookups: L,
    /// Where look-ups are counted.
    pub health: Health,
    /// Where the state is durable.
    pub journal: Option<Journal<Ticket<T>>>,
}

/// What is recorded, and does not count yet.
#[derive(Debug)]
pub struct Gathered<T> {
    /// The counts.
    pub ledger: Ledger,
    /// The messages that they come from.
    pub tickets: Vec<T>,
}

impl<T> Default for Gathered<T> {
    fn default() -> Self {
        Self { ledger: Ledger::default(), tickets: Vec::new() }
    }
}

/// What became of a look-up.
type Answered = (Lookup, Result<Option<Instance<'static>>, LookUpError>);

/// The look-ups that run, and those that are to be tried again.
struct Lookups {
    running: JoinSet<Answered>,
    /// In the order of their time.
    again: VecDeque<(Instant, Lookup)>,
}

impl<T: Acknowledge, L: LookUp> Pipeline<T, L> {
    /// Runs until every sender of inputs is gone. Look-ups that still run are given up then.
    pub async fn run(mut self, mut inputs: mpsc::Receiver<Input<T>>) {
        let mut journal = self.journal.take();
        let mut lookups = Lookups { running: JoinSet::new(), again: VecDeque::new() };
        let mut batch = Vec::with_capacity(BATCH);
        let mut gathered = Gathered::default();
        let mut log = InterruptionLog::new(self.methods.clone());
        loop {
            let deadline = self.state.lock().attribution.next_deadline(Instant::now().into_std());
            let again = lookups.again.front().map(|(at, _)| *at).filter(|_| lookups.running.len() < LOOKUPS);
            let commit = journal.as_ref().and_then(|journal| journal.next_commit(&gathered, &self.state));
            let left_out = log.next_flush().map(Instant::from_std);
            let deadline =
                [deadline.map(Instant::from_std), again, commit, left_out].into_iter().flatten().min();
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
                taken = inputs.recv_many(&mut batch, BATCH), if gathered.tickets.len() < UNSAFE_MESSAGES => {
                    if taken == 0 {
                        break;
                    }
                }
                Some(answered) = lookups.running.join_next() => batch.extend(lookups.answered(answered, &self.health)),
                safe = committed => acknowledge(safe),
                () = timer => {}
            }
            self.take(&mut batch, &mut gathered, &mut log);
            match &mut journal {
                Some(journal) => journal.proceed(&mut gathered, &self.state),
                None => {
                    let Gathered { ledger, tickets } = mem::take(&mut gathered);
                    self.state.lock().ledger.add(&ledger);
                    acknowledge(tickets);
                }
            }
            self.start(&mut lookups);
        }
        log.finish();
        if let Some(journal) = journal {
            acknowledge(journal.finish(gathered, &self.state).await);
        }
    }

    /// Starts look-ups while there is a place for them: those that are tried again, then new ones. What is not
    /// asked for yet waits in the state machine, which forgets it when it is settled otherwise.
    fn start(&self, lookups: &mut Lookups) {
        let now = Instant::now();
        while lookups.running.len() < LOOKUPS {
            let is_due = lookups.again.front().is_some_and(|(at, _)| *at <= now);
            let again = if is_due { lookups.again.pop_front().map(|(_, lookup)| lookup) } else { None };
            let new = || self.state.lock().attribution.poll_lookup(now.into_std());
            let Some(lookup) = again.or_else(new) else { return };
            if Instant::from_std(lookup.deadline) <= now {
                continue;
            }
            let compute = self.lookups.clone();
            lookups.running.spawn(async move {
                let answer = compute.look_up(&lookup).await;
                (lookup, answer)
            });
        }
    }

    /// Takes a batch, and gathers what is recorded now.
    fn take(
        &self,
        batch: &mut Vec<Input<T>>,
        gathered: &mut Gathered<Ticket<T>>,
        interruptions: &mut InterruptionLog,
    ) {
        let now = Instant::now().into_std();
        let wall_clock = Timestamp::now();
        let mut state = self.state.lock();
        let attribution = &mut state.attribution;
        attribution.tick(now);
        for input in batch.drain(..) {
            match input {
                Input::Message { source, id, data, token } => {
                    let parsed = audit_log::parse(&data, &self.methods);
                    let subject = Subject::of(&parsed);
                    let ticket = Ticket { source, message_id: id.clone(), subject, token };
                    attribution.message(&id, parsed, ticket, now);
                }
                Input::ListingBegun => attribution.begin_resync(now),
                Input::Listed(instances) => {
                    for instance in &instances {
                        attribution.observe(instance, now);
                    }
                }
                Input::ListingFinished(finished) => {
                    // A listing whose author is gone was still complete.
                    let _ = finished.send(attribution.finish_resync(now));
                }
                Input::Found(lookup, instance) => attribution.found(lookup, &instance, now),
                Input::NotFound(lookup) => attribution.not_found(lookup),
            }
        }
        while let Some(Resolved { token: ticket, outcome }) = attribution.poll_resolved() {
            gathered.ledger.record(ticket.source, &outcome, wall_clock);
            let inventory = attribution.inventory();
            interruptions.write(&ticket.subject, &outcome, inventory, (now, wall_clock));
            log(&ticket.message_id, &outcome);
            gathered.tickets.push(ticket);
        }
        interruptions.flush(now);
        state.notice();
    }
}

fn acknowledge<T: Acknowledge>(tickets: Vec<Ticket<T>>) {
    for ticket in tickets {
        ticket.token.acknowledge();
    }
}

impl Lookups {
    /// An instance that was found is an input like any other.
    fn answered<T>(&mut self, answered: Result<Answered, JoinError>, health: &Health) -> Option<Input<T>> {
        if let Ok((_, answer)) = &answered {
            health.looked_up(answer);
        }
        match answered {
            Ok((lookup, Ok(Some(instance)))) => Some(Input::Found(lookup.id, Box::new(instance))),
            Ok((lookup, Ok(None))) => Some(Input::NotFound(lookup.id)),
            Ok((lookup, Err(LookUpError { reason, .. }))) => {
                let (zone, instance) = (&lookup.zone, &lookup.instance);
                tracing::debug!(zone, instance, reason, "cannot look an instance up, trying again");
                self.again.push_back((Instant::now() + LOOKUP_PAUSE, lookup));
                None
            }
            Err(error) => {
                tracing::error!(%error, "a look-up ended by a defect of this program");
                None
            }
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
