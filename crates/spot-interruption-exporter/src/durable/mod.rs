//! Durable state: what is known and counted, kept on disk.

pub mod journal;
pub mod store;
mod tables;
