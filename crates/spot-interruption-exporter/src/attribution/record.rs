//! What is known as it is written down, and what becomes of the memory of events once it is.

use std::time::{Duration, Instant};

use super::Attribution;
use super::Settings;
use super::operations::Operations;
use crate::dedup::{Dedup, HashKey};
use crate::inventory::{InvalidRecord, Inventory, InventoryChanges, InventoryRecord};
use crate::timeline::{Timeline, TimelineChanges};

/// A backlog is over when nothing has waited for so long.
const BACKLOG_END: Duration = Duration::from_secs(1);

/// What is known, as it is written down. What is held is not part of it: it has had no effect, so its messages come
/// again.
#[derive(Debug)]
pub struct Record {
    /// The key under which ids are remembered.
    pub key: HashKey,
    /// The instances.
    pub inventory: InventoryRecord,
    /// The ids of interruptions and of what brought them.
    pub interruptions: Timeline<u64>,
    /// The same of creations.
    pub creations: Timeline<u64>,
    /// The ids of events that a message told of and whose operation may still be offered.
    pub told: Timeline<u64>,
    /// The ids of events that an operation counted and whose message may still come.
    pub operations: Timeline<u64>,
}

impl Record {
    /// Nothing is known.
    #[must_use]
    pub fn empty(key: HashKey) -> Self {
        Self {
            key,
            inventory: InventoryRecord::default(),
            interruptions: Timeline::default(),
            creations: Timeline::default(),
            told: Timeline::default(),
            operations: Timeline::default(),
        }
    }
}

/// Which decisions were made up to some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decided {
    interruptions: u64,
    creations: u64,
    pub(super) operations: [u64; 2],
    at: Instant,
}

/// What has become different since it was last written down.
#[derive(Debug)]
pub struct Changes {
    /// The instances.
    pub inventory: InventoryChanges,
    /// The ids of interruptions and of what brought them.
    pub interruptions: TimelineChanges<u64>,
    /// The same of creations.
    pub creations: TimelineChanges<u64>,
    /// The ids of events that a message told of and whose operation may still be offered.
    pub told: TimelineChanges<u64>,
    /// The ids of events that an operation counted and whose message may still come.
    pub operations: TimelineChanges<u64>,
}

impl<T> Attribution<T> {
    /// Knows what was written down, and notes what changes.
    ///
    /// # Errors
    ///
    /// The record contradicts itself.
    pub fn restore(settings: Settings, record: Record, now: Instant) -> Result<Self, InvalidRecord> {
        let dedup = |ids| Dedup::restore(settings.dedup_window, record.key, ids);
        let (interruptions, creations) = (dedup(record.interruptions), dedup(record.creations));
        let inventory = Inventory::restore(&settings.project, settings.tombstone_ttl, record.inventory, now)?;
        let operations = Operations::restore(record.told, record.operations);
        Ok(Self::with(settings, inventory, interruptions, creations, operations))
    }

    /// What has become different since the last time that this was asked. It counts as written down from now on.
    pub fn take_changes(&mut self, now: Instant) -> Changes {
        let [told, operations] = self.operations.take_changes(now);
        Changes {
            told,
            operations,
            inventory: self.inventory.take_changes(now),
            interruptions: self.interruptions.take_changes(now),
            creations: self.creations.take_changes(now),
        }
    }

    /// What is decided so far, to be passed to [`settle`](Self::settle) when it is safe.
    #[must_use]
    pub fn decided(&self, now: Instant) -> Decided {
        Decided {
            interruptions: self.interruptions.committed(),
            creations: self.creations.committed(),
            operations: self.operations.added(),
            at: self.backlog.map_or(now, |(since, _)| since),
        }
    }

    /// Notes whether messages wait to be taken. They may have been delivered long ago, so that nothing is forgotten
    /// that was known when they began to wait.
    pub fn note_backlog(&mut self, is_there: bool, now: Instant) {
        match &mut self.backlog {
            Some((_, last)) if is_there => *last = now,
            None if is_there => self.backlog = Some((now, now)),
            // Where some waited there are often more, on the way from the network to us.
            Some((_, last)) if now.saturating_duration_since(*last) >= BACKLOG_END => self.backlog = None,
            _ => {}
        }
    }

    /// What was decided up to some moment is safe now: counted, and with durable state on the disk. Until then it is
    /// not acknowledged and can come again at any time, so only now does the window begin in which it is recognised;
    /// and while anything is not safe, nothing that was decided before it is forgotten.
    pub fn settle(&mut self, decided: Decided, now: Instant) {
        self.interruptions.settle(decided.interruptions, now);
        self.creations.settle(decided.creations, now);
        self.operations.settle(&decided, now);
        self.safe_until = self.safe_until.max(Some(decided.at));
    }
}
