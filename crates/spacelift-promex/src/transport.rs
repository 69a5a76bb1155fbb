//! Connections to the API: TCP, through a proxy where the environment names one, under TLS for `https`.

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

/// The HTTP client: one HTTP/2 connection, or kept-alive HTTP/1.1 ones.
pub(crate) type Http = Client<HttpsConnector<Connector>, Full<Bytes>>;

/// Why no connection could ever be made.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// There is nothing to check the API's certificate against.
    #[error(
        "no trusted root certificates: the system has none and ca_cert_path names none (install ca-certificates, set SSL_CERT_FILE or --ca-cert-path)"
    )]
    NoRoots,
    /// The TLS library refuses its own defaults.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// How often an HTTP/2 connection is probed, also between scrapes, so that a dead one is noticed before the
/// next scrape needs it, or costs at most that one; and how long TCP waits for an acknowledgement.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Longer than any usual scrape interval, so that a scrape finds the last one's connection.
const IDLE: Duration = Duration::from_secs(300);

/// Makes the client. No connection is made yet.
pub(crate) fn connect(config: &Config) -> Result<Http, TransportError> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(KEEP_ALIVE));
    tcp.set_keepalive_interval(Some(KEEP_ALIVE_TIMEOUT));
    #[cfg(target_os = "linux")]
    tcp.set_tcp_user_timeout(Some(KEEP_ALIVE));
    if let Some(proxy) = &config.proxy {
        tracing::info!(proxy = %proxy.uri(), variable = proxy.variable(), "the API is asked through a proxy");
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
        .pool_idle_timeout(IDLE)
        .http2_adaptive_window(true)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .http2_keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .http2_keep_alive_while_idle(true)
        .build(https))
}

/// TLS 1.2 and 1.3 against the system's roots and the configured ones. For a plain `http` endpoint nothing is
/// loaded: reading the system's roots takes milliseconds and a megabyte.
fn client_config(config: &Config) -> Result<ClientConfig, TransportError> {
    let mut roots = RootCertStore::empty();
    let mut trusted = config.extra_roots.clone();
    if config.api_endpoint.scheme() == Some(&Scheme::HTTPS) {
        let system = rustls_native_certs::load_native_certs();
        for error in &system.errors {
            tracing::warn!(%error, "cannot read some of the system's root certificates");
        }
        // Whoever names the system's roots may name the server's certificate itself.
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

/// An error and its causes, in one line; of an error of TLS, what it means.
pub(crate) fn explain(error: &(dyn Error + 'static)) -> String {
    let mut cause = Some(error);
    while let Some(error) = cause {
        // An I/O error names the cause of what it holds, not what it holds.
        let held = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let tls = held.and_then(|held| held.downcast_ref::<rustls::Error>());
        if let Some(tls) = tls.or_else(|| error.downcast_ref()) {
            return tls::explain(tls);
        }
        cause = error.source();
    }
    chain(error)
}

/// TCP, directly or by way of a proxy.
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
        let plain = destination.scheme() == Some(&Scheme::HTTP);
        let proxy = self.proxy.clone();
        async move {
            let Some(proxy) = proxy else {
                return Ok(Stream { tcp: tcp.call(destination).await?, proxied: false });
            };
            if plain {
                return Ok(Stream { tcp: tcp.call(proxy.uri().clone()).await?, proxied: true });
            }
            let mut tunnel = Tunnel::new(proxy.uri().clone(), tcp);
            if let Some(authorization) = proxy.authorization() {
                tunnel = tunnel.with_auth(authorization.clone());
            }
            Ok(Stream { tcp: tunnel.call(destination).await?, proxied: false })
        }
        .boxed()
    }
}

/// A TCP stream that knows whether a proxy reads its requests, which then name the whole URL.
#[derive(Debug)]
pub(crate) struct Stream {
    tcp: TokioIo<TcpStream>,
    proxied: bool,
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        self.tcp.connected().proxy(self.proxied)
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
