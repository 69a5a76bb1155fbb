//! What webhooks tell about runs: the collector `runs`.
//!
//! A delivery arrives as a [`RunUpdate`]. The [`Tracker`] knows which runs there are and decides what each delivery adds
//! to the [`Counts`]; the recorder takes deliveries from a bounded queue and, with durable state, writes down what
//! follows from them before it shows; a scrape shows it by `families`.

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
pub use record::{Changes, Record};
pub(crate) use recorder::{Job, JobEvent, Jobs, Recorder};
pub use run::Run;
pub use stack::{LastRun, Stack};
pub use state::{DeliveryResult, Shared};
pub(crate) use store::{Known, open};
pub use tracker::{ActiveView, Moment, Novelty, Settings, Tracker};
pub use update::{PolicyReceipt, ResourceChanges, RunUpdate, Timestamp, Timing, WorkerPool};

/// The name of the collector.
pub(crate) const NAME: &str = "runs";

/// What it brings, for `--help` and the README.
pub(crate) const ABOUT: &str = "Runs by stack, duration, phase and outcome, from webhooks; needs --webhook.secret or --webhook.secret-file";
