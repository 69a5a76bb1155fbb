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
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::graceful::GracefulConnection;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::connection::{Exchange, Limits, Watch, Watched};
use super::rejection::Rejection;
use super::web::HTTP2;
use super::{Listener, Scrape, Site};

/// The pause after a failed `accept`, such as one for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The least time between two log lines about that.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(10);

/// The most of an answer that HTTP/2 takes at once, so that one which nobody reads stays here and is noticed.
const FRAME: usize = 64 * 1024;

/// Requests that an HTTP/2 client may cancel before they are looked at, or have refused, until it has to go.
const RESETS: usize = 32;

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
    if let Some(rules) = site.web().rules() {
        tracing::info!(%rules, "serving by the web configuration");
    }
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
                    let visit = Visit { site: site.clone(), client: peer.ip(), watch, limits, closing: closing_seen.clone() };
                    connections.start(open, visit.run(stream));
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

/// A client's stay: one connection from its first byte to its end.
struct Visit<S> {
    site: Arc<Site<S>>,
    client: IpAddr,
    watch: Arc<Watch>,
    limits: Limits,
    closing: watch::Receiver<bool>,
}

impl<S: Scrape> Visit<S> {
    /// Runs the connection to its end. A TLS handshake has to be done within the time for the first head.
    async fn run(mut self, stream: TcpStream) {
        let Some(tls) = self.site.web().rules().and_then(|rules| rules.tls.clone()) else {
            let stream = Watched::new(stream, self.watch.clone());
            return self.http1(stream).await;
        };
        let mut first = [0];
        match self.in_time(async { stream.peek(&mut first).await }).await {
            Some(Ok(1)) if first[0].is_ascii_uppercase() => return self.plain_http(stream).await,
            Some(Ok(1)) => {}
            // Whoever only looks whether the port is open is gone by now.
            _ => return,
        }
        let stream = Watched::new(stream, self.watch.clone());
        match self.in_time(TlsAcceptor::from(tls).accept(stream)).await {
            Some(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(HTTP2) => self.http2(stream).await,
            Some(Ok(stream)) => self.http1(stream).await,
            Some(Err(error)) => {
                tracing::debug!(%error, "TLS handshake failed");
                self.site.rejections().count(Rejection::Handshake);
            }
            None => {}
        }
    }

    /// What comes before HTTP, unless the connection ends first.
    async fn in_time<T>(&mut self, step: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = step => Some(done),
            reason = self.watch.over(&self.limits) => {
                self.site.rejections().count(reason);
                None
            }
            _ = self.closing.wait_for(|closing| *closing) => None,
        }
    }

    async fn http1(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let http = http1(&self.limits).serve_connection(TokioIo::new(stream), self.service(usize::MAX));
        self.converse(http).await;
    }

    async fn http2(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        self.watch.framed();
        let head_bytes = u32::try_from(self.limits.head_bytes).unwrap_or(u32::MAX);
        let http = http2::Builder::new(TokioExecutor::new())
            .max_concurrent_streams(self.limits.streams)
            // Heads up to the limit are told of it, and larger ones do not get through.
            .max_header_list_size(head_bytes.saturating_mul(2))
            .max_pending_accept_reset_streams(RESETS)
            .max_local_error_reset_streams(RESETS)
            .serve_connection(TokioIo::new(stream), self.service(FRAME));
        self.converse(http).await;
    }

    /// Tells a client that speaks plain HTTP where TLS is spoken what is wrong.
    async fn plain_http(self, stream: TcpStream) {
        self.site.rejections().count(Rejection::PlainHttp);
        let watch = self.watch.clone();
        let service = service_fn(move |_: Request<Incoming>| {
            let mut exchange = watch.asked();
            exchange.answered();
            let body = Bytes::from_static(b"Client sent an HTTP request to an HTTPS server.\n");
            let mut response = Response::new(Answer { body, frame: usize::MAX, exchange });
            *response.status_mut() = StatusCode::BAD_REQUEST;
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            std::future::ready(Ok::<_, Infallible>(response))
        });
        let stream = Watched::new(stream, self.watch.clone());
        let http = http1(&self.limits).serve_connection(TokioIo::new(stream), service);
        self.converse(http).await;
    }

    /// Answers requests with the site's pages, whose bodies are handed over in pieces of `frame` bytes.
    fn service(
        &self,
        frame: usize,
    ) -> impl HttpService<Incoming, ResBody = Answer, Error = Infallible, Future: Send + 'static> + use<S>
    {
        let (site, watch, client, limits) = (self.site.clone(), self.watch.clone(), self.client, self.limits);
        service_fn(move |request: Request<Incoming>| {
            let mut exchange = watch.asked();
            let site = site.clone();
            async move {
                let response = site.answer(&request, client, &limits).await;
                exchange.answered();
                Ok::<_, Infallible>(response.map(|body| Answer { body, frame, exchange }))
            }
        })
    }

    /// Lets the client ask until it leaves, has to leave, or the server closes.
    async fn converse<C: GracefulConnection<Error = hyper::Error>>(mut self, http: C) {
        let mut http = pin!(http);
        let mut over = pin!(self.watch.over(&self.limits));
        let closing = self.closing.wait_for(|closing| *closing);
        let mut closing = pin!(closing);
        let mut draining = false;
        loop {
            tokio::select! {
                ended = http.as_mut() => {
                    if let Err(error) = ended {
                        if error.is_parse_too_large() {
                            self.site.rejections().count(Rejection::HeadBytes);
                        }
                        tracing::debug!(%error, "connection ended");
                    }
                    return;
                }
                reason = &mut over => return self.site.rejections().count(reason),
                _ = &mut closing, if !draining => {
                    draining = true;
                    // A head that is still arriving may never be whole. Everything else is for HTTP to finish: an
                    // answer may be handed over but not yet sent.
                    if self.watch.expects_head() {
                        return;
                    }
                    http.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

fn http1(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .header_read_timeout(None)
        .half_close(true)
        .max_header_size(limits.head_bytes)
        .max_buf_size(limits.head_bytes.max(8 * 1024));
    builder
}

/// An answer's body. It tells the watch when a part of it is taken and, by its end, when it is handed over whole or
/// given up.
struct Answer {
    body: Bytes,
    frame: usize,
    exchange: Exchange,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.body.is_empty() {
            return Poll::Ready(None);
        }
        self.exchange.progressed();
        let length = self.frame.min(self.body.len());
        Poll::Ready(Some(Ok(Frame::data(self.body.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.body.len() as u64)
    }
}
