//! Tests of the simulated AWS.

mod client;
mod control;
mod credentials;
mod ec2;
mod events;
mod faults;
mod requests;
mod signatures;
mod sqs;
mod visibility;
mod world;
