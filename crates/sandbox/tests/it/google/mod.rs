//! Tests of the simulated Google Cloud.

mod assets;
mod audit_log;
mod client;
mod compute;
mod control;
mod emulator;
mod operations;
mod projects;
mod pubsub;
mod together;
mod world;
