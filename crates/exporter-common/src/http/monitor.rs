//! Monitors one connection: what it is doing, since when, and which limit applies.
//!
//! The socket itself reports reads and writes. So a client that sends its request one byte a minute, or never reads its
//! response, is detected like a silent one.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::limits::Limits;
use super::rejection::Rejection;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// A request head is expected or arriving.
    Head,
    /// At least one request has no complete response yet.
    Response,
    /// The last request has its complete response.
    Idle,
}

#[derive(Debug)]
struct Activity {
    phase: Phase,
    since: Instant,
    /// Requests whose response is not ready.
    running: usize,
    /// Responses that are not handed over to HTTP completely.
    sending: usize,
    /// Since when the socket accepts no more bytes.
    write_blocked_since: Option<Instant>,
    /// HTTP/2 has frames that belong to no request, so that arriving bytes do not start a request head.
    is_http2: bool,
}

/// The monitor of one connection, shared by its socket, its requests and the server.
#[derive(Debug, Clone)]
pub(super) struct ConnectionMonitor(watch::Sender<Activity>);

impl ConnectionMonitor {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(Activity {
            phase: Phase::Head,
            since: Instant::now(),
            running: 0,
            sending: 0,
            write_blocked_since: None,
            is_http2: false,
        }))
    }

    /// Since when the connection waits for its client; `None` while the client waits for the server.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        let activity = self.0.borrow();
        match activity.phase {
            Phase::Head | Phase::Idle => Some(activity.since),
            Phase::Response => activity.write_blocked_since.or(activity.unread_since()),
        }
    }

    /// Whether a request head is expected or arriving.
    pub(super) fn expects_head(&self) -> bool {
        self.0.borrow().phase == Phase::Head
    }

    /// Records that the connection uses HTTP/2.
    pub(super) fn set_http2(&self) {
        self.0.send_modify(|activity| activity.is_http2 = true);
    }

    /// Records a complete request head.
    pub(super) fn request_started(&self) -> InFlightRequest {
        self.change(|activity| {
            activity.phase = Phase::Response;
            activity.running += 1;
        });
        InFlightRequest { monitor: self.clone(), has_response: false }
    }

    /// Completes when the connection exceeds one of its time limits.
    pub(super) async fn limit_exceeded(&self, limits: &Limits) -> Rejection {
        let mut changes = self.0.subscribe();
        loop {
            let deadline = changes.borrow_and_update().deadline(limits);
            // `self` has a sender, so the channel stays open and `changed` cannot fail.
            let changed = changes.changed();
            match deadline {
                None => drop(changed.await),
                Some((deadline, limit)) => {
                    if timeout_at(deadline, changed).await.is_err() {
                        return limit;
                    }
                }
            }
        }
    }

    fn change(&self, change: impl FnOnce(&mut Activity)) {
        self.0.send_modify(|activity| {
            change(activity);
            activity.since = Instant::now();
        });
    }

    fn bytes_arrived(&self) {
        self.0.send_if_modified(|activity| {
            let starts_request = activity.phase == Phase::Idle && !activity.is_http2;
            if starts_request {
                activity.phase = Phase::Head;
                activity.since = Instant::now();
            }
            starts_request
        });
    }

    fn write_polled(&self, is_blocked: bool) {
        self.0.send_if_modified(|activity| {
            let has_changed = is_blocked != activity.write_blocked_since.is_some();
            if has_changed {
                activity.write_blocked_since = is_blocked.then(Instant::now);
            }
            has_changed
        });
    }
}

impl Activity {
    /// When the connection exceeds a limit unless something changes, and which limit.
    fn deadline(&self, limits: &Limits) -> Option<(Instant, Rejection)> {
        let stalled_since = match self.phase {
            _ if self.write_blocked_since.is_some() => self.write_blocked_since,
            Phase::Head => return Some((self.since + limits.head_time, Rejection::HeadTime)),
            Phase::Idle => return Some((self.since + limits.idle_time, Rejection::IdleTime)),
            Phase::Response => self.unread_since(),
        };
        stalled_since.map(|since| (since + limits.stall_time, Rejection::StallTime))
    }

    /// Since when the server has nothing left to do: all responses are ready and the client has to read them.
    fn unread_since(&self) -> Option<Instant> {
        (self.running == 0 && self.sending > 0).then_some(self.since)
    }
}

/// A request that has no complete response yet. Dropping it ends the request, with or without a response.
#[derive(Debug)]
pub(super) struct InFlightRequest {
    monitor: ConnectionMonitor,
    has_response: bool,
}

impl InFlightRequest {
    /// Records that the response is ready to be sent.
    pub(super) fn response_ready(&mut self) {
        self.has_response = true;
        self.monitor.change(|activity| {
            activity.running -= 1;
            activity.sending += 1;
        });
    }

    /// Records that HTTP took a part of the response.
    pub(super) fn chunk_taken(&self) {
        self.monitor.change(|_| {});
    }
}

impl Drop for InFlightRequest {
    fn drop(&mut self) {
        self.monitor.change(|activity| {
            if self.has_response {
                activity.sending -= 1;
            } else {
                activity.running -= 1;
            }
            if activity.running == 0 && activity.sending == 0 {
                activity.phase = Phase::Idle;
            }
        });
    }
}

/// A socket that reports reads and writes to its monitor.
pub(super) struct MonitoredStream<S> {
    stream: S,
    monitor: ConnectionMonitor,
}

impl<S> MonitoredStream<S> {
    pub(super) fn new(stream: S, monitor: ConnectionMonitor) -> Self {
        Self { stream, monitor }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for MonitoredStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.monitor.bytes_arrived();
        }
        poll
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for MonitoredStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.monitor.write_polled(poll.is_pending());
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
        self.monitor.write_polled(poll.is_pending());
        poll
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
