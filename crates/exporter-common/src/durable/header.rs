//! The tables that every store has: the owner, the version, the number of commits and the uptime.

use std::time::Instant;

use redb::{ReadTransaction, TableDefinition, WriteTransaction};

use super::{Clock, StoreError, Tables};

/// Single numbers by name: `version`, `commits`, `uptime_milliseconds`, and further ones of the exporter.
pub const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");
const VERSION: &str = "version";
const COMMITS: &str = "commits";
const UPTIME: &str = "uptime_milliseconds";

/// Single texts by name: only the owner.
const TEXTS: TableDefinition<'_, &str, &str> = TableDefinition::new("texts");

/// The owner of a state, the number of its commits, and its clock.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) owner: String,
    pub(super) commits: u64,
    pub(super) clock: Clock,
}

impl Header {
    /// Writes the header of a new state.
    pub(super) fn create<T: Tables>(transaction: &WriteTransaction, owner: &str) -> Result<(), StoreError> {
        let mut numbers = transaction.open_table(NUMBERS)?;
        for (name, number) in [(COMMITS, 0), (UPTIME, 0), (VERSION, T::VERSION)] {
            numbers.insert(name, number)?;
        }
        transaction.open_table(TEXTS)?.insert(T::OWNER, owner)?;
        Ok(())
    }

    pub(super) fn read<T: Tables>(transaction: &ReadTransaction, now: Instant) -> Result<Self, StoreError> {
        let found = number(transaction, VERSION)?;
        if found != T::VERSION {
            return Err(StoreError::Version { found, expected: T::VERSION });
        }
        let owner = transaction.open_table(TEXTS)?.get(T::OWNER)?;
        Ok(Self {
            owner: owner.map(|owner| owner.value().to_owned()).unwrap_or_default(),
            commits: number(transaction, COMMITS)?,
            clock: Clock::resume(number(transaction, UPTIME)?, now),
        })
    }

    /// Writes the number of a commit, and the uptime in milliseconds.
    pub(super) fn advance(
        transaction: &WriteTransaction,
        commits: u64,
        uptime: u64,
    ) -> Result<(), StoreError> {
        let mut numbers = transaction.open_table(NUMBERS)?;
        numbers.insert(COMMITS, commits)?;
        numbers.insert(UPTIME, uptime)?;
        Ok(())
    }
}

/// Returns a number of [`NUMBERS`].
///
/// # Errors
/// Returns an error if the file cannot be read or the number is missing.
pub fn number(transaction: &ReadTransaction, name: &str) -> Result<u64, StoreError> {
    let number = transaction.open_table(NUMBERS)?.get(name)?;
    number.map(|number| number.value()).ok_or_else(|| StoreError::Record(format!("{name} is missing")))
}
