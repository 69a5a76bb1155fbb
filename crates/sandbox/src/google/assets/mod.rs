//! A simulated Cloud Asset Inventory for the discovery of projects.
//!
//! An [`AssetInventory`] serves `searchAllResources` for folders, organizations and projects and returns the
//! projects below them. It shares the port of a [Compute API](super::compute).
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), sandbox::google::StartError> {
//! use sandbox::google::{assets::{AssetInventory, ProjectAsset}, compute::Compute};
//!
//! let assets = AssetInventory::new();
//! assets.add(ProjectAsset::new("team-a", 1).folder("folders/7").label("env", "prod"));
//! let compute = Compute::builder().assets(&assets).start().await?;
//! println!("{}/v1/folders/7:searchAllResources?query=labels.env:prod", compute.url());
//! # Ok(())
//! # }
//! ```

mod api;
mod handle;
mod project;
mod recorded;
mod search;

pub use self::{
    handle::AssetInventory,
    project::{ProjectAsset, ProjectState},
    recorded::{Operation, Recorded},
};
pub use super::compute::{error, garbage, internal_error, rate_limited, unauthenticated, unavailable};
pub use crate::reply::{Hold, Override, Reply};

/// HTTP 403: the caller lacks the role.
#[must_use]
pub fn permission_denied() -> Reply {
    error(403, "forbidden", "PERMISSION_DENIED", search::FORBIDDEN)
}
