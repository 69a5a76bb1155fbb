//! Tests of the public interface of the common crate.

#![allow(clippy::panic, clippy::unwrap_used, reason = "tests may panic")]

mod client;
mod config;
#[cfg(feature = "durable")]
mod durable;
mod formats;
mod http;
mod receive;
mod server;
mod web;
mod web_config;
