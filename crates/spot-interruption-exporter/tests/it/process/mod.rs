//! The exporter as a process: against the simulated Google, and where it makes no difference against Google's own
//! emulator too.

mod configuration;
mod creations;
mod credentials;
mod delivery;
mod durable;
mod events;
mod exactly_once;
mod faults;
mod golden;
mod interruptions;
mod kills;
mod landing;
mod limits;
mod lines;
mod operations;
mod outstanding;
mod projects;
mod prometheus;
mod readme;
mod weather;
mod web;
mod world;
