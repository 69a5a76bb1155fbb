//! The cloud providers: sources of messages and instances.
//!
//! One loop processes the messages of all providers, so there is one type of token and one of provider. They are enums
//! and not trait objects, because a decoded message borrows from its bytes.

pub mod google;

use crate::attribution::Lookup;
use crate::event::{Entry, Invalid};
use crate::instance::Instance;
use crate::source::{Acknowledge, Confirmation, Decode, InstanceLookup, LookupError, Queue};

/// Decodes the messages of a provider and looks up its instances.
#[derive(Debug, Clone)]
pub(crate) enum Provider {
    /// Google Cloud.
    Google(google::Google),
}

impl Decode for Provider {
    fn decode<'a>(&self, queue: Queue, message: &'a [u8]) -> Result<Entry<'a>, Invalid> {
        match self {
            Self::Google(google) => google.decode(queue, message),
        }
    }
}

impl InstanceLookup for Provider {
    async fn lookup(&self, lookup: &Lookup) -> Result<Option<Instance<'static>>, LookupError> {
        match self {
            Self::Google(google) => google.lookup(lookup).await,
        }
    }
}

/// The token of a message.
#[derive(Debug)]
pub(crate) enum Token {
    /// Acknowledges a message of Pub/Sub.
    Pubsub(google::pubsub::Handler),
    /// An operation: it is listed and needs no acknowledgement.
    Operation,
}

impl Acknowledge for Token {
    fn acknowledge(self) -> Option<Confirmation> {
        match self {
            Self::Pubsub(handler) => google::pubsub::acknowledge(handler),
            Self::Operation => None,
        }
    }
}
