//! Durable state: what is known and counted, kept on disk by [`exporter_common::durable`].

pub mod journal;
mod recent;
pub mod store;
mod tables;
