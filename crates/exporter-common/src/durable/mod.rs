//! Durable state: a file that holds what is known and counted, so that a crash changes neither.
//!
//! The file is a [redb](https://docs.rs/redb) database: a copy-on-write B-tree in pure Rust with a checksum on every
//! page, of which a commit replaces the root. Every commit is in two phases, so the root that the file names is
//! always a whole one, and the file is checked from end to end when it is opened: what was altered since is found out
//! instead of believed. A file that fails is set aside, and the state begins anew.
//!
//! Commits are numbered. When one fails, nobody knows whether it took effect; the number, read from the file that is
//! opened again, tells. The last number is also kept beside the database, which gives away a file that has gone back
//! to an earlier commit.
//!
//! Moments are written down in a time that stands still while the process is down ([`Clock`]): an event from before a
//! crash is recognised when it comes again, however long the exporter was away.
//!
//! An exporter says what it keeps by its [`Tables`], and what it writes at once by its [`Batch`]. The [`Store`] does the
//! rest, and a [`Journal`] commits beside the task that gathers the batches.

mod clock;
mod directory;
mod error;
mod header;
mod journal;
mod metrics;
mod store;
mod tables;
mod timelines;
mod witness;

pub use clock::Clock;
pub use error::{OpenError, StoreError};
pub use header::{NUMBERS, number};
pub use journal::Journal;
pub use metrics::StateMetrics;
pub use store::{Commit, Store};
pub use tables::{Batch, Tables, open_if_exists};
pub use timelines::{create_timelines, read_timeline, write_timeline};
