//! The common crate as exporters use it: over sockets, and as text.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on says so")]

mod config;
mod formats;
mod http;
