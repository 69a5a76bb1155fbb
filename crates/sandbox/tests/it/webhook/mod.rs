//! Deliveries about runs.

mod payload;
