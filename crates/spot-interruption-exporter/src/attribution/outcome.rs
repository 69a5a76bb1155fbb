//! What comes out of the state machine.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::LookupId;
use crate::event::{FailureReason, Ignored, InterruptionReason, Invalid};
use crate::inventory::ProfileId;

/// What a message amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// An interruption of an instance of a known cluster.
    Counted(Counted),
    /// An interruption of an instance that belongs to no known cluster.
    Unattributed {
        /// Why it was interrupted.
        reason: InterruptionReason,
        /// When.
        at: Option<Timestamp>,
        /// Why it belongs to none.
        why: Why,
    },
    /// A creation: its instance is in the inventory.
    Added,
    /// A creation that failed, of a spot node of a cluster.
    CreationFailed {
        /// The labels to count it under.
        profile: ProfileId,
        /// Why it failed.
        reason: FailureReason,
    },
    /// The same event has been here before, or the same loss was told by another method.
    Duplicate,
    /// The message is of no consequence.
    Ignored(Ignored),
    /// The message cannot be read.
    Invalid(Invalid),
}

impl Outcome {
    /// The value of the `outcome` label.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Counted(_) => "counted",
            Self::Unattributed { .. } => "unattributed",
            Self::Added => "added",
            Self::Duplicate => "duplicate",
            // It has no effect on interruptions.
            Self::CreationFailed { .. } | Self::Ignored(_) => "ignored",
            Self::Invalid(_) => "invalid",
        }
    }
}

/// Why an interruption belongs to no known cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The instance exists, and is no node of a cluster.
    NotKubernetes,
    /// No creation event and no listing has made the instance known in time, and the provider's API has none of that
    /// name.
    NotFound,
    /// The same, but the API has not answered, or could not be asked.
    Unknown,
}

impl Why {
    /// Every one of them.
    pub const ALL: [Self; 3] = [Self::NotKubernetes, Self::NotFound, Self::Unknown];

    /// The word for log lines.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::NotKubernetes => "not_kubernetes",
            Self::NotFound => "not_found",
            Self::Unknown => "unknown",
        }
    }
}

/// One interruption, ready to be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// The labels to count it under; see [`Inventory::profile`](crate::inventory::Inventory::profile).
    pub profile: ProfileId,
    /// Why it was interrupted.
    pub reason: InterruptionReason,
    /// When.
    pub at: Option<Timestamp>,
    /// How old the instance was, where both moments are known.
    pub lifetime: Option<Duration>,
}

/// A message that has had its effect, and can be acknowledged once the effect is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolved<T> {
    /// What came with the message.
    pub token: T,
    /// What it amounts to.
    pub outcome: Outcome,
}

/// A question to the provider's API: what is this instance?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// To be given back with the instance, if it is found.
    pub id: LookupId,
    /// The id of the project.
    pub project: String,
    /// The zone.
    pub zone: String,
    /// The name, or the id where the name is unknown: the API takes either.
    pub instance: String,
    /// From then on the answer comes too late.
    pub deadline: Instant,
}

/// What to do about a held message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Give it back.
    Return,
    /// Keep it and look at the next one.
    Keep,
    /// Keep this one and all others.
    Stop,
}
