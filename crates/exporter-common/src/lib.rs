//! What both exporters share and neither owns: configuration, logs, metrics and their exposition, the HTTP
//! server, readiness and shutdown, and how to listen to other services. Nothing in here knows Spacelift or Google.
//!
//! A reader may start at [`config`] (how a process gets its settings), go on to [`metrics`] (how families
//! become text) and end at [`http`] (how a scrape is answered).

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
