//! Operations: what was done to instances, as Compute Engine remembers it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::google::{instance::Instance, names::COMPUTE_ROOT};

/// An operation in a zone. All that are simulated are done.
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
    /// The name, which is unique within the zone and stands in the log entry as `operation.id`.
    pub name: String,
    /// The type: `compute.instances.preempted`, `insert`, `bulkInsert`, `delete`.
    pub operation_type: String,
    /// The zone's name.
    pub zone: String,
    /// The name and the id of the instance that it was about; none for a bulk insertion as a whole.
    pub target: Option<(String, u64)>,
    /// Who asked for it: `system` for Compute Engine itself.
    pub user: String,
    /// What is said of the status, if anything.
    pub status_message: Option<String>,
    /// The code and the message of the error with which it ended.
    pub error: Option<(String, String)>,
    /// What the operations of a bulk insertion have in common.
    pub group: Option<String>,
    /// When it was asked for, in whole milliseconds.
    pub inserted: SystemTime,
}

impl ZoneOperation {
    /// An operation on an instance, by a user who is no service account.
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

    /// The preemption of an instance.
    #[must_use]
    pub fn preempted(name: impl Into<String>, instance: &Instance, at: SystemTime) -> Self {
        Self {
            user: "system".to_owned(),
            status_message: Some("Instance was preempted.".to_owned()),
            ..Self::new(name, "compute.instances.preempted", instance, at)
        }
    }

    /// The creation of an instance.
    #[must_use]
    pub fn inserted(name: impl Into<String>, instance: &Instance, at: SystemTime) -> Self {
        Self::new(name, "insert", instance, at)
    }

    /// Changes who asked for it.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = user.into();
        self
    }

    /// Lets it end with an error.
    #[must_use]
    pub fn error(mut self, code: impl Into<String>, message: impl Into<String>) -> Self {
        self.error = Some((code.into(), message.into()));
        self
    }

    /// Makes it one of the operations of a bulk insertion.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// Makes it one that is about no instance in particular.
    #[must_use]
    pub fn without_target(mut self) -> Self {
        self.target = None;
        self
    }
}

impl ZoneOperation {
    /// The URL of the zone.
    pub(super) fn zone_link(&self, project: &str) -> String {
        format!("{COMPUTE_ROOT}/{project}/zones/{}", self.zone)
    }

    /// The URL of the target: the instance, or the collection of instances of the zone.
    pub(super) fn target_link(&self, project: &str) -> String {
        match &self.target {
            Some((name, _)) => format!("{}/instances/{name}", self.zone_link(project)),
            None => format!("{}/instances", self.zone_link(project)),
        }
    }
}

/// The time as precise as it is shown, so that filters see what clients see.
fn whole_millis(time: SystemTime) -> SystemTime {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
