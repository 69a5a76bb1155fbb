//! Tests of the pure core through its public interface (bytes to event, event to outcome) and of the exporter as a
//! process.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that cannot continue has failed")]

mod attribution;
mod aws;
mod durable;
mod events;
mod fixture;
mod model;
mod operations;
mod pipeline;
mod process;
mod scopes;
mod supervision;
