//! A simulated EC2: `DescribeInstances` in the Query protocol with XML responses.

mod describe;
mod filter;
mod fleet;
mod instance;
mod page;
mod render;
mod settings;

pub(super) use self::{describe::describe, fleet::Fleet};
pub use self::{
    instance::{Instance, InstanceState, Lifecycle, Reason, StateReason},
    settings::Ec2Settings,
};
