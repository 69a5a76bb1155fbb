//! Metrics: what every exporter says of itself, and how families become an exposition.
//!
//! Families live in prometheus-client registries. Those that describe the exporter last as long as the
//! process; those that describe the world may be put in a registry of one scrape's own, so that what is gone
//! from the world is gone from the answer.

mod build;
mod exposition;
mod family;
mod order;
mod process;
mod text;

pub use build::BuildInfo;
pub use exposition::{EncodeError, Format, encode};
pub(crate) use family::counter;
pub use family::{Number, gauge, gauges};
pub use process::ProcessCollector;
pub(crate) use process::max_open_files;
