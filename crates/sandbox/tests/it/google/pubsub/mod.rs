//! Tests of Pub/Sub.

mod faults;
mod handle;
mod semantics;
mod service;
