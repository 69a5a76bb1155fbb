//! Outputs of the state machine.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::LookupId;
use crate::event::{FailureReason, Ignored, InterruptionReason, Invalid};
use crate::inventory::ProfileId;

/// Outcome of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// An interruption of an instance of a known cluster.
    Counted(Counted),
    /// An interruption of an instance that belongs to no known cluster.
    Unattributed {
        /// Why the instance was interrupted.
        reason: InterruptionReason,
        /// Time of the interruption.
        at: Option<Timestamp>,
        /// Why it belongs to no known cluster.
        cause: UnattributedCause,
    },
    /// A creation. Its instance is in the inventory.
    Added,
    /// A failed creation of a spot node.
    CreationFailed {
        /// The labels of the instance.
        profile: ProfileId,
        /// Why the creation failed.
        reason: FailureReason,
    },
    /// The event is known already, or the same loss was reported by another method.
    Duplicate,
    /// The message has no effect.
    Ignored(Ignored),
    /// The message cannot be decoded.
    Invalid(Invalid),
}

impl Outcome {
    /// Value of the `outcome` label.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Counted(_) => "counted",
            Self::Unattributed { .. } => "unattributed",
            Self::Added => "added",
            Self::Duplicate => "duplicate",
            // A failed creation has no effect on interruptions.
            Self::CreationFailed { .. } | Self::Ignored(_) => "ignored",
            Self::Invalid(_) => "invalid",
        }
    }
}

/// UnattributedCause an interruption belongs to no known cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnattributedCause {
    /// The instance exists and is not a node of a cluster.
    NotKubernetes,
    /// The instance did not become known in time, and the provider's API has no instance of that name.
    NotFound,
    /// The instance did not become known in time, and the API did not respond or could not be queried.
    Unknown,
}

impl UnattributedCause {
    /// All causes.
    pub const ALL: [Self; 3] = [Self::NotKubernetes, Self::NotFound, Self::Unknown];

    /// The value for log lines.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::NotKubernetes => "not_kubernetes",
            Self::NotFound => "not_found",
            Self::Unknown => "unknown",
        }
    }
}

/// One interruption to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// The labels of the instance; see [`Inventory::profile`](crate::inventory::Inventory::profile).
    pub profile: ProfileId,
    /// Why the instance was interrupted.
    pub reason: InterruptionReason,
    /// Time of the interruption.
    pub at: Option<Timestamp>,
    /// Age of the instance, if creation time and event time are known.
    pub lifetime: Option<Duration>,
}

/// A message whose effect is decided. Acknowledge it after the effect is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolved<T> {
    /// The token of the message.
    pub token: T,
    /// The outcome.
    pub outcome: Outcome,
}

/// Request to look up an instance in the provider's API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// Identifies the lookup when its result is passed back.
    pub id: LookupId,
    /// The id of the project.
    pub project: String,
    /// The zone.
    pub zone: String,
    /// The name, or the id if the name is unknown. The API accepts both.
    pub instance: String,
    /// When the result is no longer useful.
    pub deadline: Instant,
}

/// What to do with a held message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Give the message back.
    Return,
    /// Keep the message and continue with the next one.
    Keep,
    /// Keep this message and all following ones.
    Stop,
}
