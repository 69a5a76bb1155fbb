//! The state directory: its lock, and the files in it.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::error::{OpenError, StoreError};

/// The database in it.
pub const DATABASE: &str = "state.redb";
const LOCK: &str = "lock";

/// Files set aside that are kept, the newest ones.
const KEPT_ASIDE: usize = 3;

/// Locks a directory, which is made if there is none, for as long as the file is open.
///
/// # Errors
/// It is in use, or cannot be.
pub fn lock(directory: &Path) -> Result<File, OpenError> {
    let refused = |reason| OpenError::Directory { path: directory.to_owned(), reason };
    create(directory).map_err(refused)?;
    let lock = File::create(directory.join(LOCK)).map_err(refused)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(directory.to_owned())),
        Err(TryLockError::Error(error)) => Err(refused(error)),
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
///
/// # Errors
/// The operating system's.
pub fn sync(directory: &Path) -> io::Result<()> {
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

/// Moves a file that is not believed out of the way, for people to look at.
///
/// # Errors
/// The operating system's.
pub fn set_aside(directory: &Path, reason: &StoreError) -> io::Result<()> {
    let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let aside = directory.join(format!("{DATABASE}.unusable-{seconds}"));
    fs::rename(directory.join(DATABASE), &aside)?;
    sync(directory)?;
    tracing::error!(
        aside = %aside.display(),
        %reason,
        "the state cannot be used and is set aside; counting begins anew, and what was known is listed again"
    );
    let prefix = format!("{DATABASE}.unusable-");
    let mut kept: Vec<(u64, PathBuf)> = fs::read_dir(directory)?
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
