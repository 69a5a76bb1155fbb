//! Simulated services for the demo and for the exporters' integration tests.
//!
//! The sandbox speaks wire formats only and shares no code with the exporters, so that a mistake in how they
//! understand a service cannot hide by being made twice.
//!
//! - [`google`]: Pub/Sub, Compute Engine and Cloud Logging, as far as a spot VM's life is seen in them.
//! - [`spacelift`]: Spacelift's GraphQL API, healthy or misbehaving in every way that was thought of.
//!
//! The binary of the same name serves them from a command line.

pub mod google;
mod http;
mod journal;
mod query;
mod reply;
mod routes;
mod server;
pub mod spacelift;
mod tls;

pub use server::ListenError;
