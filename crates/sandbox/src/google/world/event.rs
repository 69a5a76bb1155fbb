//! Simulated events.

use crate::google::{audit_log::Version, instance::Instance};

/// A simulated event.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// An instance was created by a single request.
    Created(Instance, Version),
    /// Instances were created by one request.
    BulkCreated(Vec<Instance>, Version),
    /// The creation of an instance failed.
    Failed(Instance, Version),
    /// An instance was preempted but still exists.
    Preempted(Instance),
    /// An instance was deleted, preempted or not.
    Deleted(Instance),
}
