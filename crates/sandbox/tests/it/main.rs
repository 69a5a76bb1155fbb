//! The sandbox as its users see it: over sockets, as data, and as a program.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "that is how a test fails")]

mod account;
mod client;
mod control;
mod google;
mod living;
mod overrides;
mod program;
mod scenarios;
mod schema;
mod sessions;
mod sockets;
mod webhook;
