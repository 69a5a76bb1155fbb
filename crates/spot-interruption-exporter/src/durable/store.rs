//! Opening what is known and counted, and what a commit of it is.

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

/// One commit's worth.
#[derive(Debug)]
pub struct Batch {
    /// What is to be counted.
    pub ledger: Ledger,
    /// What has become different.
    pub changes: Changes,
    /// How far the operations of scopes are dealt with.
    pub cursors: BTreeMap<Scope, Timestamp>,
    /// Interruptions that were not written before.
    pub recent: RecentChanges,
    /// The moment of the attempt to write it.
    pub now: Instant,
}

impl durable::Batch for Batch {
    fn moment(&self) -> Instant {
        self.now
    }

    /// The windows of ids begin now, and not when the first attempt failed.
    fn renew(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.now);
        let Changes { interruptions, creations, by_message, operations, .. } = &mut self.changes;
        for ids in [interruptions, creations, by_message, operations] {
            ids.postpone(passed);
        }
        self.now = now;
    }
}

/// What was opened.
#[derive(Debug)]
pub struct Opened<T> {
    /// Where it goes on.
    pub store: Store,
    /// What was known.
    pub attribution: Attribution<T>,
    /// What was counted.
    pub ledger: Ledger,
    /// How far the operations of scopes are dealt with.
    pub cursors: BTreeMap<Scope, Timestamp>,
    /// The last interruptions by name.
    pub recent: Recent,
}

/// Opens a directory, or makes it, and reads what it holds. Reasons that are counted there and not configured any more
/// are added to `reasons`.
///
/// # Errors
/// The directory cannot be used. A file in it that cannot be believed is no error: it is set aside, and logged.
pub fn open<T>(
    directory: &Path,
    settings: &Settings,
    reasons: &mut Reasons,
    now: Instant,
) -> Result<Opened<T>, durable::OpenError> {
    let opened = Store::open(directory, &settings.project, now, |transaction, clock| {
        // What a failed attempt has learned is forgotten with it.
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
