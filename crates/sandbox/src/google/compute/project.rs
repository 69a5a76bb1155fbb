//! One project's part of the API.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    access::Access,
    fleet::Fleet,
    operations::Operations,
    recorded::{Operation, Recorded},
    refusal::Refusal,
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

/// The Compute API of one project. Clones are handles to the same project.
#[derive(Clone)]
pub struct ProjectCompute(Arc<State>);

struct State {
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
        Self(Arc::new(State {
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

    /// Lets its resources be seen, or not.
    pub fn set_access(&self, access: Access) {
        *self.0.access.lock().unwrap_or_else(PoisonError::into_inner) = access;
    }

    /// Whether its resources may be seen.
    #[must_use]
    pub fn access(&self) -> Access {
        *self.0.access.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Denies just these permissions, such as `compute.zoneOperations.list`: requests that need one are answered with
    /// 403, which names it and the project.
    pub fn set_denied<P: Into<String>>(&self, permissions: impl IntoIterator<Item = P>) {
        *self.denied() = permissions.into_iter().map(Into::into).collect();
    }

    /// Adds an operation in the place of the one with the same zone and name.
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

    /// The operations, in the order in which they were added, also those that are not listed yet or any more. The last
    /// 100,000 are kept.
    #[must_use]
    pub fn all_operations(&self) -> Vec<ZoneOperation> {
        self.operations().all().cloned().collect()
    }

    /// Lets operations that are added from now on appear in lists this much later, at least and at most: with two
    /// different bounds they appear out of order.
    pub fn set_operations_late(&self, least: Duration, most: Duration) {
        self.operations().set_late(least, most);
    }

    /// Makes the operations of just these zones unreachable, beside those of zones that are unreachable as a whole.
    pub fn set_operations_unreachable<Z: Into<String>>(&self, zones: impl IntoIterator<Item = Z>) {
        self.operations().unreachable = zones.into_iter().map(Into::into).collect();
    }

    /// Adds an instance in the place of the one with the same zone and name.
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

    /// Removes an instance, as if it had been deleted.
    pub fn remove(&self, zone: &str, name: &str) -> Option<Instance> {
        self.fleet().remove(zone, name)
    }

    /// Changes what an instance is doing; nothing happens if there is none.
    pub fn set_status(&self, zone: &str, name: &str, status: Status) {
        self.fleet().set_status(zone, name, status);
    }

    /// Removes every instance. Operations stay.
    pub fn clear(&self) {
        self.fleet().clear();
    }

    /// Removes every operation.
    pub fn clear_operations(&self) {
        self.operations().clear();
    }

    /// The instances, by zone and name.
    #[must_use]
    pub fn instances(&self) -> Vec<Instance> {
        self.fleet().all().cloned().collect()
    }

    /// An instance, if there is one.
    #[must_use]
    pub fn instance(&self, zone: &str, name: &str) -> Option<Instance> {
        self.fleet().get(zone, name).cloned()
    }

    /// Makes just these zones unreachable: lists have a warning in the place of what is there.
    pub fn set_unreachable<Z: Into<String>>(&self, zones: impl IntoIterator<Item = Z>) {
        self.fleet().unreachable = zones.into_iter().map(Into::into).collect();
    }

    /// Prescribes the reply to an operation in this project, as [`Compute::override_reply`] does for all projects,
    /// whose overrides come after those of the project.
    ///
    /// [`Compute::override_reply`]: super::Compute::override_reply
    pub fn override_reply(&self, operation: Operation, reply: impl Into<Override>) {
        self.overrides().add(operation, reply.into());
    }

    /// Forgets the overrides of this project.
    pub fn clear_overrides(&self) {
        self.overrides().clear();
    }

    /// The last 10,000 requests for this project, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        self.0.journal.recent()
    }

    /// How many requests there have been of an operation; for a list that is its first pages.
    #[must_use]
    pub fn count(&self, operation: Operation) -> u64 {
        self.0.journal.count(&operation.counted().to_string())
    }

    /// Waits until `count` requests of an operation have arrived since the start; for a list that is its first
    /// pages.
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

    pub(super) fn prescribed(&self, operation: Operation) -> Option<Reply> {
        operation.prescribed(&mut self.overrides())
    }

    /// Whether a caller may see `resource`, for which the permission is needed.
    pub(super) fn check_access(&self, permission: &'static str, resource: &str) -> Result<(), Refusal> {
        match self.access() {
            Access::Granted if !self.denied().contains(permission) => Ok(()),
            Access::Granted | Access::Forbidden => {
                Err(Refusal::Permission { permission, resource: resource.to_owned() })
            }
            Access::NotFound => Err(Refusal::NotFound(format!("projects/{}", self.id()))),
            Access::Deleted => Err(Refusal::Deleted(self.project().clone())),
            Access::ApiDisabled => Err(Refusal::ApiDisabled(self.project().clone())),
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
