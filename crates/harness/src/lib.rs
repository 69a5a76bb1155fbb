//! Runs the exporters as processes and talks to them, for their integration tests.
//!
//! Like tests, its functions panic with a message if they fail.

#![allow(
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this crate is a part of the exporters' tests"
)]

mod access_control;
mod certificates;
mod emulator;
mod environment;
mod golden;
mod link;
mod process;
mod prometheus;
mod proxy;
mod skips;
mod slow_clients;
mod small_disk;
mod tls_proxy;
mod unread_log;
mod usage;
mod web;

use std::path::PathBuf;
use std::time::Duration;

pub use access_control::check_access_control;
pub use certificates::{Authority, Certificate};
pub use emulator::pubsub_emulator;
pub use environment::{Clock, Hosts};
pub use golden::{compare_exposition, compare_table, families, lint};
pub use link::{End, Link, NetworkConditions};
pub use process::{Exporter, run_to_end};
pub use prometheus::Prometheus;
pub use proxy::Proxy;
pub use skips::{skipped, skipped_summary};
pub use slow_clients::SlowClients;
pub use small_disk::SmallDisk;
pub use tls_proxy::TlsProxy;
pub use unread_log::{check_unread_log, run_unread};
pub use usage::{Usage, measured, mebibytes};
pub use web::{HttpResponse, get, request, send};

/// The timeout of a test for an event. It is twice the longest backoff of the exporters, and twice their longest timeout
/// for a response.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// The timeout for an action that takes at most five seconds on an idle machine. On a busy machine it takes longer, but
/// less than this unless it hangs.
pub const HANG_TIMEOUT: Duration = Duration::from_secs(30);

/// Returns the path of a program of the test environment. If it is missing, panics in CI; elsewhere reports the test as
/// skipped and returns `None`.
pub fn tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file());
    if found.is_none() {
        skipped(&format!("{name} is not installed"));
    }
    found
}
