//! A simulated Spacelift.
//!
//! [`Spacelift::builder`] starts one on a port of its own. It answers `POST /graphql` from an [`Account`],
//! fixed or [`Living`], in the manner of a [`Scenario`] or, for one operation, of a [`Reply`]; and it keeps a
//! journal of what it was asked. `GET /_sandbox/` tells what can be done from outside the process.
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
mod living;
mod recorded;
mod scenario;
mod schema;
mod session;
mod ulid;
pub mod webhook;
mod world;

pub use account::{
    Account, DriftDetectionSchedule, ID, IntegrationsCount, LargestStack, MetricPoint, Metrics, MetricsRange,
    MetricsRun, PublicWorkerPool, SeatUsage, Seats, StackTile, Usage, Worker, WorkerPool,
};
pub use api::Refusal;
pub use handle::{Builder, Spacelift, StartError};
pub use living::Living;
pub use recorded::{EXCHANGE, Recorded};
pub use scenario::{Scenario, UnknownScenario};
pub use schema::sdl;
pub use session::{DEFAULT_API_KEY_ID, DEFAULT_API_KEY_SECRET};

pub use crate::{
    reply::{Hold, Override, Reply},
    tls::TlsError,
};
