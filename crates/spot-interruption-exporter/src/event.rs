//! What can happen to an instance: what the parsers of the providers' messages produce.

use std::borrow::Cow;

use jiff::Timestamp;
use thiserror::Error;

use crate::instance::{Instance, InstanceRef};

/// What a message says: an event, and what tells it from others.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry<'a> {
    /// The id of the log entry, the same in every copy of it.
    pub insert_id: Option<Cow<'a, str>>,
    /// The operation that the entry belongs to.
    pub operation_id: Option<Cow<'a, str>>,
    /// When it happened.
    pub timestamp: Option<Timestamp>,
    /// What happened.
    pub event: Event<'a>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<'a> {
    /// An instance was interrupted.
    Interruption {
        /// Which one.
        instance: InstanceRef<'a>,
        /// By which of the configured methods.
        reason: InterruptionReason,
    },
    /// An instance was created, inside a cluster or outside any.
    Creation(Instance<'a>),
    /// An instance was created by a bulk insert. The entry of the instance has no labels, and the entry that has
    /// them names no instance, so this one is to be looked up.
    UnlabelledCreation(InstanceRef<'a>),
    /// The request of a bulk insert: it says that a cluster exists, before any of its instances has a name.
    BulkRequest {
        /// The cluster, if the instances are to be nodes of one.
        cluster: Option<Cow<'a, str>>,
    },
    /// A creation has finished. It tells nothing of the instance but its id.
    CreationFinished(InstanceRef<'a>),
    /// A creation has failed, as happens when a zone runs out of spot capacity.
    CreationFailed(FailedCreation<'a>),
    /// Nothing that matters here.
    Ignored(Ignored),
}

/// What a creation that has failed says.
#[derive(Debug, Clone, PartialEq)]
pub struct FailedCreation<'a> {
    /// What was to be created, as far as the entry says: it repeats the request or names the instance, or both.
    pub instance: Instance<'a>,
    /// Whether the entry repeats the request, so that it says what was to be created.
    pub is_described: bool,
    /// Whether the request was for an instance that cannot be preempted.
    pub on_demand: bool,
    /// Whether the creation had begun, so that the instance was announced before. A request that was turned down at
    /// once may name an instance that exists: that can be why it was turned down.
    pub had_begun: bool,
    /// Why.
    pub reason: FailureReason,
}

/// Why a creation has failed: the values of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureReason {
    /// The zone has no capacity of that kind.
    Stockout,
    /// The project's quota is exhausted.
    Quota,
    /// The caller lacks the permission.
    Permission,
    /// Anything else.
    Other,
}

impl FailureReason {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::Stockout, Self::Quota, Self::Permission, Self::Other];

    /// The value of the `reason` label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Stockout => "stockout",
            Self::Quota => "quota",
            Self::Permission => "permission",
            Self::Other => "other",
        }
    }
}

/// Why a well-formed message has no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ignored {
    /// The entry is about another method.
    OtherMethod,
    /// A creation failed that is not counted: on demand, outside any cluster, or of an instance that nobody knows.
    FailedCreation,
    /// The entry ends an operation and repeats nothing of its request.
    OperationEnd,
    /// The request of a bulk insert, which names no instance.
    BulkRequest,
    /// The instance is no node of a cluster.
    NotKubernetes,
    /// The instance has no labels in its log entry, and could not be looked up in time.
    Unresolved,
}

impl Ignored {
    /// The word for log lines.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::OtherMethod => "other_method",
            Self::FailedCreation => "failed_creation",
            Self::OperationEnd => "operation_end",
            Self::BulkRequest => "bulk_request",
            Self::NotKubernetes => "not_kubernetes",
            Self::Unresolved => "unresolved",
        }
    }
}

/// Why a message cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Invalid {
    /// Not JSON at all, or broken off.
    #[error("not JSON: stopped making sense at line {line} column {column}")]
    NotJson {
        /// Counted from one.
        line: usize,
        /// Counted from one.
        column: usize,
    },
    /// JSON, but no event.
    #[error("{text}")]
    NotAnEvent {
        /// The word for log lines.
        label: &'static str,
        /// What is wrong with it.
        text: &'static str,
    },
}

impl Invalid {
    /// The word for log lines.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::NotJson { .. } => "not_json",
            Self::NotAnEvent { label, .. } => label,
        }
    }
}

/// The parsers accept every value of every type, so what serde_json reports is always about the JSON itself.
impl From<serde_json::Error> for Invalid {
    fn from(error: serde_json::Error) -> Self {
        Self::NotJson { line: error.line(), column: error.column() }
    }
}

/// Why an instance was interrupted: one of [`Reasons`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct InterruptionReason(usize);

/// The reasons of interruptions: a closed set, the values of the `reason` label.
#[derive(Debug, Clone, Default)]
pub struct Reasons {
    labels: Vec<Box<str>>,
}

impl Reasons {
    /// The reason of that label, which is added if it is not there yet.
    pub fn labelled(&mut self, label: &str) -> InterruptionReason {
        let index = self.labels.iter().position(|known| **known == *label).unwrap_or(self.labels.len());
        if index == self.labels.len() {
            self.labels.push(label.into());
        }
        InterruptionReason(index)
    }

    /// Every reason that there is.
    pub fn iter(&self) -> impl Iterator<Item = InterruptionReason> {
        (0..self.labels.len()).map(InterruptionReason)
    }

    /// The value of the `reason` label.
    #[must_use]
    pub fn label(&self, reason: InterruptionReason) -> &str {
        // A reason of another set could be out of bounds, and deserves no panic.
        self.labels.get(reason.0).map_or("", |label| label)
    }
}
