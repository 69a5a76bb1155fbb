//! The metrics.

mod families;
mod own;

pub use self::families::{Labels, StateFamilies};
pub use self::own::{OperationsState, OwnMetrics, ScopeState};
