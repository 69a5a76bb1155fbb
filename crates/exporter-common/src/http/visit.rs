//! A client's stay: TLS where it is spoken, then HTTP, until the client leaves or has to.

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;

use http::header::CONNECTION;
use http::{HeaderValue, Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::graceful::GracefulConnection;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::answer::{ContentBody, text};
use super::connection::{Limits, Watch, Watched};
use super::rejection::Rejection;
use super::web::HTTP2;
use super::{Scrape, Site};

/// The most of an answer that HTTP/2 takes at once, so that one which nobody reads stays here and is noticed.
const FRAME: usize = 64 * 1024;

/// Requests that an HTTP/2 client may cancel before they are looked at, or have refused, until it has to go.
const RESETS: usize = 32;

/// One connection from its first byte to its end.
pub(super) struct Visit<S> {
    pub(super) site: Arc<Site<S>>,
    pub(super) client: IpAddr,
    /// Whether it came by a public socket.
    pub(super) is_public: bool,
    pub(super) watch: Arc<Watch>,
    pub(super) limits: Limits,
    pub(super) closing: watch::Receiver<bool>,
}

impl<S: Scrape> Visit<S> {
    /// Runs the connection to its end.
    pub(super) async fn run(self, stream: TcpStream) {
        match self.site.web().rules().await.and_then(|rules| rules.tls.clone()) {
            None => {
                let stream = Watched::new(stream, self.watch.clone());
                self.http1(stream).await;
            }
            // Its state is large, and of no concern to who speaks plain HTTP.
            Some(tls) => Box::pin(self.secured(stream, tls)).await,
        }
    }

    /// TLS, whose handshake has to be done within the time for the first head, and then HTTP.
    async fn secured(mut self, stream: TcpStream, tls: Arc<ServerConfig>) {
        let mut first = [0];
        match self.in_time(stream.peek(&mut first)).await {
            Some(Ok(1)) if first[0].is_ascii_uppercase() => return self.plain_http(stream).await,
            Some(Ok(1)) => {}
            // Whoever only looks whether the port is open is gone by now.
            _ => return,
        }
        let stream = Watched::new(stream, self.watch.clone());
        match self.in_time(TlsAcceptor::from(tls).accept(stream)).await {
            Some(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(HTTP2) => self.http2(stream).await,
            Some(Ok(stream)) => self.http1(stream).await,
            Some(Err(error)) => self.site.rejections().count_handshake(self.client, &error),
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
            let mut response =
                text(StatusCode::BAD_REQUEST, "Client sent an HTTP request to an HTTPS server.\n");
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            let response = response.map(|content| content.into_body(usize::MAX, exchange));
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
    ) -> impl HttpService<Incoming, ResBody = ContentBody, Error = Infallible, Future: Send + 'static> + use<S>
    {
        let (site, watch, client, limits) = (self.site.clone(), self.watch.clone(), self.client, self.limits);
        let is_public = self.is_public;
        service_fn(move |request: Request<Incoming>| {
            let mut exchange = watch.asked();
            let site = site.clone();
            async move {
                let response = site.answer(request, client, is_public, &limits).await;
                exchange.answered();
                Ok::<_, Infallible>(response.map(|content| content.into_body(frame, exchange)))
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
