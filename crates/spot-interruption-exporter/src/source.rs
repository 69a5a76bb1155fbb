//! What feeds the pipeline: messages, listings and answers to look-ups, whichever provider they come from.

use std::pin::Pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::oneshot;

use crate::attribution::{Lookup, LookupId};
use crate::event::{Entry, Invalid};
use crate::instance::Instance;
use crate::inventory::{Scope, Unseen};

/// The queue that a message came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Queue {
    /// Creation events.
    Creations,
    /// Interruption events.
    Interruptions,
    /// No queue: what the provider's API lists as operations.
    Operations,
    /// The same, where they stand in for messages that are lost.
    Reconciled,
}

impl Queue {
    /// Every queue, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Creations, Self::Interruptions, Self::Operations, Self::Reconciled];
}

/// Messages of one queue that may be out at the same time, held ones included.
pub(crate) const OUTSTANDING_MESSAGES: usize = 20_000;

/// Bytes that may be out at the same time.
pub(crate) const OUTSTANDING_BYTES: usize = 32 * 1024 * 1024;

/// What the pipeline is fed with. `T` is the handle by which a message is acknowledged.
#[derive(Debug)]
pub enum Input<T> {
    /// A message of a queue.
    Message {
        /// Which one.
        queue: Queue,
        /// The message's id, the same in every delivery.
        id: String,
        /// What it holds, not parsed yet.
        data: Bytes,
        /// How often it was delivered, where the queue gives up after so many times.
        attempts: Option<Attempts>,
        /// Acknowledges the message; dropped, it brings the message back.
        token: T,
    },
    /// What is listed from now on.
    Scopes {
        /// All of them.
        scopes: Vec<Scope>,
        /// Others are being searched for.
        are_more_pending: bool,
    },
    /// A listing of a scope begins.
    ListingBegun(Scope),
    /// A page of it.
    Listed(Scope, Vec<Instance<'static>>),
    /// It is complete.
    ListingFinished {
        /// The scope.
        scope: Scope,
        /// What of it could not be seen.
        unseen: Unseen,
        /// Is told how many instances the listing has shown to be gone.
        gone: oneshot::Sender<usize>,
    },
    /// It has failed.
    ListingFailed(Scope),
    /// A listing of a scope's operations offers some that it has not offered before.
    Offered {
        /// The scope.
        scope: Scope,
        /// The number of the listing; later ones have higher numbers.
        listing: u64,
        /// Whether they only stand in for messages that are lost.
        wait: bool,
        /// What they tell, each with its token.
        operations: Vec<(Entry<'static>, T)>,
    },
    /// A listing of a scope's operations has ended.
    OperationsListed {
        /// The scope.
        scope: Scope,
        /// The number of the listing.
        listing: u64,
        /// Up to when it had all operations; `None` if it had a part of them.
        cursor: Option<Timestamp>,
    },
    /// The operations of all scopes were offered up to this moment.
    OfferedUntil(Instant),
    /// An instance that was looked up exists.
    Found(LookupId, Box<Instance<'static>>),
    /// An instance that was looked up does not exist.
    NotFound(LookupId),
}

/// Deliveries of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempts {
    /// How many there were, this one included.
    pub made: i32,
    /// After how many the queue moves the message to the dead letters.
    pub most: i32,
}

/// Completes when the queue has confirmed an acknowledgement, or says why it does not.
pub type Confirmation = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// A message's handle.
pub trait Acknowledge: Send + 'static {
    /// The message has had its effect. What is returned is to be waited for before the process ends, if there is
    /// something: until then the acknowledgement may be lost. To drop it hands the message back.
    fn acknowledge(self) -> Option<Confirmation>;
}

/// Reads messages.
pub trait Decode {
    /// What a message of a queue says.
    ///
    /// # Errors
    /// What stands in the way of reading an event. Such a message never becomes better by being delivered again.
    fn decode<'a>(&self, queue: Queue, message: &'a [u8]) -> Result<Entry<'a>, Invalid>;
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
    /// Which other look-ups would fail too.
    pub affects: Affects,
}

/// Which look-ups an error affects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Affects {
    /// The service: other look-ups would fail too, so all of them wait.
    Service,
    /// This look-up alone: others do not wait for it.
    Instance,
}

impl LookUpError {
    /// The service cannot be reached, or does not answer anybody now.
    #[must_use]
    pub fn service(reason: impl Into<String>, retry_after: Option<Duration>) -> Self {
        Self { reason: reason.into(), retry_after, affects: Affects::Service }
    }

    /// The answer to this one question is of no use.
    #[must_use]
    pub fn instance(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), retry_after: None, affects: Affects::Instance }
    }
}
