//! The durable part of the state, and the start of windows when a commit is safe.

use std::time::{Duration, Instant};

use super::Attribution;
use super::Settings;
use super::operations::Operations;
use crate::dedup::{Dedup, HashKey};
use crate::inventory::{InvalidRecord, Inventory, InventoryChanges, InventoryRecord};
use crate::timeline::{Timeline, TimelineChanges};

/// A backlog ends when no message has waited for this time.
const BACKLOG_END: Duration = Duration::from_secs(1);

/// The state to persist. Held messages are not part of it: they have no effect yet and are delivered again.
#[derive(Debug)]
pub struct Record {
    /// The key of the hashed ids.
    pub key: HashKey,
    /// The instances.
    pub inventory: InventoryRecord,
    /// Ids of interruptions and of their messages.
    pub interruptions: Timeline<u64>,
    /// Ids of creations and of their messages.
    pub creations: Timeline<u64>,
    /// Ids of events counted by a message whose operation may still be listed.
    pub by_message: Timeline<u64>,
    /// Ids of events counted by an operation whose message may still arrive.
    pub operations: Timeline<u64>,
}

impl Record {
    /// An empty record.
    #[must_use]
    pub fn empty(key: HashKey) -> Self {
        Self {
            key,
            inventory: InventoryRecord::default(),
            interruptions: Timeline::default(),
            creations: Timeline::default(),
            by_message: Timeline::default(),
            operations: Timeline::default(),
        }
    }
}

/// The decisions made up to a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decided {
    interruptions: u64,
    creations: u64,
    pub(super) operations: [u64; 2],
    at: Instant,
}

/// Changes since the last commit.
#[derive(Debug)]
pub struct Changes {
    /// The instances.
    pub inventory: InventoryChanges,
    /// Ids of interruptions and of their messages.
    pub interruptions: TimelineChanges<u64>,
    /// Ids of creations and of their messages.
    pub creations: TimelineChanges<u64>,
    /// Ids of events counted by a message whose operation may still be listed.
    pub by_message: TimelineChanges<u64>,
    /// Ids of events counted by an operation whose message may still arrive.
    pub operations: TimelineChanges<u64>,
}

impl<T> Attribution<T> {
    /// Restores the state and starts to track changes.
    ///
    /// # Errors
    ///
    /// Returns an error if the record is inconsistent.
    pub fn restore(settings: Settings, record: Record, now: Instant) -> Result<Self, InvalidRecord> {
        let dedup = |ids| Dedup::restore(settings.dedup_window, record.key, ids);
        let (interruptions, creations) = (dedup(record.interruptions), dedup(record.creations));
        let inventory = Inventory::restore(
            &settings.project,
            settings.initial_scopes(),
            settings.tombstone_ttl,
            record.inventory,
            now,
        )?;
        let operations = Operations::restore(settings.lateness, record.by_message, record.operations);
        Ok(Self::with(settings, inventory, interruptions, creations, operations))
    }

    /// Returns the changes since the last call, for a commit.
    pub fn take_changes(&mut self, now: Instant) -> Changes {
        let [by_message, operations] = self.operations.take_changes(now);
        Changes {
            by_message,
            operations,
            inventory: self.inventory.take_changes(now),
            interruptions: self.interruptions.take_changes(now),
            creations: self.creations.take_changes(now),
        }
    }

    /// Returns the decisions made so far, to be passed to [`mark_safe`](Self::mark_safe) when they are safe.
    #[must_use]
    pub fn decided(&self, now: Instant) -> Decided {
        Decided {
            interruptions: self.interruptions.committed(),
            creations: self.creations.committed(),
            operations: self.operations.total_added(),
            at: self.backlog.map_or(now, |(since, _)| since),
        }
    }

    /// Notes whether messages wait in the input queue. They may have been delivered long ago, so nothing that was known
    /// when they started to wait is removed.
    pub fn note_backlog(&mut self, is_there: bool, now: Instant) {
        match &mut self.backlog {
            Some((_, last)) if is_there => *last = now,
            None if is_there => self.backlog = Some((now, now)),
            // After waiting messages more are often about to arrive from the network.
            Some((_, last)) if now.saturating_duration_since(*last) >= BACKLOG_END => self.backlog = None,
            _ => {}
        }
    }

    /// Notes that everything decided up to a moment is safe: counted and, with durable state, on disk. Until then
    /// messages are not acknowledged and can be delivered again at any time, so the window of an event starts now.
    /// While a decision is not safe, nothing decided before it is removed.
    pub fn mark_safe(&mut self, decided: Decided, now: Instant) {
        self.interruptions.start_window(decided.interruptions, now);
        self.creations.start_window(decided.creations, now);
        self.operations.start_windows(&decided, now);
        self.safe_until = self.safe_until.max(Some(decided.at));
    }
}
