//! Simulated events.

use crate::aws::ec2::Instance;

/// A simulated event.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum WorldEvent {
    /// An instance was launched.
    Launched(Instance),
    /// EC2 recommends to replace a spot instance. It is no interruption.
    RebalanceRecommended(Instance),
    /// EC2 warned that it will take a spot instance. It still runs.
    Warned(Instance),
    /// An instance was terminated. The reason of the instance has the code.
    Terminated {
        /// The instance.
        instance: Instance,
        /// Whether EC2 had warned.
        was_warned: bool,
    },
    /// An instance that was terminated an hour ago is no longer listed.
    Forgotten(Instance),
}
