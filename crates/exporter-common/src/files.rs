//! Reads files with a limit on time and size, because a read can block (hung NFS mount).

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::config::format_duration;

/// The content of a file, which may be a secret.
type Content = Zeroizing<Vec<u8>>;

/// Reads a file of at most `max_size` bytes within `limit`. Blocks the calling thread, so it is for the start of a
/// process only; use [`Reader`] later.
///
/// # Errors
/// The file cannot be read, is larger, or is not read in time ([`ErrorKind::TimedOut`]).
pub fn read(path: &Path, max_size: u64, limit: Duration) -> io::Result<Content> {
    let (sender, receiver) = sync_channel(1);
    let path = path.to_owned();
    // A read that blocks keeps its thread, which cannot be stopped.
    thread::Builder::new().spawn(move || sender.send(read_whole(&path, max_size)))?;
    match receiver.recv_timeout(limit) {
        Ok(result) => result,
        Err(RecvTimeoutError::Timeout) => Err(timed_out(limit)),
        Err(RecvTimeoutError::Disconnected) => Err(io::Error::other("the read ended by a defect")),
    }
}

/// Reads files on another thread than the one that serves requests, one at a time. While a read blocks, no second one
/// starts, so that a hung mount costs only one thread.
#[derive(Debug, Default)]
pub struct Reader {
    running: Mutex<Option<JoinHandle<io::Result<Content>>>>,
}

impl Reader {
    /// Reads a file of at most `max_size` bytes within `limit`.
    ///
    /// # Errors
    /// The file cannot be read, is larger, or is not read in time ([`ErrorKind::TimedOut`]).
    pub async fn read(&self, path: PathBuf, max_size: u64, limit: Duration) -> io::Result<Content> {
        let read = async {
            let mut running = self.running.lock().await;
            // The result of an earlier read is not used, because the file may have changed since.
            if let Some(earlier) = running.as_mut() {
                let _ = earlier.await;
            }
            let task = running.insert(spawn_blocking(move || read_whole(&path, max_size)));
            let result = task.await;
            *running = None;
            result.unwrap_or_else(|error| Err(io::Error::other(error)))
        };
        timeout(limit, read).await.unwrap_or_else(|_| Err(timed_out(limit)))
    }
}

fn read_whole(path: &Path, max_size: u64) -> io::Result<Content> {
    let mut content = Content::default();
    File::open(path)?.take(max_size.saturating_add(1)).read_to_end(&mut content)?;
    if u64::try_from(content.len()).is_ok_and(|length| length > max_size) {
        let problem = format!("the file is larger than {max_size} bytes");
        return Err(io::Error::new(ErrorKind::FileTooLarge, problem));
    }
    Ok(content)
}

fn timed_out(limit: Duration) -> io::Error {
    let limit = format_duration(limit);
    io::Error::new(ErrorKind::TimedOut, format!("not read within {limit}, the volume may hang"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(50);

    /// Creates a named pipe without a writer: opening it blocks.
    fn blocking_file(folder: &Path) -> PathBuf {
        let path = folder.join("hangs");
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        path
    }

    #[test]
    fn limits_size_and_time_of_a_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "12345").unwrap();
        assert_eq!(*read(&path, 5, LONG).unwrap(), b"12345");
        assert_eq!(read(&path, 4, LONG).unwrap_err().kind(), ErrorKind::FileTooLarge);
        assert_eq!(read(Path::new("/dev/zero"), 100, LONG).unwrap_err().kind(), ErrorKind::FileTooLarge);
        assert_eq!(read(&folder.path().join("none"), 5, LONG).unwrap_err().kind(), ErrorKind::NotFound);
        let error = read(&blocking_file(folder.path()), 5, SHORT).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!(error.to_string(), "not read within 50ms, the volume may hang");
    }

    #[tokio::test]
    async fn starts_no_second_read_while_one_blocks() {
        let folder = tempfile::tempdir().unwrap();
        let path = blocking_file(folder.path());
        let reader = Reader::default();
        for _ in 0..3 {
            let error = reader.read(path.clone(), 100, SHORT).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut);
        }
        // The blocked read gets the old content. A second blocked read would get the new content instead of the last one.
        let writer = thread::spawn({
            let path = path.clone();
            move || {
                std::fs::write(&path, "old").unwrap();
                std::fs::remove_file(&path).unwrap();
                std::fs::write(&path, "new").unwrap();
            }
        });
        writer.join().unwrap();
        assert_eq!(*reader.read(path, 100, LONG).await.unwrap(), b"new");
    }
}
