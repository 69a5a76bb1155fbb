//! Timelines in a table of the state file.

use redb::{ReadTransaction, TableDefinition, WriteTransaction};

use super::{Clock, StoreError};
use crate::timeline::{Entry, Timeline, TimelineChanges};

/// The entries of all timelines of an exporter, by timeline and entry number: the expiry by the [`Clock`] in
/// milliseconds, and the value.
const TIMELINES: TableDefinition<'_, (u8, u64), (u64, u64)> = TableDefinition::new("timelines");

/// Creates the table, so that [`read_timeline`] can rely on it.
///
/// # Errors
/// Returns an error if the file cannot be written.
pub fn create_timelines(transaction: &WriteTransaction) -> Result<(), StoreError> {
    transaction.open_table(TIMELINES)?;
    Ok(())
}

/// Applies the changes of the timeline with the number `timeline`.
///
/// # Errors
/// Returns an error if the file cannot be written.
pub fn write_timeline<V: Copy + Into<u64>>(
    transaction: &WriteTransaction,
    timeline: u8,
    changes: &TimelineChanges<V>,
    clock: &Clock,
) -> Result<(), StoreError> {
    let mut table = transaction.open_table(TIMELINES)?;
    for number in changes.expired.clone() {
        table.remove((timeline, number))?;
    }
    for (number, entry) in (changes.next..).zip(&changes.added) {
        table.insert((timeline, number), (clock.reading(entry.end), entry.value.into()))?;
    }
    Ok(())
}

/// Reads the timeline with the number `timeline`. `decode` returns `None` for a number that is not a value of it.
///
/// # Errors
/// Returns an error if the file cannot be read, if an entry is missing between two others, or if a value cannot be
/// decoded.
pub fn read_timeline<V: Copy>(
    transaction: &ReadTransaction,
    timeline: u8,
    clock: &Clock,
    decode: impl Fn(u64) -> Option<V>,
) -> Result<Timeline<V>, StoreError> {
    let table = transaction.open_table(TIMELINES)?;
    let mut first = None;
    let mut entries = Vec::new();
    for row in table.range((timeline, 0)..=(timeline, u64::MAX))? {
        let (key, row) = row?;
        let ((_, number), (end, stored)) = (key.value(), row.value());
        let expected = *first.get_or_insert(number) + entries.len() as u64;
        let entry = clock.moment(end).zip(decode(stored)).map(|(end, value)| Entry { end, value });
        match entry.filter(|_| number == expected) {
            Some(entry) => entries.push(entry),
            None => return Err(StoreError::Record(format!("entry {number} of timeline {timeline}"))),
        }
    }
    Ok(Timeline::restore(first.unwrap_or_default(), entries))
}
