//! The accept loop and the drain.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::connection::{Limits, Watch, Watched};
use super::{Listener, Scrape, Site};

/// The pause after a failed `accept`, such as one for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The least time between two log lines about that.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(10);

/// Serves the site until `shutdown` completes, then lets running requests finish within `drain`.
///
/// Readiness turns false first, then the socket closes; connections without a request end at once.
pub async fn serve<S: Scrape>(
    listener: Listener,
    site: Arc<Site<S>>,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
    drain: Duration,
) {
    let (closing, closing_seen) = watch::channel(false);
    let mut connections = Connections { tasks: JoinSet::new(), open: HashMap::new(), next: 0 };
    let mut complained = None;
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.0.accept() => match accepted {
                Ok((stream, peer)) => {
                    // Answers are written whole; waiting to fill a packet would only delay their end.
                    let _ = stream.set_nodelay(true);
                    connections.make_room(limits.connections);
                    let watch = Watch::new();
                    let open = Open { watch: watch.clone(), peer: peer.ip() };
                    connections.start(open, connection(stream, site.clone(), watch, limits, closing_seen.clone()));
                }
                Err(error) => accept_failed(&error, &mut complained).await,
            },
            Some(ended) = connections.tasks.join_next() => connections.ended(ended),
        }
    }
    site.readiness().shut_down();
    drop(listener);
    // Receivers live in the connections; without any there is nobody to tell.
    let _ = closing.send(true);
    let drained = async { while connections.tasks.join_next().await.is_some() {} };
    if timeout(drain, drained).await.is_err() {
        tracing::warn!("requests were still running at the end of the drain");
    }
}

/// The running connections by number, which later ones have higher.
struct Connections {
    tasks: JoinSet<u64>,
    open: HashMap<u64, Open>,
    next: u64,
}

/// A connection as the server sees it.
struct Open {
    watch: Arc<Watch>,
    peer: IpAddr,
}

impl Connections {
    fn start(&mut self, open: Open, connection: impl Future<Output = ()> + Send + 'static) {
        let number = self.next;
        self.next += 1;
        self.open.insert(number, open);
        self.tasks.spawn(async move {
            connection.await;
            number
        });
    }

    fn ended(&mut self, ended: Result<u64, tokio::task::JoinError>) {
        match ended {
            Ok(number) => {
                self.open.remove(&number);
            }
            Err(error) => {
                // A panic in a handler took only its own connection with it; its watch is left without a task.
                tracing::error!(%error, "a connection ended by a defect of this program");
                self.open.retain(|_, open| Arc::strong_count(&open.watch) > 1);
            }
        }
    }

    /// At the bound, ends the connection that has waited longest for its client. Where none waits, every one is a
    /// request that is being answered; then the newest one of the address that has the most has to go, so that
    /// whoever floods the server is the one to suffer.
    fn make_room(&mut self, bound: usize) {
        if self.open.len() < bound {
            return;
        }
        let waiting =
            self.open.iter().filter_map(|(number, open)| Some((open.watch.waiting_since()?, *number)));
        let victim = waiting.min().map(|(_, number)| number).or_else(|| {
            let mut by_peer: HashMap<IpAddr, (usize, u64)> = HashMap::new();
            for (number, open) in &self.open {
                let (count, newest) = by_peer.entry(open.peer).or_default();
                *count += 1;
                *newest = (*newest).max(*number);
            }
            by_peer.into_values().max().map(|(_, newest)| newest)
        });
        if let Some(open) = victim.and_then(|number| self.open.remove(&number)) {
            open.watch.evict();
        }
    }
}

async fn accept_failed(error: &io::Error, complained: &mut Option<Instant>) {
    match error.kind() {
        // The client went away before it was accepted.
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset => {}
        _ => {
            if complained.is_none_or(|last| last.elapsed() > COMPLAINT_INTERVAL) {
                tracing::warn!(%error, "cannot accept a connection");
                *complained = Some(Instant::now());
            }
            sleep(ACCEPT_PAUSE).await;
        }
    }
}

/// Runs one connection to its end. It is generic over the stream so that a TLS handshake, within the time for
/// the first head, can stand between the socket and HTTP.
async fn connection<S: Scrape>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    site: Arc<Site<S>>,
    watch: Arc<Watch>,
    limits: Limits,
    mut closing: watch::Receiver<bool>,
) {
    let service = service_fn(|request: Request<Incoming>| {
        watch.answering();
        let site = site.clone();
        let watch = watch.clone();
        async move {
            let response = site.answer(&request).await;
            Ok::<_, Infallible>(response.map(|body| Answer { body, watch }))
        }
    });
    let stream = TokioIo::new(Watched::new(stream, watch.clone()));
    let mut http = pin!(
        http1::Builder::new()
            .header_read_timeout(None)
            .half_close(true)
            .max_header_size(limits.head_bytes)
            .max_buf_size(limits.head_bytes.max(8 * 1024))
            .serve_connection(stream, service)
    );
    let mut over = pin!(watch.over(&limits));
    let closing = closing.wait_for(|closing| *closing);
    let mut closing = pin!(closing);
    let mut draining = false;
    loop {
        tokio::select! {
            ended = http.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "connection ended");
                }
                return;
            }
            reason = &mut over => {
                tracing::debug!(reason, "connection closed");
                return;
            }
            _ = &mut closing, if !draining => {
                draining = true;
                // A head that is still arriving may never be whole. Everything else is for HTTP to finish: an
                // answer may be handed over but not yet sent.
                if watch.expects_head() {
                    return;
                }
                http.as_mut().graceful_shutdown();
            }
        }
    }
}

/// An answer's body, which tells the watch when it has been handed over whole (or given up).
struct Answer {
    body: Full<Bytes>,
    watch: Arc<Watch>,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.watch.answered();
    }
}
