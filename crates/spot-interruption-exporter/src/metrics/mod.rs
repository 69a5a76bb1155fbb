//! Prometheus metrics.

mod families;
mod own;
mod scopes;

pub use self::families::{Labels, StateFamilies};
pub use self::own::OwnMetrics;
pub use self::scopes::ScopeState;
