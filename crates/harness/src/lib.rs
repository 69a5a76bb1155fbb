//! Runs the exporters as processes and talks to them, for their integration tests.
//!
//! Like a test, it panics where it cannot go on, and says why.

#![allow(
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this is the part of the tests that the exporters share"
)]

mod certificates;
mod crowd;
mod doors;
mod emulator;
mod front;
mod golden;
mod link;
mod process;
mod prometheus;
mod proxy;
mod skips;
mod small_disk;
mod surroundings;
mod unread;
mod usage;
mod web;

use std::path::PathBuf;
use std::time::Duration;

pub use certificates::{Authority, Certificate};
pub use crowd::Crowd;
pub use doors::check_doors;
pub use emulator::pubsub_emulator;
pub use front::Front;
pub use golden::{compare_exposition, compare_table, families, lint};
pub use link::{End, Link, Weather};
pub use process::{Exporter, run_to_end};
pub use prometheus::Prometheus;
pub use proxy::Proxy;
pub use skips::{skipped, skipped_summary};
pub use small_disk::SmallDisk;
pub use surroundings::{Clock, Hosts};
pub use unread::{check_unread_log, run_unread};
pub use usage::{Usage, measured, mebibytes};
pub use web::{Answer, get, request, send};

/// Nothing that a test waits for takes this long unless it never comes: the longest backoff of the exporters, and the
/// longest time that they wait for an answer, are half of it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What ends within five seconds, ends within this time on a machine that is busy with everything else. What hangs does
/// not.
pub const HUNG: Duration = Duration::from_secs(30);

/// The path of a program of the test environment. In CI it must be there; elsewhere the caller skips, and says so.
pub fn tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file());
    if found.is_none() {
        skipped(&format!("{name} is not installed"));
    }
    found
}
