//! The services of Google Cloud that report interruptions of spot instances.
//!
//! [`Google::builder`] starts all of them: a [`World`] of simulated clusters whose nodes are created and
//! preempted, the [Compute API](compute) that lists them, and [Pub/Sub](pubsub) with their [log
//! entries](audit_log). Each service can also be started alone.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use sandbox::google::Google;
//!
//! let google = Google::builder().seed(7).start().await?;
//! google.advance(Duration::from_secs(60)).await?;
//! println!("{:?}", google.truth().await.interruptions_by_cluster);
//! # Ok(())
//! # }
//! ```

mod api_error;
pub mod assets;
pub mod audit_log;
mod backend;
mod bearer;
pub mod compute;
mod control;
mod error;
mod event_log;
mod fields;
mod filter;
mod handle;
mod instance;
mod metadata;
mod names;
mod project;
pub mod pubsub;
mod simulation;
mod time;
mod world;

pub use error::StartError;
pub use handle::{Builder, Google};
pub use instance::{Instance, Provisioning, Status};
pub use metadata::{Metadata, TOKEN_LIFETIME};
pub use names::{
    CREATION_SUBSCRIPTION, CREATION_TOPIC, FOLDER, INTERRUPTION_SUBSCRIPTION, INTERRUPTION_TOPIC,
    ORGANIZATION, PROJECT, PROJECT_NUMBER,
};
pub use world::{Event, Truth, World};
