//! Tests of the binary over real sockets, against the simulated Spacelift API.

#![allow(
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "tests fail by panicking, and report skips"
)]
mod coalescing;
mod configuration;
mod deadlines;
mod failures;
mod golden;
mod http;
mod logs;
mod network;
mod network_conditions;
mod prometheus;
mod readme;
mod responses;
mod runs;
mod session;
mod shutdown;
mod simulated_account;
mod support;
mod web;
mod webhook;
