//! Instances of the simulated AWS.

use super::Aws;
use crate::aws::ec2::{Ec2Settings, Instance, InstanceState};

/// Instances.
impl Aws {
    /// Adds an instance, or replaces the instance with the same id. Sends no event.
    pub fn launch(&self, instance: Instance) {
        self.api.fleet.insert(instance);
    }

    /// Adds instances. Sends no events.
    pub fn launch_all(&self, instances: impl IntoIterator<Item = Instance>) {
        for instance in instances {
            self.launch(instance);
        }
    }

    /// Terminates an instance now with a state reason, a [`StateReason`](crate::aws::StateReason) or a text. It stays
    /// listed for a while. Sends no event. Returns the instance; `None` for an unknown one.
    pub fn terminate(&self, id: &str, code: impl Into<String>) -> Option<Instance> {
        self.set_state(id, InstanceState::Terminated, code)
    }

    /// Sets the state of an instance and the reason for it. Sends no event. Returns the instance; `None` for an
    /// unknown one.
    pub fn set_state(&self, id: &str, state: InstanceState, code: impl Into<String>) -> Option<Instance> {
        self.api.fleet.set_state(id, state, Some((code.into(), self.api.clock.now())))
    }

    /// Removes an instance from the lists, like an hour after its termination.
    pub fn remove(&self, id: &str) -> Option<Instance> {
        self.api.fleet.remove(id)
    }

    /// Removes all instances.
    pub fn clear_instances(&self) {
        self.api.fleet.clear();
    }

    /// Returns all instances of all accounts, sorted by id.
    #[must_use]
    pub fn instances(&self) -> Vec<Instance> {
        self.api.fleet.all()
    }

    /// Returns an instance.
    #[must_use]
    pub fn instance(&self, id: &str) -> Option<Instance> {
        self.api.fleet.get(id)
    }

    /// Changes the switches of EC2: `aws.configure_ec2(|ec2| ec2.padding = 8_000)`.
    pub fn configure_ec2(&self, change: impl FnOnce(&mut Ec2Settings)) {
        self.api.fleet.change_settings(change);
    }
}
