//! An open state directory, and commits to it.

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Instant;

use redb::{Database, ReadTransaction, ReadableDatabase, WriteTransaction};

use super::directory::Directory;
use super::header::Header;
use super::witness::Witness;
use super::{Batch, Clock, OpenError, StoreError, Tables};

/// What the database keeps of its pages in memory, in bytes. The file is written far more than it is read.
const CACHE: usize = 4 * 1024 * 1024;

/// Where batches are written down.
pub trait Commit: Send + 'static {
    /// What is written in one commit.
    type Batch: Batch;

    /// Writes a batch down. When this returns, it is safe.
    ///
    /// # Errors
    /// It may be safe or not, and is to be passed again until this succeeds; it is not counted twice.
    fn commit(&mut self, batch: &Self::Batch) -> Result<(), StoreError>;

    /// The size of what is written down, in bytes.
    fn size(&self) -> u64;
}

/// An open state directory.
#[derive(Debug)]
pub struct Store<T> {
    /// `None` after an error, until it is opened again.
    database: Option<Database>,
    witness: Witness,
    tables: T,
    commits: u64,
    clock: Clock,
    /// Unlocked after the database is closed: fields are dropped in their order.
    directory: Directory,
}

/// What there is in a file that is whole.
struct Read<T, C> {
    database: Database,
    header: Header,
    /// `None` if it belongs to another owner.
    contents: Option<(T, C)>,
}

impl<T: Tables> Store<T> {
    /// Opens a directory, or makes it, and reads what it holds by `read`, which is called again for a file that
    /// begins anew. It returns who writes to the tables from now on, and what was read.
    ///
    /// # Errors
    /// The directory cannot be used. A file in it that cannot be believed is no error: it is set aside, and logged.
    pub fn open<C>(
        path: &Path,
        owner: &str,
        now: Instant,
        mut read: impl FnMut(&ReadTransaction, &Clock) -> Result<(T, C), StoreError>,
    ) -> Result<(Self, C), OpenError> {
        let directory = Directory::open(path)?;
        let refused = |reason| OpenError::Directory { path: path.to_owned(), reason };
        let witness = Witness::open(path).map_err(refused)?;
        let database_path = directory.database();
        if database_path.try_exists().map_err(refused)? {
            let mut believe = || {
                let (database, header) = open_database::<T>(&database_path, now)?;
                if header.owner != owner {
                    return Ok(Read { database, header, contents: None });
                }
                witness.check(header.commits)?;
                let contents = read(&database.begin_read()?, &header.clock)?;
                Ok(Read { database, header, contents: Some(contents) })
            };
            // The database's code promises to report what is wrong with a file; should it panic instead, the file
            // is to blame all the same.
            let read = catch_unwind(AssertUnwindSafe(&mut believe));
            match read.unwrap_or(Err(StoreError::Panicked)) {
                Ok(Read { database, header, contents: Some((tables, contents)) }) => {
                    return Ok((Self::with(directory, database, witness, tables, &header), contents));
                }
                Ok(Read { header: Header { owner, .. }, .. }) => {
                    return Err(OpenError::OtherOwner { path: path.to_owned(), kind: T::OWNER, owner });
                }
                Err(error) if error.is_in_use() => return Err(OpenError::InUse(path.to_owned())),
                Err(error) => match error.into_io() {
                    Ok(error) => return Err(refused(error)),
                    Err(reason) => directory.set_aside(&reason, T::BEGINS_ANEW).map_err(refused)?,
                },
            }
        }
        witness.note(0);
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
        // Only now is it certain that a power failure leaves the files of that name.
        directory.sync().map_err(refused)?;
        Ok((Self::with(directory, database, witness, tables, &header), contents))
    }

    fn with(directory: Directory, database: Database, witness: Witness, tables: T, header: &Header) -> Self {
        let Header { commits, clock, .. } = *header;
        Self { database: Some(database), witness, tables, commits, clock, directory }
    }

    fn attempt(&mut self, batch: &T::Batch) -> Result<(), StoreError> {
        let number = self.commits + 1;
        let database = match self.database.take() {
            Some(database) => database,
            None => {
                let (database, header) = open_database::<T>(&self.directory.database(), batch.moment())?;
                if header.commits == number {
                    // The attempt that failed had gone through.
                    self.committed(database, number);
                    return Ok(());
                }
                if header.commits != self.commits {
                    return Err(StoreError::GoneBack { found: header.commits, witnessed: self.commits });
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
        self.witness.note(number);
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

/// Opens a database that exists, checks all of it, and reads whose it is.
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

/// Begins a transaction that is durable when it is committed, and leaves the file whole at every moment.
fn begin(database: &Database) -> Result<WriteTransaction, StoreError> {
    let mut transaction = database.begin_write()?;
    transaction.set_two_phase_commit(true);
    Ok(transaction)
}
