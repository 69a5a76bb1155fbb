//! Google Cloud: events from Pub/Sub, instances from the Compute API.

pub mod audit_log;
pub(crate) mod compute;
pub(crate) mod credentials;
mod listing;
mod probe;
pub(crate) mod pubsub;
pub mod resource;
mod rest;
