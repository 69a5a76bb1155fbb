//! Durable state: a file that holds what is known and counted, so that a crash changes neither.
//!
//! The file is a [redb](https://docs.rs/redb) database: a copy-on-write B-tree in pure Rust with a checksum on every
//! page, of which a commit replaces the root. Every commit is in two phases, so the root that the file names is
//! always a whole one, and the file is checked from end to end when it is opened: what was altered since is found out
//! instead of believed. A file that fails is set aside, and the state begins anew.
//!
//! Commits are numbered. When one fails, nobody knows whether it took effect; the number, read from the file that is
//! opened again, tells. The last number is also kept beside the database, which gives away a file that has gone back
//! to an earlier commit.
//!
//! Moments are written down in a time that stands still while the exporter is down: an event from before a crash is
//! recognised when it comes again, however long the exporter was away.

use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Instant;

use exporter_common::durable::directory::{self, DATABASE};
use exporter_common::durable::{Clock, Witness};
pub use exporter_common::durable::{OpenError, StoreError};
use redb::{Database, ReadableDatabase};

use super::tables::{self, Identity};
use crate::attribution::{Attribution, Changes, Record, Settings};
use crate::event::Reasons;
use crate::ledger::Ledger;

/// What the database keeps of its pages in memory, in bytes. The file is written far more than it is read.
const CACHE: usize = 4 * 1024 * 1024;

/// One commit's worth.
#[derive(Debug)]
pub struct Batch {
    /// What is to be counted.
    pub ledger: Ledger,
    /// What has become different.
    pub changes: Changes,
    /// The moment of the attempt to write it.
    pub now: Instant,
}

impl Batch {
    /// Another attempt to write it is made: the windows of ids begin now, and not when the first one failed.
    pub fn renew(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.now);
        let Changes { interruptions, creations, .. } = &mut self.changes;
        for entry in interruptions.added.iter_mut().chain(&mut creations.added) {
            entry.end += passed;
        }
        self.now = now;
    }
}

/// Where batches are written down.
pub trait Commit: Send + 'static {
    /// Writes a batch down. When this returns, it is safe.
    ///
    /// # Errors
    /// It may be safe or not, and is to be passed again until this succeeds; it is not counted twice.
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError>;

    /// The size of what is written down, in bytes.
    fn size(&self) -> u64;
}

impl Commit for Store {
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        Self::commit(self, batch)
    }

    fn size(&self) -> u64 {
        Self::size(self)
    }
}

/// What was opened.
#[derive(Debug)]
pub struct Opened<T> {
    /// Where it goes on.
    pub store: Store,
    /// What was known.
    pub attribution: Attribution<T>,
    /// What was counted.
    pub ledger: Ledger,
}

/// An open state directory.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    /// Locked for as long as the store lives, while the database may be closed and opened again.
    _lock: File,
    /// `None` after an error, until it is opened again.
    database: Option<Database>,
    witness: Witness,
    reasons: Reasons,
    commits: u64,
    clock: Clock,
}

impl Store {
    /// Opens a directory, or makes it, and reads what it holds. Reasons that are counted there and not configured
    /// any more are added to `reasons`.
    ///
    /// # Errors
    /// The directory cannot be used. A file in it that cannot be believed is no error: it is set aside, and logged.
    pub fn open<T>(
        directory: &Path,
        settings: Settings,
        reasons: &mut Reasons,
        now: Instant,
    ) -> Result<Opened<T>, OpenError> {
        let refused = |reason| OpenError::Directory { path: directory.to_owned(), reason };
        let lock = directory::lock(directory)?;
        let witness = Witness::open(directory).map_err(refused)?;
        let path = directory.join(DATABASE);
        let read = |reasons: &mut Reasons| {
            let (database, identity) = open_database(&path, now)?;
            if identity.project != settings.project {
                return Ok((database, identity, None));
            }
            witness.check(identity.commits)?;
            let (record, ledger) = tables::read(&database.begin_read()?, &identity, reasons)?;
            let attribution = Attribution::restore(settings.clone(), record, now)
                .map_err(|error| StoreError::Record(error.to_string()))?;
            Ok((database, identity, Some((attribution, ledger))))
        };
        if path.try_exists().map_err(refused)? {
            // What a failed attempt has learned is forgotten with it.
            let mut extended = reasons.clone();
            // The database's code promises to report what is wrong with a file; should it panic instead, the file
            // is to blame all the same.
            let read = catch_unwind(AssertUnwindSafe(|| read(&mut extended)));
            match read.unwrap_or(Err(StoreError::Panicked)).map_err(StoreError::into_io) {
                Ok((database, identity, Some((attribution, ledger)))) => {
                    *reasons = extended;
                    let store = Self::with(directory, lock, database, witness, reasons.clone(), &identity);
                    return Ok(Opened { store, attribution, ledger });
                }
                Ok((_, Identity { project, .. }, None)) => {
                    return Err(OpenError::OtherProject { path: directory.to_owned(), project });
                }
                Err(Ok(error)) => return Err(refused(error)),
                Err(Err(reason)) => directory::set_aside(directory, &reason).map_err(refused)?,
            }
        }
        witness.note(0);
        let identity = Identity::new(&settings.project, now);
        let created = create_database(&path, &identity).map_err(|error| {
            refused(error.into_io().unwrap_or_else(|error| io::Error::other(error.to_string())))
        })?;
        // Only now is it certain that a power failure leaves the files of that name.
        directory::sync(directory).map_err(refused)?;
        let store = Self::with(directory, lock, created, witness, reasons.clone(), &identity);
        let attribution = Attribution::restore(settings, Record::empty(identity.key), now);
        let attribution = attribution.map_err(|error| refused(io::Error::other(error)))?;
        Ok(Opened { store, attribution, ledger: Ledger::default() })
    }

    fn with(
        directory: &Path,
        lock: File,
        database: Database,
        witness: Witness,
        reasons: Reasons,
        identity: &Identity,
    ) -> Self {
        Self {
            path: directory.join(DATABASE),
            _lock: lock,
            database: Some(database),
            witness,
            reasons,
            commits: identity.commits,
            clock: identity.clock,
        }
    }

    /// Writes a batch down. When this returns, it is safe.
    ///
    /// # Errors
    /// It may be safe or not, and is to be passed again until this succeeds; it is not counted twice.
    pub fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        catch_unwind(AssertUnwindSafe(|| self.attempt(batch))).unwrap_or(Err(StoreError::Panicked))
    }

    fn attempt(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let number = self.commits + 1;
        let database = match self.database.take() {
            Some(database) => database,
            None => {
                let (database, identity) = open_database(&self.path, batch.now)?;
                if identity.commits == number {
                    // The attempt that failed had gone through.
                    self.committed(database, number);
                    return Ok(());
                }
                if identity.commits != self.commits {
                    return Err(StoreError::GoneBack { found: identity.commits, witnessed: self.commits });
                }
                database
            }
        };
        let transaction = tables::begin(&database)?;
        tables::write(&transaction, batch, number, &self.clock, &self.reasons)?;
        transaction.commit()?;
        self.committed(database, number);
        Ok(())
    }

    /// The size of the database file, in bytes.
    pub fn size(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |metadata| metadata.len())
    }

    fn committed(&mut self, database: Database, number: u64) {
        self.database = Some(database);
        self.commits = number;
        self.witness.note(number);
    }
}

/// Opens a database that exists, checks all of it, and reads whose it is.
fn open_database(path: &Path, now: Instant) -> Result<(Database, Identity), StoreError> {
    let database = Database::builder().set_cache_size(CACHE).set_check_integrity_on_open(true).open(path)?;
    let identity = tables::identity(&database.begin_read()?, now)?;
    Ok((database, identity))
}

fn create_database(path: &Path, identity: &Identity) -> Result<Database, StoreError> {
    let database = Database::builder().set_cache_size(CACHE).create(path)?;
    let transaction = tables::begin(&database)?;
    tables::create(&transaction, identity)?;
    transaction.commit()?;
    Ok(database)
}
