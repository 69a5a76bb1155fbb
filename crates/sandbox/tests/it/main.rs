//! Tests of the sandbox over sockets, through its handles and as a process.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "failures of tests panic")]

mod account;
mod aws;
mod client;
mod control;
mod google;
mod overrides;
mod program;
mod scenarios;
mod schema;
mod sessions;
mod simulation;
mod sockets;
mod webhook;
