//! A simulated Spacelift.
//!
//! [`Spacelift::builder`] starts a server. It serves `POST /graphql` from a fixed or simulated [`Account`]
//! according to a [`Scenario`] or, for a single operation, a [`Reply`], and it records requests. `GET
//! /_sandbox/` lists the controls for other processes.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), sandbox::spacelift::StartError> {
//! use sandbox::spacelift::{Account, Reply, Spacelift};
//!
//! let spacelift = Spacelift::builder().account(Account::self_hosted()).start().await?;
//! spacelift.override_reply("Usage", Reply::status(503).times(2));
//! println!("{}", spacelift.url());
//! # Ok(())
//! # }
//! ```

mod account;
mod api;
mod control;
mod guard;
mod handle;
mod recorded;
mod scenario;
mod schema;
mod session;
mod simulation;
mod ulid;
pub mod webhook;
mod world;

pub use account::{
    Account, DriftDetectionSchedule, ID, IntegrationsCount, LargestStack, MetricPoint, Metrics, MetricsRange,
    MetricsRun, PublicWorkerPool, SeatUsage, Seats, StackTile, Usage, Worker, WorkerPool,
};
pub use api::TokenRejection;
pub use handle::{Builder, Spacelift, StartError};
pub use recorded::{EXCHANGE, Recorded};
pub use scenario::{Scenario, UnknownScenario};
pub use schema::sdl;
pub use session::{DEFAULT_API_KEY_ID, DEFAULT_API_KEY_SECRET};
pub use simulation::SimulatedAccount;

pub use crate::{
    reply::{Hold, Override, Reply},
    tls::TlsError,
};
