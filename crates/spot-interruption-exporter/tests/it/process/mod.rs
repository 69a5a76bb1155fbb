//! The exporter as a process, with simulated Google services and, where possible, with Google's Pub/Sub emulator.

mod aws;
mod configuration;
mod creations;
mod credentials;
mod durable;
mod events;
mod exactly_once;
mod faults;
mod golden;
mod interruptions;
mod landing;
mod limits;
mod log_lines;
mod network_conditions;
mod operations;
mod outstanding;
mod projects;
mod prometheus;
mod readme;
mod services;
mod sigkill;
mod subscription_state;
mod web;
