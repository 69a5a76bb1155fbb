//! The log writer: a bounded queue of lines and the one thread that writes them.
//!
//! Logging only puts a line into the queue, so that a pipe that nobody reads, or a file on a volume that hangs,
//! never blocks the thread that serves requests. Lines that do not fit are dropped and counted.
//!
//! `tracing-appender` has a writer of this kind too. It bounds its queue by lines only, gives up on everything in the
//! queue if the queue is full at exit, and reports that with a blocking `println!`.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Lines that may wait to be written, and their bytes.
const MAX_LINES: usize = 1_024;
const MAX_BYTES: usize = 1024 * 1024;

/// The pause before a descriptor that was made non-blocking by somebody else is tried again.
const RETRY: Duration = Duration::from_millis(10);

/// A handle to the queue.
#[derive(Debug, Clone)]
pub(super) struct LogWriter(Arc<Queue>);

#[derive(Debug, Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Whether a line was taken out and is not written yet.
    writing: bool,
    dropped: u64,
    /// How many of the dropped lines were reported in the log.
    reported: u64,
}

impl LogWriter {
    /// A writer on a descriptor of its own for standard error. With the standard library's handle the thread would
    /// hold a lock while it is blocked, and everyone else who writes there would wait for it.
    ///
    /// # Errors
    /// There is no descriptor or no thread left.
    pub(super) fn to_stderr() -> io::Result<Self> {
        Self::start(File::from(io::stderr().as_fd().try_clone_to_owned()?))
    }

    fn start(sink: impl Write + Send + 'static) -> io::Result<Self> {
        let writer = Self(Arc::default());
        let queue = writer.clone();
        thread::Builder::new().name("log-writer".to_owned()).spawn(move || queue.write(sink))?;
        Ok(writer)
    }

    /// Adds a line. One that does not fit is dropped.
    pub(super) fn push(&self, line: Vec<u8>) {
        let mut state = self.state();
        if state.lines.len() >= MAX_LINES || state.bytes + line.len() > MAX_BYTES {
            state.dropped += 1;
        } else {
            self.enqueue(state, line);
        }
    }

    /// Adds the last line of a process, for which there is always room.
    pub(super) fn push_last(&self, line: Vec<u8>) {
        self.enqueue(self.state(), line);
    }

    fn enqueue(&self, mut state: MutexGuard<'_, State>, line: Vec<u8>) {
        state.bytes += line.len();
        state.lines.push_back(line);
        self.0.changed.notify_all();
    }

    /// Waits until everything is written, at most for `bound`. Whether it was.
    pub(super) fn flush(&self, bound: Duration) -> bool {
        let is_behind = |state: &mut State| state.writing || !state.lines.is_empty();
        let waited = self.0.changed.wait_timeout_while(self.state(), bound, is_behind);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// The number of lines that were dropped so far.
    pub(super) fn dropped(&self) -> u64 {
        self.state().dropped
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic happens under the lock.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, mut sink: impl Write) {
        loop {
            let line = self.next();
            let result = write_all(&mut sink, &line);
            let mut state = self.state();
            state.writing = false;
            if result.is_err() {
                state.dropped += 1;
            }
            self.0.changed.notify_all();
            let unreported = state.dropped - state.reported;
            if unreported > 0 && result.is_ok() {
                state.reported = state.dropped;
                drop(state);
                tracing::warn!(
                    lines = unreported,
                    "log lines were dropped because they were not read in time"
                );
            }
        }
    }

    fn next(&self) -> Vec<u8> {
        let mut state = self.state();
        loop {
            if let Some(line) = state.lines.pop_front() {
                state.bytes -= line.len();
                state.writing = true;
                return line;
            }
            state = self.0.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Like [`Write::write_all`], also on a descriptor that is non-blocking: that property is shared with every process
/// that has the same terminal or pipe.
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

    /// A pipe without a buffer: a write waits until the reader takes it.
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
    fn what_is_read_arrives_in_order_and_whole() {
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
    fn lines_that_do_not_fit_are_dropped_and_counted() {
        let (writer, reader) = pipe();
        for _ in 0..MAX_LINES + 10 {
            writer.push(b"line\n".to_vec());
        }
        // The thread holds one line beside the queue, if it has come to it.
        assert!((9..=10).contains(&writer.dropped()), "{}", writer.dropped());
        assert!(!writer.flush(Duration::from_millis(1)));
        let dropped = writer.dropped();
        writer.push_last(b"the end\n".to_vec());
        assert_eq!(writer.dropped(), dropped);
        let last = reader.iter().take(MAX_LINES + 10 - usize::try_from(dropped).unwrap() + 1).last();
        assert_eq!(last.unwrap(), b"the end\n");
        assert!(writer.flush(Duration::from_secs(60)));
    }

    #[test]
    fn the_queue_is_bounded_in_bytes_too() {
        let (writer, _reader) = pipe();
        for _ in 0..10 {
            writer.push(vec![b'x'; MAX_BYTES / 4]);
        }
        assert!((5..=6).contains(&writer.dropped()), "{}", writer.dropped());
    }

    #[test]
    fn a_reader_that_is_gone_costs_the_line_only() {
        let (writer, reader) = pipe();
        drop(reader);
        writer.push(b"one\n".to_vec());
        assert!(writer.flush(Duration::from_secs(60)));
        writer.push(b"two\n".to_vec());
        assert!(writer.flush(Duration::from_secs(60)));
        assert_eq!(writer.dropped(), 2);
    }

    #[test]
    fn a_non_blocking_descriptor_is_tried_again() {
        struct Reluctant(Vec<ErrorKind>, Vec<u8>);
        impl Write for Reluctant {
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
        let mut sink = Reluctant(vec![ErrorKind::Interrupted, ErrorKind::WouldBlock], Vec::new());
        write_all(&mut sink, b"whole").unwrap();
        assert_eq!(sink.1, b"whole");
    }
}
