//! What an exporter stores: its tables and its batches.

use std::time::Instant;

use redb::{Key, ReadOnlyTable, ReadTransaction, TableDefinition, TableError, Value, WriteTransaction};

use super::{Clock, StoreError};

/// Creates and writes the tables of an exporter.
pub trait Tables: Send + 'static {
    /// Version of the tables. A file with another version is set aside.
    const VERSION: u64;

    /// The kind of owner, such as `project` or `account`: used in messages, and as the name of the owner in the file.
    const OWNER: &'static str;

    /// The consequence of starting with an empty state, for the log.
    const AFTER_RESET: &'static str;

    /// The data of one commit.
    type Batch: Batch;

    /// Creates all tables, so that readers can rely on them.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written.
    fn create(transaction: &WriteTransaction) -> Result<(), StoreError>;

    /// Writes a batch.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written.
    fn write(
        &self,
        transaction: &WriteTransaction,
        batch: &Self::Batch,
        clock: &Clock,
    ) -> Result<(), StoreError>;
}

/// The data of one commit.
pub trait Batch: Send + 'static {
    /// Returns the time of the current attempt to write the batch.
    fn moment(&self) -> Instant;

    /// Sets the time of another attempt to write the batch.
    fn renew(&mut self, now: Instant);
}

/// Opens a table that files of an earlier release may lack. Returns `None` for such a file.
///
/// # Errors
/// Returns an error if the file cannot be read.
pub fn open_if_exists<K: Key + 'static, V: Value + 'static>(
    transaction: &ReadTransaction,
    table: TableDefinition<'_, K, V>,
) -> Result<Option<ReadOnlyTable<K, V>>, StoreError> {
    match transaction.open_table(table) {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
