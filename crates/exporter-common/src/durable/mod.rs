//! Durable state: what is known and counted, kept on disk.

mod clock;
pub mod directory;
mod error;
mod witness;

pub use clock::Clock;
pub use error::{OpenError, StoreError};
pub use witness::Witness;
