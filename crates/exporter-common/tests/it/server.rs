//! Runs a server in the test process, with limits that a test can reach.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use exporter_common::http::{
    BodyError, Limits, Listener, Route, Scrape, ScrapeError, ScrapeRequest, Site, Web, serve,
};
use exporter_common::readiness::{Condition, Readiness};
use http::{HeaderMap, Request, Response};
use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub(crate) use harness::TIMEOUT;

const LONG: Duration = Duration::from_secs(3_600);
pub(crate) const SHORT: Duration = Duration::from_millis(150);

/// Limits that no test reaches.
pub(crate) const UNLIMITED: Limits = Limits {
    connections: 100,
    in_flight: 100,
    unsent_bytes: usize::MAX,
    streams: 100,
    head_bytes: 16_384,
    body_bytes: 64 * 1_024 * 1_024,
    body_time: LONG,
    head_time: LONG,
    idle_time: LONG,
    stall_time: LONG,
};

/// A scrape that waits for a permit and returns no metrics, or optionally many metrics the first time.
struct TestScrape {
    permits: Arc<Semaphore>,
    large: AtomicBool,
}

impl Scrape for TestScrape {
    async fn scrape(&self, _: &ScrapeRequest) -> Result<Registry, ScrapeError> {
        self.permits.acquire().await.unwrap().forget();
        let mut registry = Registry::default();
        if self.large.swap(false, Ordering::Relaxed) {
            for _ in 0..20_000 {
                let gauge: prometheus_client::metrics::gauge::Gauge = Default::default();
                registry.register("gauge", "x".repeat(1_000), gauge);
            }
        }
        Ok(registry)
    }
}

/// The maximum body size of the pages, in bytes.
pub(crate) const MAX_BODY: usize = 1_000;

/// A page that responds with the number of received bytes, or with the error.
fn receive(path: &'static str) -> Route {
    let check = |headers: &HeaderMap| !headers.contains_key("x-rejected");
    Route::receive(path, MAX_BODY, check, |request: Request<Result<Bytes, BodyError>>| {
        let result = match request.body() {
            Ok(bytes) => format!("{} bytes", bytes.len()),
            Err(error) => error.to_string(),
        };
        Box::pin(async { Response::new(Bytes::from(result)) })
    })
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// The address of the socket for public pages.
    pub(crate) public: SocketAddr,
    pub(crate) permits: Arc<Semaphore>,
    pub(crate) readiness: Condition,
    stop: Option<oneshot::Sender<()>>,
    pub(crate) running: JoinHandle<()>,
}

impl Server {
    /// Starts a server without a web configuration.
    pub(crate) fn start(limits: Limits, large: bool) -> Self {
        Self::start_with(limits, large, Web::default())
    }

    pub(crate) fn start_with(limits: Limits, large: bool, web: Web) -> Self {
        let any = ["127.0.0.1:0".parse().unwrap()];
        let mut listener = Listener::bind_all(&any).unwrap();
        listener.bind_public(&any).unwrap();
        let [address, public] = listener.local_addresses().unwrap()[..] else { panic!("not two addresses") };
        let permits = Arc::new(Semaphore::new(0));
        let readiness = Readiness::default();
        let condition = readiness.condition("test", "testing");
        let scrape = TestScrape { permits: permits.clone(), large: large.into() };
        let site =
            Site::new("test", "A test", "/metrics".to_owned(), readiness, Registry::default(), scrape, web);
        let site = site.route(receive("/receive")).route(receive("/public").on_public_sockets());
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async { drop(stopped.await) };
        let running = tokio::spawn(serve(listener, site, limits, shutdown, Duration::from_secs(1)));
        Self { address, public, permits, readiness: condition, stop: Some(stop), running }
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    pub(crate) fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    /// Returns the number of rejections for a reason, by a scrape over plain HTTP.
    pub(crate) async fn rejections(&self, reason: &str) -> f64 {
        self.permits.add_permits(1);
        let scrape = harness::get(&format!("http://{}/metrics", self.address), &[]).await;
        scrape.sample(&format!("exporter_http_rejections_total{{reason=\"{reason}\"}}")).unwrap()
    }
}

pub(crate) async fn send(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
}

/// Sends a request for a page.
pub(crate) async fn request(stream: &mut TcpStream, path: &str) {
    send(stream, &format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n")).await;
}

/// Reads one response, which must fit the buffer.
pub(crate) async fn response(stream: &mut TcpStream) -> String {
    let mut buffer = vec![0; 65_536];
    let read = timeout(TIMEOUT, stream.read(&mut buffer)).await.expect("no response").unwrap();
    String::from_utf8(buffer[..read].to_vec()).unwrap()
}

/// Waits until the server closes the connection.
pub(crate) async fn closed(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    let _ = timeout(TIMEOUT, stream.read_to_end(&mut rest)).await.expect("the connection is not closed");
}
