//! HTTP/1.1 and HTTP/2 on one port, with or without TLS, and connections that are closed without a response.

use std::{
    convert::Infallible,
    future::{Future, pending},
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{Mutex, Notify, oneshot},
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::TlsAcceptor;

/// The body of a response. It can fail in the middle to truncate a response.
pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Returns a complete body.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// What the server does with a request.
pub(crate) enum ServerAction {
    /// Sends a response.
    Respond(Response<Body>),
    /// Closes the connection (FIN) without a response.
    Close,
    /// Resets the connection (RST) without a response.
    Reset,
}

/// Handles requests. Connections are numbered from zero in the order of acceptance.
pub(crate) trait Handler: Send + Sync + 'static {
    fn handle(
        &self,
        request: Request<Incoming>,
        connection: u64,
    ) -> impl Future<Output = ServerAction> + Send;
}

/// The server cannot listen on the address.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {0}")]
pub struct ListenError(SocketAddr, #[source] io::Error);

/// A server that can be stopped and restarted on the same address. Dropping it stops the server.
pub(crate) struct Server<H> {
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    handler: Arc<H>,
    running: Mutex<Option<Running>>,
}

/// A running accept loop. Dropping the sender stops it.
struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl<H: Handler> Server<H> {
    pub(crate) async fn start(
        listen: SocketAddr,
        tls: Option<TlsAcceptor>,
        handler: Arc<H>,
    ) -> Result<Self, ListenError> {
        let mut server = Self { address: listen, tls, handler, running: Mutex::default() };
        let listener = server.bind().await?;
        server.address = listener.local_addr().map_err(|error| ListenError(listen, error))?;
        *server.running.get_mut() = Some(server.run(listener));
        Ok(server)
    }

    /// Returns the request handler.
    pub(crate) fn handler(&self) -> &H {
        &self.handler
    }

    /// Returns the listen address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns an address for local clients: the loopback address if the server listens on all interfaces.
    pub(crate) fn reachable(&self) -> SocketAddr {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(match address {
                SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        address
    }

    /// Closes the listener and all connections before it returns.
    pub(crate) async fn stop(&self) {
        if let Some(running) = self.running.lock().await.take() {
            running.stop().await;
        }
    }

    /// Listens again on the same address, after [`stop`](Self::stop) or without it.
    pub(crate) async fn restart(&self) -> Result<(), ListenError> {
        let mut running = self.running.lock().await;
        if let Some(running) = running.take() {
            running.stop().await;
        }
        *running = Some(self.run(self.bind().await?));
        Ok(())
    }

    async fn bind(&self) -> Result<TcpListener, ListenError> {
        TcpListener::bind(self.address).await.map_err(|error| ListenError(self.address, error))
    }

    fn run(&self, listener: TcpListener) -> Running {
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(accept(listener, self.tls.clone(), Arc::clone(&self.handler), stopped));
        Running { stop, task }
    }
}

impl Running {
    async fn stop(self) {
        drop(self.stop);
        // It fails only if the task panicked, which closed everything as well.
        let _ = self.task.await;
    }
}

async fn accept<H: Handler>(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    handler: Arc<H>,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut connections = JoinSet::new();
    let mut number = 0;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            _ = &mut stopped => break,
        };
        match accepted {
            Ok((stream, _)) => {
                connections.spawn(serve(stream, tls.clone(), Arc::clone(&handler), number));
                number += 1;
            }
            Err(error) => {
                // Probably out of file descriptors, and nothing signals that one is free again.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    connections.shutdown().await;
}

async fn serve<H: Handler>(stream: TcpStream, tls: Option<TlsAcceptor>, handler: Arc<H>, number: u64) {
    let close = Arc::new(CloseRequest::default());
    // A response is one write, which should not wait for the acknowledgement of the previous one (Nagle's
    // algorithm).
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(connection = number, %error, "cannot set TCP_NODELAY");
    }
    let stream = ResettableStream { stream, close: Arc::clone(&close) };
    let service = {
        let close = Arc::clone(&close);
        service_fn(move |request| {
            let (handler, close) = (Arc::clone(&handler), Arc::clone(&close));
            async move {
                match handler.handle(request, number).await {
                    ServerAction::Respond(response) => Ok::<_, Infallible>(response),
                    ServerAction::Close => close.close(false).await,
                    ServerAction::Reset => close.close(true).await,
                }
            }
        })
    };

    let http = async {
        let builder = auto::Builder::new(TokioExecutor::new());
        match tls {
            None => builder.serve_connection(TokioIo::new(stream), service).await,
            Some(tls) => {
                let stream = tls.accept(stream).await?;
                builder.serve_connection(TokioIo::new(stream), service).await
            }
        }
    };
    tokio::select! {
        result = http => if let Err(error) = result {
            tracing::debug!(connection = number, %error, "connection failed");
        },
        () = close.requested.notified() => {}
    }
}

/// Lets a request handler close its connection.
#[derive(Default)]
struct CloseRequest {
    requested: Notify,
    reset: AtomicBool,
}

impl CloseRequest {
    /// Requests the closure and waits: the closure drops the handlers of the connection.
    async fn close<T>(&self, reset: bool) -> T {
        self.reset.store(reset, Ordering::Relaxed);
        self.requested.notify_one();
        pending().await
    }
}

/// A TCP stream that sends RST instead of FIN on request.
struct ResettableStream {
    stream: TcpStream,
    close: Arc<CloseRequest>,
}

impl Drop for ResettableStream {
    fn drop(&mut self) {
        if self.close.reset.load(Ordering::Relaxed) {
            // Without lingering, the kernel discards unsent data and sends RST.
            let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        }
    }
}

impl AsyncRead for ResettableStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for ResettableStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
