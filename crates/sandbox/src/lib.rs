//! Simulated services for the demo and for the exporters' integration tests.
//!
//! The sandbox speaks wire formats only and shares no code with the exporters, so that a mistake in how they
//! understand a service cannot hide by being made twice.
//!
//! - [`spacelift`]: Spacelift's GraphQL API, healthy or misbehaving in every way that was thought of.
//!
//! The binary of the same name serves them from a command line.

mod server;
pub mod spacelift;
mod tls;
