//! One connection: what it is doing, since when, and how long it may go on.
//!
//! The watch is on the socket itself, so that a client which sends its request a byte a minute, or never reads
//! its answer, is noticed like one that is silent.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// How much of the server a client may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Open connections. At the bound, the one that has waited longest for its client is closed.
    pub connections: usize,
    /// Bytes of a request's head.
    pub head_bytes: usize,
    /// From the first byte of a request (or from the connection's start) to the end of its head.
    pub head_time: Duration,
    /// Between an answer and the next request on the same connection.
    pub idle_time: Duration,
    /// How long an answer may wait for a client that does not read.
    pub stall_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            head_bytes: 16 * 1024,
            head_time: Duration::from_secs(10),
            // Longer than any usual scrape interval, so that Prometheus keeps its connection.
            idle_time: Duration::from_secs(300),
            stall_time: Duration::from_secs(30),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// A request is expected or arriving.
    Head,
    /// A request is being answered.
    Answer,
    /// The last request was answered.
    Idle,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    since: Instant,
    /// Since when the socket takes no more of an answer.
    stalled: Option<Instant>,
}

/// The watch over one connection, shared by its socket, its requests and the server.
#[derive(Debug)]
pub(super) struct Watch {
    state: Mutex<State>,
    changed: Notify,
    evicted: Notify,
}

impl Watch {
    pub(super) fn new() -> Arc<Self> {
        let state = State { phase: Phase::Head, since: Instant::now(), stalled: None };
        Arc::new(Self { state: Mutex::new(state), changed: Notify::new(), evicted: Notify::new() })
    }

    /// Since when the connection waits for its client; `None` while the client waits for us.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        let state = self.state();
        match state.phase {
            Phase::Head | Phase::Idle => Some(state.since),
            Phase::Answer => state.stalled,
        }
    }

    /// Whether a request's head is expected or arriving.
    pub(super) fn expects_head(&self) -> bool {
        self.state().phase == Phase::Head
    }

    /// Asks the connection to end at once.
    pub(super) fn evict(&self) {
        self.evicted.notify_one();
    }

    /// A request's head is complete.
    pub(super) fn answering(&self) {
        self.enter(Phase::Answer);
    }

    /// The whole answer was handed to the connection.
    pub(super) fn answered(&self) {
        self.enter(Phase::Idle);
    }

    /// Completes when the connection has to end: evicted, or over one of its limits.
    pub(super) async fn over(&self, limits: &Limits) -> &'static str {
        loop {
            let changed = self.changed.notified();
            let (deadline, reason) = self.deadline(limits);
            let overdue = async {
                match deadline {
                    Some(deadline) => sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.evicted.notified() => return "made room for another connection",
                () = changed => {}
                () = overdue => return reason,
            }
        }
    }

    fn deadline(&self, limits: &Limits) -> (Option<Instant>, &'static str) {
        let state = self.state();
        if let Some(stalled) = state.stalled {
            return (Some(stalled + limits.stall_time), "client does not read its answer");
        }
        match state.phase {
            Phase::Head => (Some(state.since + limits.head_time), "request head took too long"),
            Phase::Idle => (Some(state.since + limits.idle_time), "idle"),
            Phase::Answer => (None, ""),
        }
    }

    fn enter(&self, phase: Phase) {
        {
            let mut state = self.state();
            state.phase = phase;
            state.since = Instant::now();
        }
        self.changed.notify_one();
    }

    fn bytes_arrived(&self) {
        if self.state().phase == Phase::Idle {
            self.enter(Phase::Head);
        }
    }

    fn wrote(&self, pending: bool) {
        let mut state = self.state();
        if pending == state.stalled.is_some() {
            return;
        }
        state.stalled = pending.then(Instant::now);
        drop(state);
        self.changed.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every critical section is a few assignments that cannot panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A socket that reports to its watch.
pub(super) struct Watched<S> {
    stream: S,
    watch: Arc<Watch>,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, watch: Arc<Watch>) -> Self {
        Self { stream, watch }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.watch.bytes_arrived();
        }
        poll
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch.wrote(poll.is_pending());
        poll
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.watch.wrote(poll.is_pending());
        poll
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
