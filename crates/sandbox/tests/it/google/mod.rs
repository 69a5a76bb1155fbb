//! The simulated Google.

mod audit_log;
mod client;
mod compute;
mod control;
mod emulator;
mod pubsub;
mod together;
mod world;
