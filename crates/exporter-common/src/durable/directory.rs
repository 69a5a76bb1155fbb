//! The state directory: its lock, and the files in it.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{OpenError, StoreError};

const DATABASE: &str = "state.redb";
const LOCK: &str = "lock";

/// Number of unusable files that are kept, the newest ones.
const KEPT_ASIDE: usize = 3;

/// The state directory. It stays locked until this value is dropped, also while the database is closed and reopened.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    _lock: File,
}

impl Directory {
    /// Locks the directory, and creates it if it does not exist.
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        let refused = |reason| OpenError::Directory { path: path.to_owned(), reason };
        create(path).map_err(refused)?;
        let lock = File::create(path.join(LOCK)).map_err(refused)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse(path.to_owned())),
            Err(TryLockError::Error(error)) => Err(refused(error)),
        }
    }

    /// Returns the path of the database.
    pub(super) fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    /// Waits until the directory's entries are on disk (`fsync`).
    pub(super) fn sync(&self) -> io::Result<()> {
        sync(&self.path)
    }

    /// Renames an unusable database, so that it can be examined later. `consequence` is logged.
    pub(super) fn set_aside(&self, reason: &StoreError, consequence: &str) -> io::Result<()> {
        let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let prefix = format!("{DATABASE}.unusable-");
        let aside = self.path.join(format!("{prefix}{seconds}"));
        fs::rename(self.database(), &aside)?;
        self.sync()?;
        let aside = aside.display();
        tracing::error!(%aside, %reason, "the state cannot be used and is set aside; {consequence}");
        let mut kept: Vec<(u64, PathBuf)> = fs::read_dir(&self.path)?
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let seconds = entry.file_name().to_str()?.strip_prefix(&prefix)?.parse().ok()?;
                Some((seconds, entry.path()))
            })
            .collect();
        kept.sort();
        for (_, path) in kept.iter().rev().skip(KEPT_ASIDE) {
            fs::remove_file(path)?;
        }
        Ok(())
    }
}

/// Creates a directory and its parents, so that they survive a power failure.
fn create(directory: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = directory.ancestors().take_while(|path| !path.exists()).collect();
    fs::create_dir_all(directory)?;
    for made in missing {
        if let Some(parent) = made.parent() {
            sync(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })?;
        }
    }
    Ok(())
}

/// Waits until a directory's entries are on disk. Without this, a power failure could remove the name of a file whose
/// content is already on disk.
fn sync(directory: &Path) -> io::Result<()> {
    match File::open(directory)?.sync_all() {
        // Some file systems do not support `fsync` on directories and do not need it.
        Err(error)
            if error.kind() == io::ErrorKind::InvalidInput || error.kind() == io::ErrorKind::Unsupported =>
        {
            Ok(())
        }
        synced => synced,
    }
}
