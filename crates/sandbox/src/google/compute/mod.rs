//! A simulated Compute Engine, as far as it lists instances.
//!
//! [`Compute::builder`] starts one on a port of its own. It answers `instances.aggregatedList` and
//! `instances.get` under the paths of the real API, with just the `fields` that are asked for, and keeps a journal of
//! what it was asked. Pages are
//! rendered when they are asked for, so that hundreds of thousands of instances cost little.
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
mod api;
mod call;
mod fleet;
mod handle;
mod instance_filter;
mod json;
mod page_token;
mod project;
mod recorded;
mod refusal;
mod render;
mod replies;
mod zones;

pub use self::{
    access::{Access, UnknownAccess},
    handle::{Builder, Compute},
    project::ProjectCompute,
    recorded::{Operation, Recorded},
    replies::{
        error, garbage, internal_error, permission_denied, rate_limited, unauthenticated, unavailable,
    },
};
pub use crate::reply::{Hold, Override, Reply};
