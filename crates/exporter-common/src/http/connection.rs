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

use super::rejection::Rejection;
use crate::metrics::max_open_files;

/// How much of the server a client may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Open connections. At the bound, the one that has waited longest for its client is closed.
    pub connections: usize,
    /// Scrapes that run, or whose answers are not sent yet, at the same time; one client may have a quarter of them.
    pub in_flight: usize,
    /// Bytes of answers to scrapes that are not sent yet; one client may have a quarter of them.
    pub unsent_bytes: usize,
    /// Requests that may be open on one HTTP/2 connection.
    pub streams: u32,
    /// Bytes of a request's head.
    pub head_bytes: usize,
    /// Bytes of requests' bodies that arrive or are being processed at the same time.
    pub body_bytes: usize,
    /// From the end of a request's head to the end of its body.
    pub body_time: Duration,
    /// From the first byte of a request (or from the connection's start, with its TLS handshake) to the end of its
    /// head.
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
            in_flight: 1_024,
            unsent_bytes: 128 * 1024 * 1024,
            streams: 16,
            head_bytes: 16 * 1024,
            body_bytes: 64 * 1024 * 1024,
            body_time: Duration::from_secs(30),
            head_time: Duration::from_secs(10),
            // Longer than any usual scrape interval, so that Prometheus keeps its connection.
            idle_time: Duration::from_secs(300),
            stall_time: Duration::from_secs(30),
        }
    }
}

/// The most descriptors that are left to the exporter itself: its log, its files and its own connections.
const OWN_DESCRIPTORS: u64 = 64;

impl Limits {
    /// The defaults, with no more connections than this process may have descriptors for. A connection that cannot be
    /// accepted for want of one would wait as long as idle ones please.
    pub fn of_process() -> Self {
        let limits = Self::default();
        let bound = max_open_files().map_or(usize::MAX, connections_within);
        Self { connections: limits.connections.min(bound), ..limits }
    }
}

/// The connections for which a number of descriptors is enough. Where these are few, half of them are the exporter's.
fn connections_within(descriptors: u64) -> usize {
    let own = OWN_DESCRIPTORS.min(descriptors / 2);
    usize::try_from(descriptors - own).unwrap_or(usize::MAX).max(1)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// A request is expected or arriving.
    Head,
    /// Requests are being answered.
    Answer,
    /// The last request was answered.
    Idle,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    since: Instant,
    /// Requests whose answer is not there yet, and answers that are not wholly handed over.
    asked: usize,
    sending: usize,
    /// Since when the socket takes no more of an answer.
    stalled: Option<Instant>,
    /// Bytes that arrive need not be a request's: HTTP/2 has frames of its own.
    is_framed: bool,
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
        let state = State {
            phase: Phase::Head,
            since: Instant::now(),
            asked: 0,
            sending: 0,
            stalled: None,
            is_framed: false,
        };
        Arc::new(Self { state: Mutex::new(state), changed: Notify::new(), evicted: Notify::new() })
    }

    /// Since when the connection waits for its client; `None` while the client waits for us.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        let state = self.state();
        match state.phase {
            Phase::Head | Phase::Idle => Some(state.since),
            Phase::Answer => state.stalled.or(state.unread_since()),
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

    /// The connection speaks HTTP/2.
    pub(super) fn framed(&self) {
        self.state().is_framed = true;
    }

    /// A request's head is complete.
    pub(super) fn asked(self: &Arc<Self>) -> Exchange {
        self.change(|state| {
            state.phase = Phase::Answer;
            state.asked += 1;
        });
        Exchange { watch: self.clone(), is_answered: false }
    }

    /// Completes when the connection has to end: evicted, or over one of its limits.
    pub(super) async fn over(&self, limits: &Limits) -> Rejection {
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
                () = self.evicted.notified() => return Rejection::Connections,
                () = changed => {}
                () = overdue => return reason,
            }
        }
    }

    fn deadline(&self, limits: &Limits) -> (Option<Instant>, Rejection) {
        let state = self.state();
        if let Some(stalled) = state.stalled {
            return (Some(stalled + limits.stall_time), Rejection::StallTime);
        }
        match state.phase {
            Phase::Head => (Some(state.since + limits.head_time), Rejection::HeadTime),
            Phase::Idle => (Some(state.since + limits.idle_time), Rejection::IdleTime),
            Phase::Answer => {
                (state.unread_since().map(|since| since + limits.stall_time), Rejection::StallTime)
            }
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        {
            let mut state = self.state();
            change(&mut state);
            state.since = Instant::now();
        }
        self.changed.notify_one();
    }

    fn bytes_arrived(&self) {
        let begins_request = {
            let state = self.state();
            state.phase == Phase::Idle && !state.is_framed
        };
        if begins_request {
            self.change(|state| state.phase = Phase::Head);
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

impl State {
    /// Since when all that is left to do is the client's: to read its answers.
    fn unread_since(&self) -> Option<Instant> {
        (self.asked == 0 && self.sending > 0).then_some(self.since)
    }

    fn settle(&mut self) {
        if self.asked == 0 && self.sending == 0 {
            self.phase = Phase::Idle;
        }
    }
}

/// One request and its answer. It ends when it is dropped, whether it was answered or given up.
#[derive(Debug)]
pub(super) struct Exchange {
    watch: Arc<Watch>,
    is_answered: bool,
}

impl Exchange {
    /// The answer is there.
    pub(super) fn answered(&mut self) {
        self.is_answered = true;
        self.watch.change(|state| {
            state.asked -= 1;
            state.sending += 1;
        });
    }

    /// A part of the answer was taken.
    pub(super) fn progressed(&self) {
        self.watch.change(|_| {});
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.watch.change(|state| {
            if self.is_answered {
                state.sending -= 1;
            } else {
                state.asked -= 1;
            }
            state.settle();
        });
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_to_the_exporter() {
        for (descriptors, connections) in
            [(0, 1), (1, 1), (64, 32), (128, 64), (256, 192), (1_024, 960), (1 << 20, (1 << 20) - 64)]
        {
            assert_eq!(connections_within(descriptors), connections, "{descriptors}");
        }
        assert!(Limits::of_process().connections <= Limits::default().connections);
    }
}
