//! The cloud providers: where messages and instances come from.
//!
//! One loop takes what all providers deliver, so there is one type of token and one of provider: enums rather
//! than trait objects, for a decoded message borrows from its bytes.

pub mod google;

use crate::attribution::Lookup;
use crate::event::{Entry, Invalid};
use crate::instance::Instance;
use crate::source::{Acknowledge, Confirmation, Decode, LookUp, LookUpError, Queue};

/// Reads the messages of a provider and looks its instances up.
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

impl LookUp for Provider {
    async fn look_up(&self, lookup: &Lookup) -> Result<Option<Instance<'static>>, LookUpError> {
        match self {
            Self::Google(google) => google.look_up(lookup).await,
        }
    }
}

/// The handle of a message.
#[derive(Debug)]
pub(crate) enum Token {
    /// A message of Pub/Sub.
    Pubsub(google::pubsub::Handler),
    /// An operation, which is listed and has none.
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
