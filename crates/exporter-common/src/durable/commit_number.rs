//! The number of the last commit, kept beside the database.
//!
//! It is written without waiting for the disk, so after a power failure it may be behind; it is never ahead, unless
//! the database has gone back.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::StoreError;

const FILE: &str = "commits";

/// The file with the number.
#[derive(Debug)]
pub(super) struct Witness(File);

impl Witness {
    /// Opens the file, or makes it.
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).open(directory.join(FILE)).map(Self)
    }

    /// Whether a database with that many commits can be the one that was written last.
    pub(super) fn check(&self, found: u64) -> Result<(), StoreError> {
        match self.noted() {
            Some(witnessed) if witnessed > found => Err(StoreError::GoneBack { found, witnessed }),
            _ => Ok(()),
        }
    }

    /// Takes note of a commit.
    pub(super) fn note(&self, commits: u64) {
        // The number twice, so that a damaged one is no evidence.
        let bytes = [commits.to_le_bytes(), (!commits).to_le_bytes()].concat();
        if let Err(error) = self.0.write_all_at(&bytes, 0) {
            tracing::debug!(%error, "the number of commits could not be noted");
        }
    }

    fn noted(&self) -> Option<u64> {
        let mut bytes = [0; 16];
        self.0.read_exact_at(&mut bytes, 0).ok()?;
        let (number, complement) = bytes.split_at(8);
        let number = u64::from_le_bytes(number.try_into().ok()?);
        (u64::from_le_bytes(complement.try_into().ok()?) == !number).then_some(number)
    }
}
