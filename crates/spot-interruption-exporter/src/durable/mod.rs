//! Durable state: what is known and counted, kept on disk.

mod clock;
mod directory;
mod error;
pub mod journal;
pub mod store;
mod tables;
mod witness;
