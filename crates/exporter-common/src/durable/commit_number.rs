//! The number of the last commit, in a file beside the database.
//!
//! The file is written without `fsync`, so its number may be too low after a power failure. A number higher than the
//! database's own means that the database was replaced by an older copy.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::StoreError;

const FILE: &str = "commits";

/// The file that holds the number of the last commit.
#[derive(Debug)]
pub(super) struct CommitNumber(File);

impl CommitNumber {
    /// Opens the file, or creates it.
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).open(directory.join(FILE)).map(Self)
    }

    /// Returns an error if the database, whose last commit is `found`, is older than the last commit.
    pub(super) fn check(&self, found: u64) -> Result<(), StoreError> {
        match self.read() {
            Some(expected) if expected > found => Err(StoreError::RolledBack { found, expected }),
            _ => Ok(()),
        }
    }

    /// Stores the number of a commit.
    pub(super) fn write(&self, commits: u64) {
        // The number and its complement, so that a damaged file is recognized and ignored.
        let bytes = [commits.to_le_bytes(), (!commits).to_le_bytes()].concat();
        if let Err(error) = self.0.write_all_at(&bytes, 0) {
            tracing::debug!(%error, "the commit number could not be written");
        }
    }

    fn read(&self) -> Option<u64> {
        let mut bytes = [0; 16];
        self.0.read_exact_at(&mut bytes, 0).ok()?;
        let (number, complement) = bytes.split_at(8);
        let number = u64::from_le_bytes(number.try_into().ok()?);
        (u64::from_le_bytes(complement.try_into().ok()?) == !number).then_some(number)
    }
}
