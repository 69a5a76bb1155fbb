//! Operations on instances.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::google::{instance::Instance, names::COMPUTE_ROOT};

/// A completed operation in a zone.
///
/// ```
/// use std::time::SystemTime;
/// use sandbox::google::{Instance, compute::ZoneOperation};
///
/// let node = Instance::new(7, "europe-west1-c", "gke-n1");
/// let preempted = ZoneOperation::preempted("systemevent-1", &node, SystemTime::now());
/// assert_eq!(preempted.operation_type, "compute.instances.preempted");
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ZoneOperation {
    /// The name, unique within the zone. Log entries contain it as `operation.id`.
    pub name: String,
    /// The type: `compute.instances.preempted`, `insert`, `bulkInsert`, `delete`.
    pub operation_type: String,
    /// The zone's name.
    pub zone: String,
    /// The name and the id of the target instance; `None` for the parent operation of a bulk insertion.
    pub target: Option<(String, u64)>,
    /// The principal that requested it; `system` for Compute Engine itself.
    pub user: String,
    /// The status message.
    pub status_message: Option<String>,
    /// The code and the message of the error, if the operation failed.
    pub error: Option<(String, String)>,
    /// The group id that the operations of a bulk insertion share.
    pub group: Option<String>,
    /// The time of the request, in whole milliseconds.
    pub inserted: SystemTime,
}

impl ZoneOperation {
    /// Returns an operation on an instance, requested by a human user.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        operation_type: impl Into<String>,
        instance: &Instance,
        inserted: SystemTime,
    ) -> Self {
        Self {
            name: name.into(),
            operation_type: operation_type.into(),
            zone: instance.zone.clone(),
            target: Some((instance.name.clone(), instance.id)),
            user: "somebody@example.com".to_owned(),
            status_message: None,
            error: None,
            group: None,
            inserted: whole_millis(inserted),
        }
    }

    /// Returns the preemption of an instance.
    #[must_use]
    pub fn preempted(name: impl Into<String>, instance: &Instance, at: SystemTime) -> Self {
        Self {
            user: "system".to_owned(),
            status_message: Some("Instance was preempted.".to_owned()),
            ..Self::new(name, "compute.instances.preempted", instance, at)
        }
    }

    /// Returns the creation of an instance.
    #[must_use]
    pub fn inserted(name: impl Into<String>, instance: &Instance, at: SystemTime) -> Self {
        Self::new(name, "insert", instance, at)
    }

    /// Sets the principal.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = user.into();
        self
    }

    /// Makes the operation fail with an error.
    #[must_use]
    pub fn error(mut self, code: impl Into<String>, message: impl Into<String>) -> Self {
        self.error = Some((code.into(), message.into()));
        self
    }

    /// Adds the operation to the group of a bulk insertion.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// Removes the target instance.
    #[must_use]
    pub fn without_target(mut self) -> Self {
        self.target = None;
        self
    }
}

impl ZoneOperation {
    /// Returns the URL of the zone.
    pub(super) fn zone_link(&self, project: &str) -> String {
        format!("{COMPUTE_ROOT}/{project}/zones/{}", self.zone)
    }

    /// Returns the URL of the target: the instance, or the collection of instances in the zone.
    pub(super) fn target_link(&self, project: &str) -> String {
        match &self.target {
            Some((name, _)) => format!("{}/instances/{name}", self.zone_link(project)),
            None => format!("{}/instances", self.zone_link(project)),
        }
    }
}

/// Truncates a time to the precision of responses, so that filters and clients see the same time.
fn whole_millis(time: SystemTime) -> SystemTime {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
