//! The store: an open state directory, and commits to it.

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Instant;

use redb::{Database, ReadTransaction, ReadableDatabase, WriteTransaction};

use super::commit_number::CommitNumber;
use super::directory::Directory;
use super::header::Header;
use super::{Batch, Clock, OpenError, StoreError, Tables};

/// Size of the database's page cache in bytes. Small, because the file is written far more often than it is read.
const CACHE: usize = 4 * 1024 * 1024;

/// A store of batches.
pub trait Commit: Send + 'static {
    /// What is written in one commit.
    type Batch: Batch;

    /// Writes a batch, which is durable when this returns.
    ///
    /// # Errors
    /// After an error it is unknown whether the batch was written. Pass the same batch again until this succeeds; it is
    /// not counted twice.
    fn commit(&mut self, batch: &Self::Batch) -> Result<(), StoreError>;

    /// Returns the size of the stored data, in bytes.
    fn size(&self) -> u64;
}

/// An open state directory.
#[derive(Debug)]
pub struct Store<T> {
    /// `None` after an error, until the file is reopened.
    database: Option<Database>,
    commit_number: CommitNumber,
    tables: T,
    commits: u64,
    clock: Clock,
    /// Last, so that the lock is released after the database is closed: fields are dropped in their order.
    directory: Directory,
}

/// The content of an undamaged file.
struct OpenedFile<T, C> {
    database: Database,
    header: Header,
    /// `None` if the state belongs to another owner.
    contents: Option<(T, C)>,
}

impl<T: Tables> Store<T> {
    /// Opens a directory, or creates it, and reads its state with `read`. If the file is unusable, it is set aside, which
    /// is logged, and `read` is called again for a new file. `read` returns the writer of the tables and what it read.
    ///
    /// # Errors
    /// Returns an error if the directory cannot be used, is in use, or belongs to another owner.
    pub fn open<C>(
        path: &Path,
        owner: &str,
        now: Instant,
        mut read: impl FnMut(&ReadTransaction, &Clock) -> Result<(T, C), StoreError>,
    ) -> Result<(Self, C), OpenError> {
        let directory = Directory::open(path)?;
        let refused = |reason| OpenError::Directory { path: path.to_owned(), reason };
        let commit_number = CommitNumber::open(path).map_err(refused)?;
        let database_path = directory.database();
        if database_path.try_exists().map_err(refused)? {
            let mut open = || {
                let (database, header) = open_database::<T>(&database_path, now)?;
                if header.owner != owner {
                    return Ok(OpenedFile { database, header, contents: None });
                }
                commit_number.check(header.commits)?;
                let contents = read(&database.begin_read()?, &header.clock)?;
                Ok(OpenedFile { database, header, contents: Some(contents) })
            };
            // redb is documented to return an error for a damaged file. If it panics instead, the file is treated as
            // damaged too.
            let read = catch_unwind(AssertUnwindSafe(&mut open));
            match read.unwrap_or(Err(StoreError::Panicked)) {
                Ok(OpenedFile { database, header, contents: Some((tables, contents)) }) => {
                    return Ok((Self::with(directory, database, commit_number, tables, &header), contents));
                }
                Ok(OpenedFile { header: Header { owner, .. }, .. }) => {
                    return Err(OpenError::OtherOwner { path: path.to_owned(), kind: T::OWNER, owner });
                }
                Err(error) if error.is_in_use() => return Err(OpenError::InUse(path.to_owned())),
                Err(error) => match error.into_io() {
                    Ok(error) => return Err(refused(error)),
                    Err(reason) => directory.set_aside(&reason, T::AFTER_RESET).map_err(refused)?,
                },
            }
        }
        commit_number.write(0);
        let mut create = || {
            let database = create_database::<T>(&database_path, owner)?;
            let transaction = database.begin_read()?;
            let header = Header::read::<T>(&transaction, now)?;
            let contents = read(&transaction, &header.clock)?;
            drop(transaction);
            Ok((database, header, contents))
        };
        let (database, header, (tables, contents)) = create().map_err(|error: StoreError| {
            refused(error.into_io().unwrap_or_else(|error| io::Error::other(error.to_string())))
        })?;
        // After this the new files survive a power failure.
        directory.sync().map_err(refused)?;
        Ok((Self::with(directory, database, commit_number, tables, &header), contents))
    }

    fn with(
        directory: Directory,
        database: Database,
        commit_number: CommitNumber,
        tables: T,
        header: &Header,
    ) -> Self {
        let Header { commits, clock, .. } = *header;
        Self { database: Some(database), commit_number, tables, commits, clock, directory }
    }

    fn attempt(&mut self, batch: &T::Batch) -> Result<(), StoreError> {
        let number = self.commits + 1;
        let database = match self.database.take() {
            Some(database) => database,
            None => {
                let (database, header) = open_database::<T>(&self.directory.database(), batch.moment())?;
                if header.commits == number {
                    // The failed attempt was written after all.
                    self.committed(database, number);
                    return Ok(());
                }
                if header.commits != self.commits {
                    return Err(StoreError::RolledBack { found: header.commits, expected: self.commits });
                }
                database
            }
        };
        let transaction = begin(&database)?;
        Header::advance(&transaction, number, self.clock.reading(batch.moment()))?;
        self.tables.write(&transaction, batch, &self.clock)?;
        transaction.commit()?;
        self.committed(database, number);
        Ok(())
    }

    fn committed(&mut self, database: Database, number: u64) {
        self.database = Some(database);
        self.commits = number;
        self.commit_number.write(number);
    }
}

impl<T: Tables> Commit for Store<T> {
    type Batch = T::Batch;

    fn commit(&mut self, batch: &T::Batch) -> Result<(), StoreError> {
        catch_unwind(AssertUnwindSafe(|| self.attempt(batch))).unwrap_or(Err(StoreError::Panicked))
    }

    /// The size of the database file.
    fn size(&self) -> u64 {
        fs::metadata(self.directory.database()).map_or(0, |metadata| metadata.len())
    }
}

/// Opens an existing database, verifies all checksums, and reads the header.
fn open_database<T: Tables>(path: &Path, now: Instant) -> Result<(Database, Header), StoreError> {
    let database = Database::builder().set_cache_size(CACHE).set_check_integrity_on_open(true).open(path)?;
    let header = Header::read::<T>(&database.begin_read()?, now)?;
    Ok((database, header))
}

fn create_database<T: Tables>(path: &Path, owner: &str) -> Result<Database, StoreError> {
    let database = Database::builder().set_cache_size(CACHE).create(path)?;
    let transaction = begin(&database)?;
    Header::create::<T>(&transaction, owner)?;
    T::create(&transaction)?;
    transaction.commit()?;
    Ok(database)
}

/// Begins a transaction. Its commit is durable, and the file is valid at every moment of it.
fn begin(database: &Database) -> Result<WriteTransaction, StoreError> {
    let mut transaction = database.begin_write()?;
    transaction.set_two_phase_commit(true);
    Ok(transaction)
}
