//! Tests of webhooks.

mod delivery;
mod faults;
mod payload;
mod policy;
mod receiver;
mod simulation;
