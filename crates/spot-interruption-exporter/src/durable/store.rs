//! Opens the durable state, and defines the data of one commit.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use exporter_common::durable;
use jiff::Timestamp;

use super::tables::{self, Contents, StateTables};
use crate::attribution::{Attribution, Changes, Settings};
use crate::event::Reasons;
use crate::interruptions::{Recent, RecentChanges};
use crate::inventory::Scope;
use crate::ledger::Ledger;

/// An open state directory.
pub type Store = durable::Store<StateTables>;

/// The data of one commit.
#[derive(Debug)]
pub struct Batch {
    /// The counts to add.
    pub ledger: Ledger,
    /// The changes of inventory and ids.
    pub changes: Changes,
    /// By scope, the time up to which its operations are processed.
    pub cursors: BTreeMap<Scope, Timestamp>,
    /// The new rows of the table of recent interruptions.
    pub recent: RecentChanges,
    /// The time of the current attempt to write it.
    pub now: Instant,
}

impl durable::Batch for Batch {
    fn moment(&self) -> Instant {
        self.now
    }

    /// Delays the expiry of ids, because their windows start with the commit.
    fn renew(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.now);
        let Changes { interruptions, creations, by_message, operations, .. } = &mut self.changes;
        for ids in [interruptions, creations, by_message, operations] {
            ids.postpone(passed);
        }
        self.now = now;
    }
}

/// The opened state.
#[derive(Debug)]
pub struct Opened<T> {
    /// The store for further commits.
    pub store: Store,
    /// The inventory and the ids of events.
    pub attribution: Attribution<T>,
    /// The counts.
    pub ledger: Ledger,
    /// By scope, the time up to which its operations are processed.
    pub cursors: BTreeMap<Scope, Timestamp>,
    /// The recent interruptions.
    pub recent: Recent,
}

/// Opens a directory, or creates it, and reads its state. Adds stored reasons that are not configured any more to
/// `reasons`. An unusable file is set aside, which is logged.
///
/// # Errors
/// Returns an error if the directory cannot be used, is in use, or belongs to another project.
pub fn open<T>(
    directory: &Path,
    settings: &Settings,
    reasons: &mut Reasons,
    now: Instant,
) -> Result<Opened<T>, durable::OpenError> {
    let opened = Store::open(directory, &settings.project, now, |transaction, clock| {
        // A clone, so that a failed attempt does not add reasons.
        let mut extended = reasons.clone();
        let Contents { record, ledger, cursors, recent } = tables::read(transaction, clock, &mut extended)?;
        let attribution = Attribution::restore(settings.clone(), record, now)
            .map_err(|error| durable::StoreError::Record(error.to_string()))?;
        let tables = StateTables { reasons: extended.clone() };
        Ok((tables, (attribution, ledger, cursors, recent, extended)))
    });
    let (store, (attribution, ledger, cursors, recent, extended)) = opened?;
    *reasons = extended;
    Ok(Opened { store, attribution, ledger, cursors, recent })
}
