//! Events of instances: the output of the providers' parsers.

use std::borrow::Cow;

use jiff::Timestamp;
use thiserror::Error;

use crate::instance::{Instance, InstanceRef};

/// A decoded message: an event and the ids that identify it.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry<'a> {
    /// The id of the log entry, the same in every copy of it.
    pub insert_id: Option<Cow<'a, str>>,
    /// The id of the operation that the entry belongs to.
    pub operation_id: Option<Cow<'a, str>>,
    /// Time of the event.
    pub timestamp: Option<Timestamp>,
    /// The event.
    pub event: Event<'a>,
}

/// What happened to an instance.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<'a> {
    /// An instance was interrupted.
    Interruption {
        /// The interrupted instance.
        instance: InstanceRef<'a>,
        /// The configured method that interrupted it.
        reason: InterruptionReason,
    },
    /// An instance was created, as a node of a cluster or not.
    Creation(Instance<'a>),
    /// An instance was created by a bulk insert. Its entry has no labels, and the entry with the labels names no
    /// instance, so this instance has to be looked up.
    UnlabelledCreation(InstanceRef<'a>),
    /// The request of a bulk insert. It makes a cluster known before any of its instances has a name.
    BulkRequest {
        /// The cluster, if the instances will be nodes of one.
        cluster: Option<Cow<'a, str>>,
    },
    /// A creation has finished. The entry contains only the id of the instance.
    CreationFinished(InstanceRef<'a>),
    /// A creation has failed, for example because a zone has no spot capacity.
    CreationFailed(FailedCreation<'a>),
    /// The message has no effect.
    Ignored(Ignored),
}

/// A failed creation.
#[derive(Debug, Clone, PartialEq)]
pub struct FailedCreation<'a> {
    /// The instance to create, as far as the entry describes it: an entry repeats the request, names the instance, or
    /// both.
    pub instance: Instance<'a>,
    /// Whether the entry repeats the request and so describes the instance.
    pub is_described: bool,
    /// Whether the request was for an instance that cannot be preempted.
    pub on_demand: bool,
    /// Whether the operation had started, so that an earlier entry announced the instance. An immediately rejected
    /// request can name an existing instance, for example when its name is already used.
    pub had_begun: bool,
    /// Why the creation failed.
    pub reason: FailureReason,
}

/// Why a creation failed: the values of the `reason` label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureReason {
    /// The zone has no capacity for the machine type.
    Stockout,
    /// The quota of the project is exhausted.
    Quota,
    /// The caller lacks a permission.
    Permission,
    /// Any other reason.
    Other,
}

impl FailureReason {
    /// All reasons.
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

/// UnattributedCause a well-formed message has no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ignored {
    /// The entry is about a method that is not configured.
    OtherMethod,
    /// A failed creation that is not counted: on demand, outside any cluster, or of an unknown instance.
    FailedCreation,
    /// The last entry of an operation, without the request.
    OperationEnd,
    /// The request of a bulk insert, which names no instance.
    BulkRequest,
    /// The instance is not a node of a cluster.
    NotKubernetes,
    /// The log entry of the instance has no labels, and the lookup did not succeed in time.
    Unresolved,
}

impl Ignored {
    /// The value for log lines.
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

/// Why a message cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Invalid {
    /// Invalid or truncated JSON.
    #[error("not JSON: syntax error at line {line} column {column}")]
    NotJson {
        /// Line of the error, starting at 1.
        line: usize,
        /// Column of the error, starting at 1.
        column: usize,
    },
    /// Valid JSON that is not an event.
    #[error("{text}")]
    NotAnEvent {
        /// The value for log lines.
        label: &'static str,
        /// Description of the problem.
        text: &'static str,
    },
}

impl Invalid {
    /// The value for log lines.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::NotJson { .. } => "not_json",
            Self::NotAnEvent { label, .. } => label,
        }
    }
}

/// The parsers accept every type of value, so serde_json only reports syntax errors.
impl From<serde_json::Error> for Invalid {
    fn from(error: serde_json::Error) -> Self {
        Self::NotJson { line: error.line(), column: error.column() }
    }
}

/// Reason of an interruption: an index into [`Reasons`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct InterruptionReason(u16);

/// The reasons of interruptions: a closed set, the values of the `reason` label.
#[derive(Debug, Clone, Default)]
pub struct Reasons {
    labels: Vec<Box<str>>,
}

impl Reasons {
    /// Returns the reason with this label and adds it if it is missing.
    pub fn labelled(&mut self, label: &str) -> InterruptionReason {
        let index = self.labels.iter().position(|known| **known == *label).unwrap_or(self.labels.len());
        if index == self.labels.len() {
            self.labels.push(label.into());
        }
        // Reasons come from the configuration and from the durable state, so there are few.
        InterruptionReason(u16::try_from(index).unwrap_or(u16::MAX))
    }

    /// All reasons.
    pub fn iter(&self) -> impl Iterator<Item = InterruptionReason> {
        (0..=u16::MAX).take(self.labels.len()).map(InterruptionReason)
    }

    /// The value of the `reason` label.
    #[must_use]
    pub fn label(&self, reason: InterruptionReason) -> &str {
        // A reason of another set may be out of bounds; that must not panic.
        self.labels.get(usize::from(reason.0)).map_or("", |label| label)
    }
}
