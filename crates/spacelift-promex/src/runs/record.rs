//! The durable state of a tracker, and its changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use exporter_common::timeline::{Timeline, TimelineChanges};

use super::run::Run;
use super::stack::Stack;

/// The durable state of a tracker.
#[derive(Debug, Default)]
pub struct TrackerRecord {
    /// Active runs.
    pub runs: Vec<(Box<str>, Run)>,
    /// SavedRuns stacks.
    pub stacks: BTreeMap<Box<str>, Stack>,
    /// Ids of ended runs.
    pub ended: Timeline<u64>,
    /// Flags of ended runs: lost, found after it was lost, policy payload counted.
    pub flags: Timeline<u64>,
    /// Ids of deliveries of ended runs.
    pub deliveries: Timeline<u64>,
}

/// The changes of a tracker since the last commit.
#[derive(Debug)]
pub struct TrackerChanges {
    /// Changed runs; `None` for a run that has ended.
    pub runs: Vec<(Arc<str>, Option<Run>)>,
    /// Changed stacks; `None` for a stack that was removed.
    pub stacks: Vec<(Box<str>, Option<Stack>)>,
    /// Ids of ended runs.
    pub ended: TimelineChanges<u64>,
    /// Flags of ended runs: lost, found after it was lost, policy payload counted.
    pub flags: TimelineChanges<u64>,
    /// Ids of deliveries of ended runs.
    pub deliveries: TimelineChanges<u64>,
}

impl TrackerChanges {
    /// Returns whether there are no changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { runs, stacks, ended, flags, deliveries } = self;
        let timelines = [ended, flags, deliveries];
        runs.is_empty() && stacks.is_empty() && timelines.iter().all(|changes| changes.is_empty())
    }
}
