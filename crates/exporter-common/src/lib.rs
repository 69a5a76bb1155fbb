//! Code that both exporters share: configuration, logs, metrics and their exposition, the HTTP server, readiness,
//! shutdown, and helpers for clients of other services. Nothing in this crate is specific to Spacelift or Google.
//!
//! Good places to start reading are [`config`] (where a process gets its settings from), [`metrics`] (how metric
//! families become text) and [`http`] (how a scrape gets its response).

pub mod backoff;
pub mod build_info;
pub mod config;
#[cfg(feature = "durable")]
pub mod durable;
pub mod failure_log;
pub mod files;
pub mod http;
pub mod metrics;
pub mod program;
pub mod readiness;
pub mod secret;
pub mod shutdown;
pub mod supervisor;
pub mod telemetry;
pub mod timeline;
pub mod tls;
pub mod upstream;
mod yaml;
