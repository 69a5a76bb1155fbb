//! Why durable state cannot be opened, read or written.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why there can be no durable state.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Two exporters would count apart and overwrite each other.
    #[error("state.path: {} is in use by another process; allowed is a directory of the exporter's own", .0.display())]
    InUse(PathBuf),
    /// The operating system refuses it.
    #[error("state.path: {} cannot be used: {reason}; allowed is a directory that can be written to", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The operating system's reason.
        reason: io::Error,
    },
    /// Its counts belong to something else.
    #[error("state.path: {} holds the state of {kind} {owner}; allowed is a directory of the exporter's own", path.display())]
    OtherOwner {
        /// The directory.
        path: PathBuf,
        /// What owns a state, such as a project.
        kind: &'static str,
        /// What it was written for.
        owner: String,
    },
}

/// Why a file is not believed, or cannot be read or written.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The operating system, or what the file's checksums say.
    #[error(transparent)]
    Database(Box<redb::Error>),
    /// Another version's tables.
    #[error("it is of version {found}, and this exporter reads version {expected}")]
    Version {
        /// Which one.
        found: u64,
        /// The one that is read.
        expected: u64,
    },
    /// An older commit has taken the place of the last one.
    #[error("it has gone back from commit {witnessed} to commit {found}")]
    GoneBack {
        /// The number of the last commit in the file.
        found: u64,
        /// The number of the last commit.
        witnessed: u64,
    },
    /// The checksums are right, but what they protect is not.
    #[error("it contradicts itself: {0}")]
    Record(String),
    /// A defect of the database's code, met with such a file.
    #[error("the database's code has failed on it")]
    Panicked,
}

impl<E: Into<redb::Error>> From<E> for StoreError {
    fn from(error: E) -> Self {
        Self::Database(Box::new(error.into()))
    }
}

impl StoreError {
    /// Whether another process has the database open.
    pub(super) fn is_in_use(&self) -> bool {
        matches!(self, Self::Database(error) if matches!(**error, redb::Error::DatabaseAlreadyOpen))
    }

    /// The operating system's error, unless it is about what the file holds.
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
