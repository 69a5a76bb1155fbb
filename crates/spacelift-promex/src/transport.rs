//! Connections to the API: TCP, optionally through a proxy, with TLS for `https`.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use exporter_common::tls::{self, server_verifier};
use exporter_common::upstream::chain;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::Uri;
use http::uri::Scheme;
use http_body_util::Full;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tower_service::Service;

use crate::config::Config;
use crate::proxy::Proxy;

/// The HTTP client: one HTTP/2 connection, or kept-alive HTTP/1.1 connections.
pub(crate) type Http = Client<HttpsConnector<Connector>, Full<Bytes>>;

/// The HTTP client cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// There are no trusted root certificates.
    #[error(
        "no trusted root certificates: the system has none and ca_cert_path names none (install ca-certificates, set SSL_CERT_FILE or --ca-cert-path)"
    )]
    NoRoots,
    /// The TLS library reports an error.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// Interval of HTTP/2 pings, also between scrapes, so that a broken connection is detected before the next scrape, or
/// fails at most one scrape. Also the TCP user timeout: how long TCP waits for an acknowledgement.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Idle timeout of connections. Longer than usual scrape intervals, so that scrapes reuse connections.
const IDLE_TIMEOUT: Duration = Duration::from_secs(300);

/// Creates the HTTP client. It connects on the first request.
pub(crate) fn connect(config: &Config) -> Result<Http, TransportError> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(KEEP_ALIVE));
    tcp.set_keepalive_interval(Some(KEEP_ALIVE_TIMEOUT));
    #[cfg(target_os = "linux")]
    tcp.set_tcp_user_timeout(Some(KEEP_ALIVE));
    if let Some(proxy) = &config.proxy {
        tracing::info!(proxy = %proxy.uri(), variable = proxy.variable(), "requests are sent through a proxy");
    }
    let connector = Connector { tcp, proxy: config.proxy.clone() };
    let https = HttpsConnectorBuilder::new()
        .with_tls_config(client_config(config)?)
        .https_or_http()
        .enable_all_versions()
        .wrap_connector(connector);
    Ok(Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .http2_adaptive_window(true)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .http2_keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .http2_keep_alive_while_idle(true)
        .build(https))
}

/// Returns the configuration of TLS 1.2 and 1.3 with the system's and the configured root certificates. For a plain `http`
/// endpoint no certificates are loaded, because that takes milliseconds and a megabyte.
fn client_config(config: &Config) -> Result<ClientConfig, TransportError> {
    let mut roots = RootCertStore::empty();
    let mut trusted = config.extra_roots.clone();
    if config.api_endpoint.scheme() == Some(&Scheme::HTTPS) {
        let system = rustls_native_certs::load_native_certs();
        for error in &system.errors {
            tracing::warn!(%error, "cannot read some of the system's root certificates");
        }
        // These variables may also name the server's own certificate.
        if ["SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter().any(|name| std::env::var_os(name).is_some()) {
            trusted.extend(system.certs.iter().cloned());
        }
        roots.add_parsable_certificates(system.certs);
        roots.add_parsable_certificates(config.extra_roots.iter().cloned());
        if roots.is_empty() {
            return Err(TransportError::NoRoots);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    if roots.is_empty() {
        return Ok(builder.with_root_certificates(roots).with_no_client_auth());
    }
    let verifier = server_verifier(roots, trusted, provider)
        .map_err(|error| rustls::Error::General(error.to_string()))?;
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

/// Formats an error and its causes on one line. TLS errors are explained.
pub(crate) fn explain(error: &(dyn Error + 'static)) -> String {
    let mut cause = Some(error);
    while let Some(error) = cause {
        // `source` of an I/O error skips the inner error itself, so look at that first.
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let tls = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if let Some(tls) = tls.or_else(|| error.downcast_ref()) {
            return tls::explain(tls);
        }
        cause = error.source();
    }
    chain(error)
}

/// Opens TCP connections, directly or through a proxy.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    tcp: HttpConnector,
    proxy: Option<Proxy>,
}

type ConnectError = Box<dyn Error + Send + Sync>;

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = ConnectError;
    type Future = BoxFuture<'static, Result<Stream, ConnectError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        self.tcp.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, destination: Uri) -> Self::Future {
        let mut tcp = self.tcp.clone();
        let is_plain = destination.scheme() == Some(&Scheme::HTTP);
        let proxy = self.proxy.clone();
        async move {
            let Some(proxy) = proxy else {
                return Ok(Stream { tcp: tcp.call(destination).await?, is_proxied: false });
            };
            if is_plain {
                return Ok(Stream { tcp: tcp.call(proxy.uri().clone()).await?, is_proxied: true });
            }
            let mut tunnel = Tunnel::new(proxy.uri().clone(), tcp);
            if let Some(authorization) = proxy.authorization() {
                tunnel = tunnel.with_auth(authorization.clone());
            }
            Ok(Stream { tcp: tunnel.call(destination).await?, is_proxied: false })
        }
        .boxed()
    }
}

/// A TCP stream. If a proxy reads the requests, they contain the whole URL.
#[derive(Debug)]
pub(crate) struct Stream {
    tcp: TokioIo<TcpStream>,
    is_proxied: bool,
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        self.tcp.connected().proxy(self.is_proxied)
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buffer)
    }
}

impl Write for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(cx, slices)
    }
}
