//! The web configuration on disk: read, and read again when it or a file that it names changes.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use ring::digest::{Digest, SHA256, digest};
use zeroize::Zeroizing;

/// For this long, in seconds, after a file changed it may change again without its times showing it: clocks of file
/// systems are coarse.
const SETTLING: u64 = 2;

/// What tells one state of a file from another without reading it. Symbolic links are followed, so that a
/// Kubernetes volume, which swaps one, is seen to change.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let data = fs::metadata(path).ok()?;
        Some(Self {
            device: data.dev(),
            inode: data.ino(),
            size: data.size(),
            modified: (data.mtime(), data.mtime_nsec()),
            changed: (data.ctime(), data.ctime_nsec()),
        })
    }
}

/// The files that a reading came from, and what was in them.
#[derive(Debug)]
pub(super) struct Reading {
    folder: PathBuf,
    files: Vec<File>,
}

#[derive(Debug)]
struct File {
    path: PathBuf,
    stamp: Option<Stamp>,
    /// Of the contents, or of why there are none.
    digest: Digest,
}

impl Reading {
    /// A reading of nothing yet; relative names are relative to the folder of the web configuration.
    pub(super) fn relative_to(config: &Path) -> Self {
        Self { folder: config.parent().unwrap_or(Path::new("")).to_owned(), files: Vec::new() }
    }

    /// Reads a file that is named in the web configuration.
    pub(super) fn named(&mut self, path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
        let path = self.folder.join(path);
        self.read(path)
    }

    /// Reads a file. Its stamp is taken first, so that a change meanwhile is noticed later.
    pub(super) fn read(&mut self, path: PathBuf) -> io::Result<Zeroizing<Vec<u8>>> {
        let stamp = Stamp::of(&path);
        let bytes = fs::read(&path).map(Zeroizing::new);
        let digest = match &bytes {
            Ok(bytes) => digest(&SHA256, bytes),
            Err(error) => digest(&SHA256, error.to_string().as_bytes()),
        };
        self.files.push(File { path, stamp, digest });
        bytes
    }

    /// Whether the files are as they were, as far as that can be told without reading them.
    pub(super) fn is_current(&self) -> bool {
        let now = now();
        let is_settled = |stamp: &Stamp| now.abs_diff(stamp.changed.0) > SETTLING;
        self.files
            .iter()
            .all(|file| file.stamp.as_ref().is_none_or(is_settled) && Stamp::of(&file.path) == file.stamp)
    }

    /// Whether another reading found the same.
    pub(super) fn found(&self, other: &Self) -> bool {
        let is_same = |(one, other): (&File, &File)| {
            one.path == other.path && one.digest.as_ref() == other.digest.as_ref()
        };
        self.files.len() == other.files.len() && self.files.iter().zip(&other.files).all(is_same)
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
