//! AWS without processes: events, and the state machine with warnings and listings.

mod counting;
mod events;
mod histories;
