//! The inputs of the pipeline, independent of the provider: messages, listings and lookups.

use std::pin::Pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::oneshot;

use crate::attribution::{Lookup, LookupId};
use crate::event::{Entry, Invalid};
use crate::instance::Instance;
use crate::inventory::{Scope, Unseen};

/// Where a message or an operation comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Queue {
    /// Creation events.
    Creations,
    /// Interruption events.
    Interruptions,
    /// Operations in place of a queue.
    Operations,
    /// Operations that replace lost messages.
    Reconciled,
    /// Interruptions that no message reported and that a listing of instances shows.
    Listed,
    /// A queue with all kinds of events, by its number.
    Mixed(u8),
}

/// Maximum number of [mixed](Queue::Mixed) queues.
pub const MAX_MIXED_QUEUES: usize = 24;

impl Queue {
    /// Number of queues.
    pub const COUNT: usize = Self::FIRST_MIXED + MAX_MIXED_QUEUES;

    /// The queues before the mixed ones, in the order of their numbers.
    const FIXED: [Self; 5] =
        [Self::Creations, Self::Interruptions, Self::Operations, Self::Reconciled, Self::Listed];

    const FIRST_MIXED: usize = Self::FIXED.len();

    /// The number of the queue, which the durable state contains.
    #[must_use]
    pub fn number(self) -> usize {
        match self {
            Self::Creations => 0,
            Self::Interruptions => 1,
            Self::Operations => 2,
            Self::Reconciled => 3,
            Self::Listed => 4,
            // The configuration limits the number of queues; a larger number must not panic.
            Self::Mixed(index) => Self::FIRST_MIXED + usize::from(index).min(MAX_MIXED_QUEUES - 1),
        }
    }

    /// Returns the queue with a number.
    #[must_use]
    pub fn numbered(number: usize) -> Option<Self> {
        match number.checked_sub(Self::FIRST_MIXED) {
            None => Self::FIXED.get(number).copied(),
            Some(index) => u8::try_from(index).ok().filter(|_| index < MAX_MIXED_QUEUES).map(Self::Mixed),
        }
    }

    /// The queues that deliver messages.
    pub fn of_messages() -> impl Iterator<Item = Self> {
        let mixed = (0..=u8::MAX).take(MAX_MIXED_QUEUES).map(Self::Mixed);
        [Self::Creations, Self::Interruptions].into_iter().chain(mixed)
    }
}

/// Maximum number of unacknowledged messages of a queue, held ones included.
pub(crate) const OUTSTANDING_MESSAGES: usize = 20_000;

/// Maximum number of bytes in unacknowledged messages of a queue.
pub(crate) const OUTSTANDING_BYTES: usize = 32 * 1024 * 1024;

/// Input of the pipeline. `T` is the token that acknowledges a message.
#[derive(Debug)]
pub enum Input<T> {
    /// A message of a queue.
    Message {
        /// The queue.
        queue: Queue,
        /// The message id, the same in every delivery.
        id: String,
        /// The payload, not decoded yet.
        data: Bytes,
        /// Number of deliveries, if the subscription has a dead-letter policy.
        attempts: Option<Attempts>,
        /// Acknowledges the message. Dropping it returns the message to its queue.
        token: T,
    },
    /// The scopes to list from now on.
    Scopes {
        /// All scopes.
        scopes: Vec<Scope>,
        /// Whether a search for further scopes is running.
        are_more_pending: bool,
    },
    /// The listing of a scope has started.
    ListingStarted(Scope),
    /// A page of instances.
    ListingPage(Scope, Vec<Instance<'static>>),
    /// The listing is complete.
    ListingFinished {
        /// The scope.
        scope: Scope,
        /// Parts of the scope that could not be listed.
        unseen: Unseen,
        /// Receives the number of instances that were removed because the listing did not contain them.
        gone: oneshot::Sender<usize>,
    },
    /// The listing has failed.
    ListingFailed(Scope),
    /// New operations of a scope.
    Operations {
        /// The scope.
        scope: Scope,
        /// Number of the operations listing, increasing. `None` if no cursor depends on these operations.
        listing: Option<u64>,
        /// Where the operations come from.
        queue: Queue,
        /// Whether each operation is held for the grace first, because its message is expected.
        wait: bool,
        /// The events of the operations, each with its token.
        operations: Vec<(Entry<'static>, T)>,
    },
    /// The operations listing of a scope has ended.
    OperationsListingFinished {
        /// The scope.
        scope: Scope,
        /// The number of the listing.
        listing: u64,
        /// The time up to which the listing is complete; `None` if the listing is partial.
        cursor: Option<Timestamp>,
    },
    /// All operations of all scopes up to this moment were received.
    OperationsReceivedUntil(Instant),
    /// A lookup has found an instance.
    Found(LookupId, Box<Instance<'static>>),
    /// A looked-up instance does not exist.
    NotFound(LookupId),
}

/// Delivery attempts of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempts {
    /// Attempts so far, this one included.
    pub made: i32,
    /// Number of attempts after which the queue moves the message to the dead-letter topic.
    pub max: i32,
}

/// Completes when the queue confirms an acknowledgement. Returns the reason if the queue rejects it.
pub type Confirmation = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// The token of a message.
pub trait Acknowledge: Send + 'static {
    /// Acknowledges the message after its effect is recorded. If a confirmation is returned, wait for it before the
    /// process exits, because the acknowledgement can still be lost. Dropping the confirmation returns the message to
    /// its queue.
    fn acknowledge(self) -> Option<Confirmation>;
}

/// Decodes messages.
pub trait Decode {
    /// Decodes a message of a queue.
    ///
    /// # Errors
    /// Returns an error if the message is not an event. A redelivery would not change that.
    fn decode<'a>(&self, queue: Queue, message: &'a [u8]) -> Result<Entry<'a>, Invalid>;
}

/// Looks up single instances.
pub trait InstanceLookup: Clone + Send + Sync + 'static {
    /// Returns the instance, or `None` if it does not exist.
    ///
    /// # Errors
    /// Returns an error if the request failed. The pipeline retries until the deadline of the lookup.
    fn lookup(
        &self,
        lookup: &Lookup,
    ) -> impl Future<Output = Result<Option<Instance<'static>>, LookupError>> + Send;
}

/// Why a lookup failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookupError {
    /// Description for the log and `/ready`.
    pub reason: String,
    /// Delay that the service requested before the next request.
    pub retry_after: Option<Duration>,
    /// Which other lookups would fail too.
    pub affects: Affects,
}

/// Which lookups an error affects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Affects {
    /// All lookups: they pause until the service works again.
    Service,
    /// Only this lookup.
    Instance,
}

impl LookupError {
    /// Creates an error that affects all lookups, for example an unreachable service.
    #[must_use]
    pub fn service(reason: impl Into<String>, retry_after: Option<Duration>) -> Self {
        Self { reason: reason.into(), retry_after, affects: Affects::Service }
    }

    /// Creates an error that affects only this lookup.
    #[must_use]
    pub fn instance(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), retry_after: None, affects: Affects::Instance }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_queue_has_its_own_number() {
        let queues: Vec<Queue> = (0..Queue::COUNT).filter_map(Queue::numbered).collect();
        assert_eq!(queues.len(), Queue::COUNT);
        assert!(queues.iter().enumerate().all(|(number, queue)| queue.number() == number));
        assert_eq!(Queue::numbered(Queue::COUNT), None);
        assert!(Queue::of_messages().all(|queue| queues.contains(&queue)));
    }
}
