//! Errors of opening, reading and writing durable state.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// The durable state cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process uses the directory. Two exporters would overwrite each other's counts.
    #[error("state.path: {} is in use by another process; allowed is a directory of the exporter's own", .0.display())]
    InUse(PathBuf),
    /// The operating system reports an error.
    #[error("state.path: {} cannot be used: {reason}; allowed is a directory that can be written to", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The operating system's error.
        reason: io::Error,
    },
    /// The state belongs to another owner, such as another project.
    #[error("state.path: {} holds the state of {kind} {owner}; allowed is a directory of the exporter's own", path.display())]
    OtherOwner {
        /// The directory.
        path: PathBuf,
        /// The kind of owner, such as `project`.
        kind: &'static str,
        /// The owner named in the file.
        owner: String,
    },
}

/// A state file is unusable, or cannot be read or written.
#[derive(Debug, Error)]
pub enum StoreError {
    /// An I/O error, or a checksum that does not match.
    #[error(transparent)]
    Database(Box<redb::Error>),
    /// The tables have another version.
    #[error("it is of version {found}, and this exporter reads version {expected}")]
    Version {
        /// The version in the file.
        found: u64,
        /// The version that this exporter reads.
        expected: u64,
    },
    /// The file was replaced by an older copy.
    #[error("it was rolled back from commit {expected} to commit {found}")]
    RolledBack {
        /// The number of the last commit in the file.
        found: u64,
        /// The number of the last commit.
        expected: u64,
    },
    /// The checksums match, but the content is invalid.
    #[error("its content is invalid: {0}")]
    Record(String),
    /// The database library panicked on the file.
    #[error("the database library panicked on it")]
    Panicked,
}

impl<E: Into<redb::Error>> From<E> for StoreError {
    fn from(error: E) -> Self {
        Self::Database(Box::new(error.into()))
    }
}

impl StoreError {
    /// Returns whether another process has the database open.
    pub(super) fn is_in_use(&self) -> bool {
        matches!(self, Self::Database(error) if matches!(**error, redb::Error::DatabaseAlreadyOpen))
    }

    /// Returns the operating system's error, or `self` if the file's content is the cause.
    pub(super) fn into_io(self) -> Result<io::Error, Self> {
        match self {
            Self::Database(error) => match *error {
                redb::Error::Io(error)
                    if !matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) =>
                {
                    Ok(error)
                }
                error => Err(Self::Database(Box::new(error))),
            },
            other => Err(other),
        }
    }
}
