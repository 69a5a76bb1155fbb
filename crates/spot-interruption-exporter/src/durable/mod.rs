//! Durable state: the inventory, the counts and the ids of events, stored on disk by [`exporter_common::durable`].

pub mod journal;
mod recent;
pub mod store;
mod tables;
