//! The common crate as exporters use it: over sockets, and as text.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on says so")]

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
