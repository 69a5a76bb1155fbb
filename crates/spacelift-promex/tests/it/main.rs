//! The real binary over real sockets, against the simulated Spacelift.

#![allow(
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test that cannot go on says so"
)]
mod answers;
mod coalescing;
mod configuration;
mod deadlines;
mod failures;
mod golden;
mod http;
mod logs;
mod network;
mod prometheus;
mod readme;
mod runs;
mod session;
mod shutdown;
mod support;
mod weather;
mod web;
mod webhook;
mod webhook_world;
