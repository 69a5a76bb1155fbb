//! Deliveries about runs.

mod delivery;
mod faults;
mod living;
mod payload;
mod policy;
mod receiver;
