//! Durable state: a file with the exporter's counts and inventory, which survive a crash.
//!
//! The file is a [redb](https://docs.rs/redb) database: a copy-on-write B-tree in pure Rust with a checksum on every
//! page. Commits use two phases, so the root page is valid at every moment. All checksums are verified when the file is
//! opened. A damaged file is renamed ("set aside"), and the exporter starts with an empty state.
//!
//! Commits are numbered. After a failed commit it is unknown whether it took effect, so the file is reopened and its
//! number is compared. The last number is also stored beside the database, to detect a file that was replaced by an older
//! copy.
//!
//! Times are stored by a [`Clock`] that stops while the process is down, so a duplicate of an event from before a crash
//! is recognized however long the exporter was down.
//!
//! An exporter implements [`Tables`] for what it stores and [`Batch`] for what one commit writes. The [`Store`] commits
//! batches, and a [`Journal`] runs the commits concurrently with the task that gathers them.

mod clock;
mod commit_number;
mod directory;
mod error;
mod header;
mod journal;
mod metrics;
mod store;
mod tables;
mod timelines;

pub use clock::Clock;
pub use error::{OpenError, StoreError};
pub use header::{NUMBERS, number};
pub use journal::Journal;
pub use metrics::StateMetrics;
pub use store::{Commit, Store};
pub use tables::{Batch, Tables, open_if_exists};
pub use timelines::{create_timelines, read_timeline, write_timeline};
