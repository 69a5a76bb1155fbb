//! Files that may be on a volume that hangs: every read has a bound in time and size.

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

/// What is read may be a secret.
type Content = Zeroizing<Vec<u8>>;

/// Reads a whole file of at most `most` bytes, and waits at most for `bound`. The caller's thread is blocked, so this
/// is for the start of a process; later there is [`Reader`].
///
/// # Errors
/// The file cannot be read, is larger, or is not read in time ([`ErrorKind::TimedOut`]).
pub fn read(path: &Path, most: u64, bound: Duration) -> io::Result<Content> {
    let (sender, receiver) = sync_channel(1);
    let path = path.to_owned();
    // A read that hangs keeps its thread, which nothing can end.
    thread::Builder::new().spawn(move || sender.send(read_whole(&path, most)))?;
    match receiver.recv_timeout(bound) {
        Ok(result) => result,
        Err(RecvTimeoutError::Timeout) => Err(timed_out(bound)),
        Err(RecvTimeoutError::Disconnected) => Err(io::Error::other("the read ended by a defect")),
    }
}

/// Reads files off the thread that serves requests, one at a time: while a read hangs, no second one is begun, so that
/// a volume that stays away costs one thread and no more.
#[derive(Debug, Default)]
pub struct Reader {
    running: Mutex<Option<JoinHandle<io::Result<Content>>>>,
}

impl Reader {
    /// Reads a whole file of at most `most` bytes, and waits at most for `bound`.
    ///
    /// # Errors
    /// The file cannot be read, is larger, or is not read in time ([`ErrorKind::TimedOut`]).
    pub async fn read(&self, path: PathBuf, most: u64, bound: Duration) -> io::Result<Content> {
        let read = async {
            let mut running = self.running.lock().await;
            // What an earlier read brings is from before this one was asked for.
            if let Some(earlier) = running.as_mut() {
                let _ = earlier.await;
            }
            let task = running.insert(spawn_blocking(move || read_whole(&path, most)));
            let result = task.await;
            *running = None;
            result.unwrap_or_else(|error| Err(io::Error::other(error)))
        };
        timeout(bound, read).await.unwrap_or_else(|_| Err(timed_out(bound)))
    }
}

fn read_whole(path: &Path, most: u64) -> io::Result<Content> {
    let mut content = Content::default();
    File::open(path)?.take(most.saturating_add(1)).read_to_end(&mut content)?;
    if u64::try_from(content.len()).is_ok_and(|length| length > most) {
        return Err(io::Error::new(ErrorKind::FileTooLarge, format!("the file is larger than {most} bytes")));
    }
    Ok(content)
}

fn timed_out(bound: Duration) -> io::Error {
    let bound = format_duration(bound);
    io::Error::new(ErrorKind::TimedOut, format!("not read within {bound}, the volume may hang"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(50);

    /// A file that nobody writes into: opening it waits for ever.
    fn hanging(folder: &Path) -> PathBuf {
        let path = folder.join("hangs");
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        path
    }

    #[test]
    fn a_read_is_bounded_in_size_and_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "12345").unwrap();
        assert_eq!(*read(&path, 5, LONG).unwrap(), b"12345");
        assert_eq!(read(&path, 4, LONG).unwrap_err().kind(), ErrorKind::FileTooLarge);
        assert_eq!(read(Path::new("/dev/zero"), 100, LONG).unwrap_err().kind(), ErrorKind::FileTooLarge);
        assert_eq!(read(&folder.path().join("none"), 5, LONG).unwrap_err().kind(), ErrorKind::NotFound);
        let error = read(&hanging(folder.path()), 5, SHORT).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!(error.to_string(), "not read within 50ms, the volume may hang");
    }

    #[tokio::test]
    async fn a_read_that_hangs_is_not_begun_twice_and_recovers() {
        let folder = tempfile::tempdir().unwrap();
        let path = hanging(folder.path());
        let reader = Reader::default();
        for _ in 0..3 {
            let error = reader.read(path.clone(), 100, SHORT).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut);
        }
        // Both the read that hung and the next one find a writer now, and there is no third to take anything.
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
