//! The collector `runs`: counts runs from webhook deliveries.
//!
//! A delivery arrives as a [`RunUpdate`]. The `recorder` takes deliveries from a bounded queue and passes them to the
//! [`Tracker`], a state machine without IO, which returns what each delivery adds to the [`Counts`]. With durable state
//! the recorder commits the counts before scrapes show them. `families` writes them as metrics.

mod active;
mod counts;
mod facts;
mod families;
mod labels;
mod names;
mod record;
mod recorder;
mod run;
mod stack;
mod state;
mod store;
mod tracker;
mod update;
mod window;

pub use counts::{Counter, Counts, Distribution, Histogram, Labels};
pub(crate) use facts::facts;
pub(crate) use families::RunFamilies;
pub use record::{TrackerChanges, TrackerRecord};
pub(crate) use recorder::{Job, JobEvent, JobQueue, Recorder};
pub use run::Run;
pub use stack::{LastRun, Stack};
pub use state::{DeliveryResult, SharedRuns};
pub(crate) use store::{SavedRuns, open};
pub use tracker::{ActiveView, DedupStatus, Moment, RunLimits, Tracker};
pub use update::{PolicyReceipt, ResourceChanges, RunUpdate, Timestamp, Timing, WorkerPool};

/// The name of the collector.
pub(crate) const NAME: &str = "runs";

/// Description for `--help` and the README.
pub(crate) const ABOUT: &str = "Runs by stack, duration, phase and outcome, from webhooks; needs --webhook.secret or --webhook.secret-file";
