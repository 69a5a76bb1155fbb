//! The way of an event, from top to bottom.
//!
//! Whatever arrives - a message, a page of a listing, an answer to a look-up - is an [`Input`], and one loop takes
//! them in turn: parse, attribute, record, acknowledge. Nothing is acknowledged before it is recorded, and nothing
//! is recorded twice, because only this loop does either.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use crate::attribution::{Lookup, LookupId, Outcome, Resolved};
use crate::audit_log::{self, InterruptionMethods};
use crate::instance::Instance;
use crate::metrics::{Shared, Source, State};

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
    /// The instance, if it exists.
    fn look_up(&self, lookup: Lookup) -> impl Future<Output = Option<Instance<'static>>> + Send;
}

impl LookUp for crate::compute::Compute {
    async fn look_up(&self, lookup: Lookup) -> Option<Instance<'static>> {
        crate::compute::Compute::look_up(self, &lookup).await
    }
}

/// A message's handle and where it came from: what the state machine keeps for us.
#[derive(Debug)]
pub struct Ticket<T> {
    source: Source,
    message_id: String,
    token: T,
}

/// Inputs that are taken in one go, under one lock.
const BATCH: usize = 256;

/// Look-ups that may run at the same time.
const LOOKUPS: usize = 16;

/// The pipeline.
#[derive(Debug)]
pub struct Pipeline<T, L> {
    /// What is known and counted.
    pub state: Shared<Ticket<T>>,
    /// What counts as an interruption.
    pub methods: InterruptionMethods,
    /// Who looks instances up.
    pub lookups: L,
    /// The way in for answers to look-ups.
    pub inputs: mpsc::WeakSender<Input<T>>,
}

impl<T: Acknowledge, L: LookUp> Pipeline<T, L> {
    /// Runs until every sender of inputs is gone.
    pub async fn run(self, mut inputs: mpsc::Receiver<Input<T>>) {
        let permits = Arc::new(Semaphore::new(LOOKUPS));
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let deadline = self.state.lock().attribution.next_deadline(Instant::now().into_std());
            let timer = async {
                match deadline {
                    Some(deadline) => sleep_until(Instant::from_std(deadline)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                taken = inputs.recv_many(&mut batch, BATCH) => if taken == 0 { return },
                () = timer => {}
            }
            let acknowledged = self.take(&mut batch);
            for ticket in acknowledged {
                ticket.token.acknowledge();
            }
            self.start_lookups(&permits);
        }
    }

    /// Takes a batch and returns the tickets of what is recorded now.
    fn take(&self, batch: &mut Vec<Input<T>>) -> Vec<Ticket<T>> {
        let now = Instant::now().into_std();
        let wall_clock = Timestamp::now();
        let mut state = self.state.lock();
        let State { attribution, ledger } = &mut *state;
        attribution.tick(now);
        for input in batch.drain(..) {
            match input {
                Input::Message { source, id, data, token } => {
                    let parsed = audit_log::parse(&data, &self.methods);
                    let ticket = Ticket { source, message_id: id.clone(), token };
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
            }
        }
        ledger.notice(attribution.inventory().spot_running());
        let mut recorded = Vec::new();
        while let Some(Resolved { token: ticket, outcome }) = attribution.poll_resolved() {
            ledger.record(ticket.source, &outcome, attribution.inventory().profiles(), wall_clock);
            log(&ticket.message_id, &outcome);
            recorded.push(ticket);
        }
        recorded
    }

    fn start_lookups(&self, permits: &Arc<Semaphore>) {
        let now = Instant::now().into_std();
        while let Some(lookup) = self.state.lock().attribution.poll_lookup(now) {
            let Some(inputs) = self.inputs.upgrade() else { return };
            let (permits, lookups) = (permits.clone(), self.lookups.clone());
            tokio::spawn(async move {
                // The semaphore is never closed; should it be, the grace decides.
                let Ok(_permit) = permits.acquire_owned().await else { return };
                let id = lookup.id;
                if let Some(found) = lookups.look_up(lookup).await {
                    let _ = inputs.send(Input::Found(id, Box::new(found))).await;
                }
            });
        }
    }
}

fn log(message_id: &str, outcome: &Outcome) {
    match outcome {
        Outcome::Invalid(reason) => {
            tracing::warn!(message_id, %reason, "a message cannot be read and is dropped");
        }
        Outcome::Unattributed { .. } => {
            tracing::info!(message_id, "an interruption belongs to no known cluster");
        }
        Outcome::Counted(_) => tracing::debug!(message_id, "counted an interruption"),
        Outcome::Added => tracing::debug!(message_id, "added an instance"),
        Outcome::Duplicate => tracing::debug!(message_id, "an event came again"),
        Outcome::Ignored(reason) => {
            tracing::debug!(message_id, reason = reason.label(), "a message is of no consequence");
        }
    }
}
