//! The durable state of a tracker, and its changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use exporter_common::timeline::{Timeline, TimelineChanges};

use super::run::Run;
use super::stack::Stack;

/// What is written down of a tracker.
#[derive(Debug, Default)]
pub struct Record {
    /// Runs that have not ended.
    pub runs: Vec<(Box<str>, Run)>,
    /// Known stacks.
    pub stacks: BTreeMap<Box<str>, Stack>,
    /// Runs that ended.
    pub ended: Timeline<u64>,
    /// What more is known of them.
    pub notes: Timeline<u64>,
    /// Their deliveries.
    pub deliveries: Timeline<u64>,
}

/// What has become different since the last time that it was written down.
#[derive(Debug)]
pub struct Changes {
    /// Runs; `None` where one has ended.
    pub runs: Vec<(Arc<str>, Option<Run>)>,
    /// Stacks; `None` where one is gone.
    pub stacks: Vec<(Box<str>, Option<Stack>)>,
    /// Runs that ended.
    pub ended: TimelineChanges<u64>,
    /// What more is known of them.
    pub notes: TimelineChanges<u64>,
    /// Their deliveries.
    pub deliveries: TimelineChanges<u64>,
}

impl Changes {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { runs, stacks, ended, notes, deliveries } = self;
        let timelines = [ended, notes, deliveries];
        runs.is_empty() && stacks.is_empty() && timelines.iter().all(|changes| changes.is_empty())
    }
}
