//! A simulated Simple Queue Service with AWS's JSON protocol.

mod api;
mod batch;
mod core;
mod faults;
mod messages;
mod queue;
mod queues;
mod receipt;
mod wire;

pub(super) use self::{api::execute, messages::uuid, queues::Queues};
pub use self::{
    core::QueueCounts,
    faults::{QueueFaults, StaleReceipts},
    queue::Queue,
};
