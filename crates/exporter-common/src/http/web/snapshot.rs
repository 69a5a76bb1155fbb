//! Reads files and detects later changes of them.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use ring::digest::{Digest, SHA256, digest};
use zeroize::Zeroizing;

/// Seconds after a change of a file in which another change may leave its times as they are, because clocks of file
/// systems are coarse.
const SETTLING: u64 = 2;

/// Metadata that differs when a file has changed. Symbolic links are followed, so that the swap of a link in a
/// Kubernetes volume counts as a change.
#[derive(Debug, PartialEq, Eq)]
struct FileStamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileStamp {
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

/// The web configuration and the files that it names, as they were when they were read.
#[derive(Debug)]
pub(super) struct FileSnapshot {
    folder: PathBuf,
    files: Vec<ReadFile>,
}

#[derive(Debug)]
struct ReadFile {
    path: PathBuf,
    stamp: Option<FileStamp>,
    /// The digest of the content, or of the error if it could not be read.
    digest: Digest,
}

impl FileSnapshot {
    /// Creates a snapshot without files. Relative paths are relative to the folder of the web configuration.
    pub(super) fn relative_to(config: &Path) -> Self {
        Self { folder: config.parent().unwrap_or(Path::new("")).to_owned(), files: Vec::new() }
    }

    /// Reads a file that is named in the web configuration.
    pub(super) fn named(&mut self, path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
        let path = self.folder.join(path);
        self.read(path)
    }

    /// Reads a file. Its stamp is taken first, so that a change during the read is detected later.
    pub(super) fn read(&mut self, path: PathBuf) -> io::Result<Zeroizing<Vec<u8>>> {
        let stamp = FileStamp::of(&path);
        let bytes = fs::read(&path).map(Zeroizing::new);
        let digest = match &bytes {
            Ok(bytes) => digest(&SHA256, bytes),
            Err(error) => digest(&SHA256, error.to_string().as_bytes()),
        };
        self.files.push(ReadFile { path, stamp, digest });
        bytes
    }

    /// Whether the files are unchanged by their metadata.
    pub(super) fn is_unchanged(&self) -> bool {
        let now = now();
        let is_settled = |stamp: &FileStamp| now.abs_diff(stamp.changed.0) > SETTLING;
        self.files
            .iter()
            .all(|file| file.stamp.as_ref().is_none_or(is_settled) && FileStamp::of(&file.path) == file.stamp)
    }

    /// Whether another snapshot has the same files with the same content.
    pub(super) fn has_same_content(&self, other: &Self) -> bool {
        let is_same = |(one, other): (&ReadFile, &ReadFile)| {
            one.path == other.path && one.digest.as_ref() == other.digest.as_ref()
        };
        self.files.len() == other.files.len() && self.files.iter().zip(&other.files).all(is_same)
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
