//! One client connection: an optional TLS handshake, then HTTP until the connection is closed.

use std::convert::Infallible;
use std::future::ready;
use std::net::IpAddr;
use std::sync::Arc;

use http::header::CONNECTION;
use http::{HeaderValue, Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::graceful::Watcher;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::limits::Limits;
use super::monitor::{ConnectionMonitor, MonitoredStream};
use super::rejection::Rejection;
use super::response::{ResponseBody, text};
use super::web::HTTP2;
use super::{Scrape, Site};

/// Bytes of a response that HTTP/2 takes at a time. Whatever the client's flow control does not allow to be sent stays
/// in the response body, where the monitor notices it.
const HTTP2_CHUNK: usize = 64 * 1024;

/// Requests that an HTTP/2 client can cancel before they are processed, or have rejected, before its connection is
/// closed.
const MAX_RESETS: usize = 32;

/// A connection and what it is served with.
pub(super) struct Connection<S> {
    pub(super) site: Arc<Site<S>>,
    pub(super) client: IpAddr,
    /// Whether the client used a public socket.
    pub(super) is_public: bool,
    pub(super) monitor: ConnectionMonitor,
    pub(super) limits: Limits,
}

impl<S: Scrape> Connection<S> {
    /// Serves the connection until the client closes it, it exceeds a limit, or the graceful shutdown is complete.
    pub(super) async fn run(self, stream: TcpStream, shutdown: Watcher) {
        tokio::select! {
            () = self.serve(stream, shutdown) => {}
            limit = self.monitor.limit_exceeded(&self.limits) => self.site.rejections().count(limit),
        }
    }

    async fn serve(&self, stream: TcpStream, shutdown: Watcher) {
        match self.site.web().rules().await.and_then(|rules| rules.tls.clone()) {
            None => self.http1(self.monitored(stream), shutdown).await,
            // Boxed because its future is large, and plain HTTP does not need it.
            Some(tls) => Box::pin(self.tls(stream, tls, shutdown)).await,
        }
    }

    async fn tls(&self, stream: TcpStream, tls: Arc<ServerConfig>, shutdown: Watcher) {
        let mut first = [0];
        match stream.peek(&mut first).await {
            // A TLS record starts with its type, a small number.
            Ok(1) if first[0].is_ascii_uppercase() => return self.plain_http(stream, shutdown).await,
            Ok(1) => {}
            // The client closed the connection without a byte, as a port scan does.
            _ => return,
        }
        match TlsAcceptor::from(tls).accept(self.monitored(stream)).await {
            Ok(stream) if stream.get_ref().1.alpn_protocol() == Some(HTTP2) => {
                self.http2(stream, shutdown).await;
            }
            Ok(stream) => self.http1(stream, shutdown).await,
            Err(error) => self.site.rejections().count_handshake(self.client, &error),
        }
    }

    fn monitored(&self, stream: TcpStream) -> MonitoredStream<TcpStream> {
        MonitoredStream::new(stream, self.monitor.clone())
    }

    async fn http1(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, shutdown: Watcher) {
        let http = http1(&self.limits).serve_connection(TokioIo::new(stream), self.service(usize::MAX));
        self.finish(shutdown.watch(http).await);
    }

    async fn http2(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, shutdown: Watcher) {
        self.monitor.set_http2();
        let head_bytes = u32::try_from(self.limits.head_bytes).unwrap_or(u32::MAX);
        let http = http2::Builder::new(TokioExecutor::new())
            .max_concurrent_streams(self.limits.streams)
            // Heads up to twice the limit get status 431; HTTP/2 itself refuses larger ones.
            .max_header_list_size(head_bytes.saturating_mul(2))
            .max_pending_accept_reset_streams(MAX_RESETS)
            .max_local_error_reset_streams(MAX_RESETS)
            .serve_connection(TokioIo::new(stream), self.service(HTTP2_CHUNK));
        self.finish(shutdown.watch(http).await);
    }

    /// Explains the mistake to a client that uses plain HTTP on a TLS socket.
    async fn plain_http(&self, stream: TcpStream, shutdown: Watcher) {
        self.site.rejections().count(Rejection::PlainHttp);
        let monitor = self.monitor.clone();
        let service = service_fn(move |_: Request<Incoming>| {
            let mut request = monitor.request_started();
            request.response_ready();
            let mut response =
                text(StatusCode::BAD_REQUEST, "Client sent an HTTP request to an HTTPS server.\n");
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            ready(Ok::<_, Infallible>(
                response.map(|content| ResponseBody::new(content, usize::MAX, request)),
            ))
        });
        let http = http1(&self.limits).serve_connection(TokioIo::new(self.monitored(stream)), service);
        self.finish(shutdown.watch(http).await);
    }

    /// Responds to requests with the site's pages, whose bodies HTTP takes in chunks of at most `chunk` bytes.
    fn service(
        &self,
        chunk: usize,
    ) -> impl HttpService<Incoming, ResBody = ResponseBody, Error = Infallible, Future: Send + 'static> + use<S>
    {
        let (site, monitor, limits) = (self.site.clone(), self.monitor.clone(), self.limits);
        let (client, is_public) = (self.client, self.is_public);
        service_fn(move |request: Request<Incoming>| {
            let mut in_flight = monitor.request_started();
            let site = site.clone();
            async move {
                let response = site.respond(request, client, is_public, &limits).await;
                in_flight.response_ready();
                Ok::<_, Infallible>(response.map(|content| ResponseBody::new(content, chunk, in_flight)))
            }
        })
    }

    fn finish(&self, result: Result<(), hyper::Error>) {
        if let Err(error) = result {
            if error.is_parse_too_large() {
                self.site.rejections().count(Rejection::HeadBytes);
            }
            tracing::debug!(%error, "connection closed");
        }
    }
}

fn http1(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        // The monitor has separate limits for idle time and for the time of a head.
        .header_read_timeout(None)
        .half_close(true)
        .max_header_size(limits.head_bytes)
        .max_buf_size(limits.head_bytes.max(8 * 1024));
    builder
}
