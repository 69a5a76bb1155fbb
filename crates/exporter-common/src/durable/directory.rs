//! The state directory: its lock, and the files in it.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{OpenError, StoreError};

const DATABASE: &str = "state.redb";
const LOCK: &str = "lock";

/// Files set aside that are kept, the newest ones.
const KEPT_ASIDE: usize = 3;

/// A directory that is locked for as long as this lives, while the database may be closed and opened again.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    _lock: File,
}

impl Directory {
    /// Locks a directory, which is made if there is none.
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

    /// Where the database is.
    pub(super) fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    /// Waits until the names in it are on the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        sync(&self.path)
    }

    /// Moves a database that is not believed out of the way, for people to look at.
    pub(super) fn set_aside(&self, reason: &StoreError, begins_anew: &str) -> io::Result<()> {
        let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let prefix = format!("{DATABASE}.unusable-");
        let aside = self.path.join(format!("{prefix}{seconds}"));
        fs::rename(self.database(), &aside)?;
        self.sync()?;
        let aside = aside.display();
        tracing::error!(%aside, %reason, "the state cannot be used and is set aside; {begins_anew}");
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

/// Makes a directory with those above it, so that it is still there after a power failure.
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

/// Waits until the names in a directory are on the disk: what is written to a file is of no use if the file cannot be
/// found.
fn sync(directory: &Path) -> io::Result<()> {
    match File::open(directory)?.sync_all() {
        // Some file systems know no such thing, and need none.
        Err(error)
            if error.kind() == io::ErrorKind::InvalidInput || error.kind() == io::ErrorKind::Unsupported =>
        {
            Ok(())
        }
        synced => synced,
    }
}
