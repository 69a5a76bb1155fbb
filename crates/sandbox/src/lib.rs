//! Simulated services for the demo and for the exporters' integration tests.
//!
//! The sandbox implements the wire formats without code of the exporters, so that a misunderstanding of a
//! service in an exporter is not repeated in its tests.
//!
//! - [`aws`]: the parts of SQS, EC2 and STS that concern spot instances.
//! - [`google`]: the parts of Pub/Sub, Compute Engine, Cloud Asset Inventory and Cloud Logging that concern
//!   spot instances.
//! - [`spacelift`]: Spacelift's GraphQL API and webhooks, with fault injection.
//!
//! The binary `sandbox` serves them from the command line.

pub mod aws;
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
