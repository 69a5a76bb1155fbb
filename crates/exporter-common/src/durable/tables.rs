//! What an exporter keeps in a store.

use std::time::Instant;

use redb::{Key, ReadOnlyTable, ReadTransaction, TableDefinition, TableError, Value, WriteTransaction};

use super::{Clock, StoreError};

/// The tables of an exporter, and who writes to them.
pub trait Tables: Send + 'static {
    /// Of the tables. A file of another version is set aside.
    const VERSION: u64;

    /// What a state belongs to, such as a project or an account. A word for messages, and the name under which the owner
    /// stands in the file.
    const OWNER: &'static str;

    /// What a state that begins anew means, for the log.
    const BEGINS_ANEW: &'static str;

    /// What is written in one commit.
    type Batch: Batch;

    /// Makes all tables, so that reading need not ask whether there is one.
    ///
    /// # Errors
    /// The file cannot be written.
    fn create(transaction: &WriteTransaction) -> Result<(), StoreError>;

    /// Writes a batch.
    ///
    /// # Errors
    /// The file cannot be written.
    fn write(
        &self,
        transaction: &WriteTransaction,
        batch: &Self::Batch,
        clock: &Clock,
    ) -> Result<(), StoreError>;
}

/// What is written in one commit.
pub trait Batch: Send + 'static {
    /// The moment of the attempt to write it.
    fn moment(&self) -> Instant;

    /// Another attempt to write it is made, at this moment.
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
