//! The pure core from the outside, bytes to event and event to outcome; and the exporter as a process.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod attribution;
mod durable;
mod events;
mod model;
mod operations;
mod pipeline;
mod process;
mod scopes;
mod supervision;
mod world;
