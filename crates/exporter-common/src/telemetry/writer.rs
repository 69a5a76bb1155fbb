//! The log writer: a bounded queue of lines and the thread that writes them.
//!
//! Logging only adds a line to the queue, so that a pipe that nobody reads, or a write that blocks (hung NFS mount),
//! never blocks the thread that serves requests. If the queue is full, lines are dropped and counted.
//!
//! `tracing-appender` has a similar writer. It limits its queue by lines only, drops the whole queue if it is full at
//! exit, and reports that with a blocking `println!`.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// The maximum number of queued lines, and of their bytes.
const MAX_LINES: usize = 1_024;
const MAX_BYTES: usize = 1024 * 1024;

/// The pause before another write to a descriptor that another process made non-blocking.
const RETRY: Duration = Duration::from_millis(10);

/// A handle of the log writer.
#[derive(Debug, Clone)]
pub(super) struct LogWriter(Arc<SharedQueue>);

#[derive(Debug, Default)]
struct SharedQueue {
    queue: Mutex<LineQueue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct LineQueue {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Whether a line was removed and is not written yet.
    writing: bool,
    dropped: u64,
    /// How many of the dropped lines were reported in the log.
    reported: u64,
}

impl LogWriter {
    /// Starts a writer with a separate descriptor for standard error. With the standard library's handle the thread would
    /// hold a lock while it is blocked, and other threads that write to standard error would wait for the lock.
    ///
    /// # Errors
    /// The process cannot have another descriptor or thread.
    pub(super) fn to_stderr() -> io::Result<Self> {
        Self::start(File::from(io::stderr().as_fd().try_clone_to_owned()?))
    }

    fn start(sink: impl Write + Send + 'static) -> io::Result<Self> {
        let writer = Self(Arc::default());
        let handle = writer.clone();
        thread::Builder::new().name("log-writer".to_owned()).spawn(move || handle.write_lines(sink))?;
        Ok(writer)
    }

    /// Adds a line. Drops it if the queue is full.
    pub(super) fn push(&self, line: Vec<u8>) {
        let mut queue = self.queue();
        if queue.lines.len() >= MAX_LINES || queue.bytes + line.len() > MAX_BYTES {
            queue.dropped += 1;
        } else {
            self.enqueue(queue, line);
        }
    }

    /// Adds the last line of a process, even if the queue is full.
    pub(super) fn push_last(&self, line: Vec<u8>) {
        self.enqueue(self.queue(), line);
    }

    fn enqueue(&self, mut queue: MutexGuard<'_, LineQueue>, line: Vec<u8>) {
        queue.bytes += line.len();
        queue.lines.push_back(line);
        self.0.changed.notify_all();
    }

    /// Waits until all lines are written, at most for `timeout`. Returns whether they are.
    pub(super) fn flush(&self, timeout: Duration) -> bool {
        let has_lines = |queue: &mut LineQueue| queue.writing || !queue.lines.is_empty();
        let waited = self.0.changed.wait_timeout_while(self.queue(), timeout, has_lines);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Returns the number of dropped lines.
    pub(super) fn dropped(&self) -> u64 {
        self.queue().dropped
    }

    fn queue(&self) -> MutexGuard<'_, LineQueue> {
        // No code that can panic runs under the lock.
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_lines(&self, mut sink: impl Write) {
        loop {
            let line = self.next();
            let result = write_all(&mut sink, &line);
            let mut queue = self.queue();
            queue.writing = false;
            if result.is_err() {
                queue.dropped += 1;
            }
            self.0.changed.notify_all();
            let unreported = queue.dropped - queue.reported;
            if unreported > 0 && result.is_ok() {
                queue.reported = queue.dropped;
                drop(queue);
                tracing::warn!(
                    lines = unreported,
                    "log lines were dropped because they were not read in time"
                );
            }
        }
    }

    fn next(&self) -> Vec<u8> {
        let mut queue = self.queue();
        loop {
            if let Some(line) = queue.lines.pop_front() {
                queue.bytes -= line.len();
                queue.writing = true;
                return line;
            }
            queue = self.0.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Like [`Write::write_all`], but also works with a non-blocking descriptor. Any process with the same terminal or pipe
/// can make it non-blocking.
fn write_all(sink: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match sink.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(RETRY),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use super::*;

    /// A pipe without a buffer: a write blocks until the reader takes it.
    struct Pipe(SyncSender<Vec<u8>>);

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(|_| ErrorKind::BrokenPipe)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn pipe() -> (LogWriter, Receiver<Vec<u8>>) {
        let (sender, reader) = sync_channel(0);
        (LogWriter::start(Pipe(sender)).unwrap(), reader)
    }

    #[test]
    fn writes_lines_in_order() {
        let (writer, reader) = pipe();
        for number in 0..100 {
            writer.push(format!("{number}\n").into());
        }
        for number in 0..100 {
            assert_eq!(reader.recv().unwrap(), format!("{number}\n").into_bytes());
        }
        assert!(writer.flush(Duration::from_secs(60)));
        assert_eq!(writer.dropped(), 0);
    }

    #[test]
    fn drops_and_counts_lines_if_the_queue_is_full() {
        let (writer, reader) = pipe();
        for _ in 0..MAX_LINES + 10 {
            writer.push(b"line\n".to_vec());
        }
        // The thread may have removed one line from the queue.
        assert!((9..=10).contains(&writer.dropped()), "{}", writer.dropped());
        assert!(!writer.flush(Duration::from_millis(1)));
        let dropped = writer.dropped();
        writer.push_last(b"last\n".to_vec());
        assert_eq!(writer.dropped(), dropped);
        let last = reader.iter().take(MAX_LINES + 10 - usize::try_from(dropped).unwrap() + 1).last();
        assert_eq!(last.unwrap(), b"last\n");
        assert!(writer.flush(Duration::from_secs(60)));
    }

    #[test]
    fn limits_the_bytes_of_the_queue() {
        let (writer, _reader) = pipe();
        for _ in 0..10 {
            writer.push(vec![b'x'; MAX_BYTES / 4]);
        }
        assert!((5..=6).contains(&writer.dropped()), "{}", writer.dropped());
    }

    #[test]
    fn drops_lines_if_the_pipe_is_closed() {
        let (writer, reader) = pipe();
        drop(reader);
        writer.push(b"one\n".to_vec());
        assert!(writer.flush(Duration::from_secs(60)));
        writer.push(b"two\n".to_vec());
        assert!(writer.flush(Duration::from_secs(60)));
        assert_eq!(writer.dropped(), 2);
    }

    #[test]
    fn retries_writes_to_a_non_blocking_descriptor() {
        struct NonBlocking(Vec<ErrorKind>, Vec<u8>);
        impl Write for NonBlocking {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                match self.0.pop() {
                    Some(kind) => Err(kind.into()),
                    None => {
                        self.1.push(bytes[0]);
                        Ok(1)
                    }
                }
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut sink = NonBlocking(vec![ErrorKind::Interrupted, ErrorKind::WouldBlock], Vec::new());
        write_all(&mut sink, b"whole").unwrap();
        assert_eq!(sink.1, b"whole");
    }
}
