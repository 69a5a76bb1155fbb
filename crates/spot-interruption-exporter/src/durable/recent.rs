//! The table of recent interruptions: a ring buffer with as many rows as the page shows. A new row replaces the oldest
//! one, so the table does not grow and a commit writes only new rows.

use std::time::Duration;

use exporter_common::durable::{StoreError, open_if_exists};
use jiff::Timestamp;
use redb::{ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};

use crate::attribution::UnattributedCause;
use crate::event::Reasons;
use crate::instance::{CompactRef, InstanceId, InstanceRef};
use crate::interruptions::{CAPACITY, Interruption, Recent, RecentChanges};
use crate::inventory::ProfileId;
use crate::source::Queue;

/// By index: the number, the instance's id, its project, zone and name, the times of the event and of the decision in
/// microseconds since 1970, the profile, the reason, the lifetime in seconds, the queue, and why the cluster is unknown.
/// Files of version 0.1.0 lack this table.
const RECENT: TableDefinition<'_, u32, RecentRow<'_>> = TableDefinition::new("recent_interruptions");
type RecentRow<'a> = (
    u64,
    Option<u64>,
    [&'a str; 3],
    Option<i64>,
    i64,
    Option<u32>,
    &'a str,
    Option<f64>,
    u8,
    Option<&'a str>,
);

/// Writes the new rows.
pub(super) fn write(
    transaction: &WriteTransaction,
    changes: &RecentChanges,
    reasons: &Reasons,
) -> Result<(), StoreError> {
    if changes.0.is_empty() {
        return Ok(());
    }
    let mut table = transaction.open_table(RECENT)?;
    for (number, interruption) in &changes.0 {
        let Interruption { instance, at, decided_at, profile, reason, lifetime, queue, cause } = interruption;
        let InstanceRef { id, project, zone, name } = instance.get();
        let texts = [&project, &zone, &name].map(|text| text.as_deref().unwrap_or_default());
        let row = (
            *number,
            id.map(InstanceId::get),
            texts,
            at.map(Timestamp::as_microsecond),
            decided_at.as_microsecond(),
            profile.map(|profile| profile.index() as u32),
            reasons.label(*reason),
            lifetime.map(|lifetime| lifetime.as_secs_f64()),
            queue.number() as u8,
            cause.map(UnattributedCause::label),
        );
        table.insert((number % CAPACITY as u64) as u32, row)?;
    }
    Ok(())
}

/// Reads the table. Adds unknown reasons to `reasons`.
pub(super) fn read(
    transaction: &ReadTransaction,
    profiles: usize,
    reasons: &mut Reasons,
) -> Result<Recent, StoreError> {
    let Some(table) = open_if_exists(transaction, RECENT)? else { return Ok(Recent::default()) };
    let mut rows = Vec::new();
    for row in table.iter()? {
        let (index, row) = row?;
        let row = row.value();
        let number = row.0;
        let interruption = interruption(row, profiles, reasons)
            .ok_or_else(|| StoreError::Record(format!("interruption {} of the page", index.value())))?;
        rows.push((number, interruption));
    }
    Ok(Recent::restore(rows))
}

/// Converts a row. Returns `None` if it is invalid.
fn interruption(row: RecentRow<'_>, profiles: usize, reasons: &mut Reasons) -> Option<Interruption> {
    let (_, id, texts, at, decided_at, profile, reason, lifetime, queue, cause) = row;
    let [project, zone, name] = texts.map(|text| (!text.is_empty()).then_some(text.into()));
    let id = id.map(|id| InstanceId::new(id).ok_or(())).transpose().ok()?;
    let profile = match profile {
        Some(profile) => Some(ProfileId::of(Some(profile as usize).filter(|profile| *profile < profiles)?)),
        None => None,
    };
    let lifetime = match lifetime {
        Some(seconds) => Some(Duration::try_from_secs_f64(seconds).ok()?),
        None => None,
    };
    let at = match at {
        Some(at) => Some(Timestamp::from_microsecond(at).ok()?),
        None => None,
    };
    let cause = match cause {
        Some(label) => Some(UnattributedCause::ALL.into_iter().find(|cause| cause.label() == label)?),
        None => None,
    };
    Some(Interruption {
        instance: CompactRef::from(&InstanceRef { id, project, zone, name }),
        at,
        decided_at: Timestamp::from_microsecond(decided_at).ok()?,
        profile,
        reason: reasons.labelled(reason),
        lifetime,
        queue: Queue::numbered(queue.into())?,
        cause,
    })
}
