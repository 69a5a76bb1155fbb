//! The cloud providers: where events and instances come from.

pub mod google;
