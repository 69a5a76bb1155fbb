//! A simulated Compute Engine that lists instances and operations.
//!
//! [`Compute::builder`] starts a server. It serves `instances.aggregatedList`, `instances.get`,
//! `globalOperations.aggregatedList` and `zoneOperations.list` under the paths of the real API, supports
//! partial responses (`fields`), and records requests. Pages are rendered on request, so hundreds of
//! thousands of instances need little memory.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), sandbox::google::StartError> {
//! use sandbox::google::{Instance, compute::{self, Compute, Operation}};
//!
//! let compute = Compute::builder().start().await?;
//! compute.insert(Instance::new(7, "europe-west1-c", "gke-n1").spot().gke("production", "europe-west1", "pool"));
//! compute.override_reply(Operation::List, compute::permission_denied().times(2));
//! println!("{}", compute.url());
//! # Ok(())
//! # }
//! ```

mod access;
mod aggregated;
mod api;
mod api_error;
mod call;
mod execute;
mod fleet;
mod handle;
mod instance_filter;
mod json;
mod operation_filter;
mod operations;
mod page_token;
mod project;
mod recorded;
mod render_instance;
mod render_operation;
mod replies;
mod zone_operation;
mod zones;

pub use self::{
    access::{Access, UnknownAccess},
    handle::{Builder, Compute},
    project::ProjectCompute,
    recorded::{Operation, Recorded},
    replies::{
        error, garbage, internal_error, permission_denied, rate_limited, unauthenticated, unavailable,
    },
    zone_operation::ZoneOperation,
};
pub use crate::reply::{Hold, Override, Reply};
