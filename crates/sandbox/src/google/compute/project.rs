//! The Compute API of one project.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    access::Access,
    api_error::ApiError,
    fleet::Fleet,
    operations::Operations,
    recorded::{Operation, Recorded},
    zone_operation::ZoneOperation,
};
use crate::{
    google::{
        instance::{Instance, Status},
        project::Project,
    },
    journal::Journal,
    reply::{Override, Overrides, Reply},
};

/// The Compute API of one project. Clones share the same project.
#[derive(Clone)]
pub struct ProjectCompute(Arc<ProjectData>);

struct ProjectData {
    project: Project,
    access: Mutex<Access>,
    /// Permissions that the caller lacks.
    denied: Mutex<BTreeSet<String>>,
    operations: Mutex<Operations>,
    fleet: Mutex<Fleet>,
    journal: Journal<Recorded>,
    overrides: Mutex<Overrides<Operation>>,
}

impl ProjectCompute {
    pub(super) fn new(project: Project) -> Self {
        Self(Arc::new(ProjectData {
            project,
            access: Mutex::default(),
            denied: Mutex::default(),
            operations: Mutex::default(),
            fleet: Mutex::default(),
            journal: Journal::default(),
            overrides: Mutex::default(),
        }))
    }

    /// The project's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.project.id
    }

    /// The project's number.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.0.project.number
    }

    /// Sets the caller's access to the project.
    pub fn set_access(&self, access: Access) {
        *self.0.access.lock().unwrap_or_else(PoisonError::into_inner) = access;
    }

    /// Returns the caller's access to the project.
    #[must_use]
    pub fn access(&self) -> Access {
        *self.0.access.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the denied permissions, such as `compute.zoneOperations.list`. Requests that need one of them get
    /// HTTP 403 with the permission and the project.
    pub fn set_denied<P: Into<String>>(&self, permissions: impl IntoIterator<Item = P>) {
        *self.denied() = permissions.into_iter().map(Into::into).collect();
    }

    /// Adds an operation or replaces the operation with the same zone and name.
    pub fn insert_operation(&self, operation: ZoneOperation) {
        self.operations().insert(operation);
    }

    /// Adds operations.
    pub fn insert_operations(&self, all: impl IntoIterator<Item = ZoneOperation>) {
        let mut operations = self.operations();
        for operation in all {
            operations.insert(operation);
        }
    }

    /// Returns the last 100,000 operations in the order of insertion, listed or not.
    #[must_use]
    pub fn all_operations(&self) -> Vec<ZoneOperation> {
        self.operations().all().cloned().collect()
    }

    /// Sets the minimum and maximum delay before operations that are added from now on appear in lists. With
    /// different values they appear out of order.
    pub fn set_operations_late(&self, least: Duration, most: Duration) {
        self.operations().set_late(least, most);
    }

    /// Sets the zones whose operations are unreachable, in addition to the unreachable zones.
    pub fn set_operations_unreachable<Z: Into<String>>(&self, zones: impl IntoIterator<Item = Z>) {
        self.operations().unreachable = zones.into_iter().map(Into::into).collect();
    }

    /// Adds an instance or replaces the instance with the same zone and name.
    pub fn insert(&self, instance: Instance) {
        self.fleet().insert(instance);
    }

    /// Adds instances.
    pub fn insert_all(&self, instances: impl IntoIterator<Item = Instance>) {
        let mut fleet = self.fleet();
        for instance in instances {
            fleet.insert(instance);
        }
    }

    /// Removes an instance, like a deletion.
    pub fn remove(&self, zone: &str, name: &str) -> Option<Instance> {
        self.fleet().remove(zone, name)
    }

    /// Sets the status of an instance. Unknown instances are ignored.
    pub fn set_status(&self, zone: &str, name: &str, status: Status) {
        self.fleet().set_status(zone, name, status);
    }

    /// Removes all instances but not the operations.
    pub fn clear(&self) {
        self.fleet().clear();
    }

    /// Removes all operations.
    pub fn clear_operations(&self) {
        self.operations().clear();
    }

    /// Returns the instances, sorted by zone and name.
    #[must_use]
    pub fn instances(&self) -> Vec<Instance> {
        self.fleet().all().cloned().collect()
    }

    /// Returns an instance.
    #[must_use]
    pub fn instance(&self, zone: &str, name: &str) -> Option<Instance> {
        self.fleet().get(zone, name).cloned()
    }

    /// Sets the unreachable zones. Lists contain a warning instead of their elements.
    pub fn set_unreachable<Z: Into<String>>(&self, zones: impl IntoIterator<Item = Z>) {
        self.fleet().unreachable = zones.into_iter().map(Into::into).collect();
    }

    /// Sets the reply to an operation in this project. It takes precedence over [`Compute::override_reply`].
    ///
    /// [`Compute::override_reply`]: super::Compute::override_reply
    pub fn override_reply(&self, operation: Operation, reply: impl Into<Override>) {
        self.overrides().add(operation, reply.into());
    }

    /// Removes the overrides of this project.
    pub fn clear_overrides(&self) {
        self.overrides().clear();
    }

    /// Returns the last 10,000 requests for this project, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        self.0.journal.recent()
    }

    /// Returns the number of requests of an operation. For lists only first pages are counted.
    #[must_use]
    pub fn count(&self, operation: Operation) -> u64 {
        self.0.journal.count(&operation.counted().to_string())
    }

    /// Waits until `count` requests of an operation have arrived since the start. For lists only first pages
    /// are counted.
    pub async fn wait_for(&self, operation: Operation, count: u64) {
        self.0.journal.wait_for(&operation.counted().to_string(), count).await;
    }

    pub(super) fn project(&self) -> &Project {
        &self.0.project
    }

    pub(super) fn fleet(&self) -> MutexGuard<'_, Fleet> {
        self.0.fleet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn operations(&self) -> MutexGuard<'_, Operations> {
        self.0.operations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn denied(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.denied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn record(&self, operation: String, request: Recorded) {
        self.0.journal.record(operation, request);
    }

    pub(super) fn next_override(&self, operation: Operation) -> Option<Reply> {
        operation.next_override(&mut self.overrides())
    }

    /// Returns an error unless the caller has the permission on `resource`.
    pub(super) fn check_access(&self, permission: &'static str, resource: &str) -> Result<(), ApiError> {
        match self.access() {
            Access::Granted if !self.denied().contains(permission) => Ok(()),
            Access::Granted | Access::Forbidden => {
                Err(ApiError::Permission { permission, resource: resource.to_owned() })
            }
            Access::NotFound => Err(ApiError::NotFound(format!("projects/{}", self.id()))),
            Access::Deleted => Err(ApiError::Deleted(self.project().clone())),
            Access::ApiDisabled => Err(ApiError::ApiDisabled(self.project().clone())),
        }
    }

    fn overrides(&self) -> MutexGuard<'_, Overrides<Operation>> {
        self.0.overrides.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ProjectCompute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProjectCompute").field("project", self.project()).finish_non_exhaustive()
    }
}
