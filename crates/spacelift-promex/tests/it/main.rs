//! The real binary over real sockets, against the simulated Spacelift.

mod coalescing;
mod configuration;
mod failures;
mod golden;
mod http;
mod network;
mod prometheus;
mod session;
mod shutdown;
mod support;
