//! The cloud providers: sources of messages and instances.
//!
//! One loop processes the messages of all providers, so there is one type of token and one of provider. They are not
//! trait objects, because a decoded message borrows from its bytes.

pub mod aws;
pub mod endpoint;
pub(crate) mod failure;
pub mod google;
mod pages;
mod schedule;

use crate::attribution::Lookup;
use crate::event::{Entry, Invalid};
use crate::instance::Instance;
use crate::source::{Acknowledge, Confirmation, Decode, InstanceLookup, LookupError, Queue};

/// Decodes the messages of the configured providers and looks up their instances.
#[derive(Debug, Clone)]
pub(crate) struct Provider {
    pub(crate) google: Option<google::Google>,
    pub(crate) aws: Option<aws::Aws>,
}

impl Decode for Provider {
    fn decode<'a>(&self, queue: Queue, message: &'a [u8]) -> Result<Entry<'a>, Invalid> {
        match (queue, &self.google, &self.aws) {
            (Queue::Mixed(_), _, Some(aws)) => aws.decode(queue, message),
            (_, Some(google), _) => google.decode(queue, message),
            _ => Err(NO_PROVIDER),
        }
    }
}

/// A message of a provider that is not configured, which cannot occur.
const NO_PROVIDER: Invalid =
    Invalid::NotAnEvent { label: "no_provider", text: "the message belongs to no configured provider" };

impl InstanceLookup for Provider {
    async fn lookup(&self, lookup: &Lookup) -> Result<Option<Instance<'static>>, LookupError> {
        match (&self.google, &self.aws) {
            // Ids of Google's projects begin with a letter, ids of AWS's accounts are numbers.
            (_, Some(aws)) if aws::config::is_account(&lookup.project) => aws.lookup(lookup).await,
            (Some(google), _) => google.lookup(lookup).await,
            _ => Ok(None),
        }
    }
}

/// The token of a message.
#[derive(Debug)]
pub(crate) enum Token {
    /// Acknowledges a message of Pub/Sub.
    Pubsub(google::pubsub::Handler),
    /// Deletes a message of SQS.
    Sqs(aws::sqs::receipts::Receipt),
    /// An operation: it is listed and needs no acknowledgement.
    Operation,
}

impl Acknowledge for Token {
    fn acknowledge(self) -> Option<Confirmation> {
        match self {
            Self::Pubsub(handler) => google::pubsub::acknowledge(handler),
            Self::Sqs(receipt) => {
                receipt.delete();
                None
            }
            Self::Operation => None,
        }
    }
}
