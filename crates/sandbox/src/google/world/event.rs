//! What happens to instances.

use crate::google::{audit_log::Version, instance::Instance};

/// What happens to instances.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// An instance was created by a request of its own.
    Created(Instance, Version),
    /// Instances were created by one request.
    BulkCreated(Vec<Instance>, Version),
    /// An instance was to be created and could not be.
    Failed(Instance, Version),
    /// An instance was preempted. It still exists.
    Preempted(Instance),
    /// An instance is gone, preempted before or not.
    Deleted(Instance),
}
