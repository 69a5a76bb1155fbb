//! The part of Google Cloud that a spot VM's end is heard of through.
//!
//! [`Google::builder`] starts all of it, tied together: a [`World`] of clusters whose nodes come and go, the
//! [Compute API](compute) that lists them, and [Pub/Sub](pubsub) with the [log entries](audit_log) about them.
//! Each part can be had alone.
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

use crate::ListenError;

pub mod audit_log;
mod backend;
pub mod compute;
mod control;
mod handle;
mod instance;
mod metadata;
pub mod pubsub;
mod time;
mod world;

pub use handle::{
    Builder, CREATION_SUBSCRIPTION, CREATION_TOPIC, Google, INTERRUPTION_SUBSCRIPTION, INTERRUPTION_TOPIC,
    PROJECT, PROJECT_NUMBER,
};
pub use instance::{Instance, Provisioning, Status};
pub use metadata::{Metadata, TOKEN_LIFETIME};
pub use world::{Event, Truth, World};

/// Why a part of the simulated Google could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken or not ours.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The topics or subscriptions could not be created, which happens only in an emulator.
    #[error("cannot create topics and subscriptions")]
    Create(#[from] tonic::Status),
}
