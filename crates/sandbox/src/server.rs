//! Sockets: HTTP/1.1 and HTTP/2 on one port, with or without TLS, and connections that end badly on purpose.

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

/// The body of an answer. It may fail half-way, which is how a truncated answer is made.
pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A body that is known in full.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// What becomes of a request.
pub(crate) enum Answer {
    /// It is answered.
    Response(Response<Body>),
    /// The connection ends in an orderly way (FIN) without an answer.
    Close,
    /// The connection is reset (RST) without an answer.
    Reset,
}

/// Answers requests. Connections are numbered from zero in the order in which they were accepted.
pub(crate) trait Handler: Send + Sync + 'static {
    fn answer(&self, request: Request<Incoming>, connection: u64) -> impl Future<Output = Answer> + Send;
}

/// The address could not be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {0}")]
pub struct ListenError(SocketAddr, #[source] io::Error);

/// A server on an address of its own, which it keeps while it is stopped. It ends when it is dropped.
pub(crate) struct Server<H> {
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    handler: Arc<H>,
    running: Mutex<Option<Running>>,
}

/// Without the sender the task ends.
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

    /// What answers.
    pub(crate) fn handler(&self) -> &H {
        &self.handler
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address by which it is reached from this machine: every interface may be listened on, but a client has to
    /// name one.
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

    /// Closes the listener and every connection. They are closed when this returns.
    pub(crate) async fn stop(&self) {
        if let Some(running) = self.running.lock().await.take() {
            running.stop().await;
        }
    }

    /// Listens again on the same address, after a [`stop`](Self::stop) or instead of one.
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
        // It fails only if the task panicked, and then nothing is left to be stopped.
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
                // Out of file descriptors, most likely. Nothing announces that one has become free.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    connections.shutdown().await;
}

async fn serve<H: Handler>(stream: TcpStream, tls: Option<TlsAcceptor>, handler: Arc<H>, number: u64) {
    let ending = Arc::new(Ending::default());
    // An answer is one write, and the next should not wait for the client's acknowledgement of the last.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(connection = number, %error, "cannot set TCP_NODELAY");
    }
    let wire = Wire { stream, ending: Arc::clone(&ending) };
    let service = {
        let ending = Arc::clone(&ending);
        service_fn(move |request| {
            let (handler, ending) = (Arc::clone(&handler), Arc::clone(&ending));
            async move {
                match handler.answer(request, number).await {
                    Answer::Response(response) => Ok::<_, Infallible>(response),
                    Answer::Close => ending.hang_up(false).await,
                    Answer::Reset => ending.hang_up(true).await,
                }
            }
        })
    };

    let http = async {
        let builder = auto::Builder::new(TokioExecutor::new());
        match tls {
            None => builder.serve_connection(TokioIo::new(wire), service).await,
            Some(tls) => {
                let stream = tls.accept(wire).await?;
                builder.serve_connection(TokioIo::new(stream), service).await
            }
        }
    };
    tokio::select! {
        result = http => if let Err(error) = result {
            tracing::debug!(connection = number, %error, "a connection failed");
        },
        () = ending.requested.notified() => {}
    }
}

/// How a request handler, which does not own the connection, ends it.
#[derive(Default)]
struct Ending {
    requested: Notify,
    reset: AtomicBool,
}

impl Ending {
    /// Asks for the end and waits for it: with the connection, its handlers are dropped.
    async fn hang_up<T>(&self, reset: bool) -> T {
        self.reset.store(reset, Ordering::Relaxed);
        self.requested.notify_one();
        pending().await
    }
}

/// A TCP stream that resets instead of closing when it was asked to.
struct Wire {
    stream: TcpStream,
    ending: Arc<Ending>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.ending.reset.load(Ordering::Relaxed) {
            // With no time to linger the kernel discards what is unsent and answers RST.
            let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Wire {
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
