//! The server's limits, with limits that a test can wait for.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use exporter_common::http::{Limits, Listener, Scrape, ScrapeError, Site, Web, serve};
use exporter_common::readiness::{Condition, Readiness};
use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(10);
const LONG: Duration = Duration::from_secs(3_600);
const SHORT: Duration = Duration::from_millis(150);

const UNLIMITED: Limits = Limits {
    connections: 100,
    in_flight: 100,
    streams: 100,
    head_bytes: 16_384,
    head_time: LONG,
    idle_time: LONG,
    stall_time: LONG,
};

/// A scrape that waits for a permit and answers with a lot of text, or with an error.
struct Source {
    permits: Arc<Semaphore>,
    large: bool,
}

impl Scrape for Source {
    async fn scrape(&self) -> Result<Registry, ScrapeError> {
        self.permits.acquire().await.unwrap().forget();
        let mut registry = Registry::default();
        if self.large {
            for _ in 0..20_000 {
                let gauge: prometheus_client::metrics::gauge::Gauge = Default::default();
                registry.register("gauge", "x".repeat(1_000), gauge);
            }
        }
        Ok(registry)
    }
}

struct Server {
    address: SocketAddr,
    permits: Arc<Semaphore>,
    readiness: Condition,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<()>,
}

impl Server {
    fn start(limits: Limits, large: bool) -> Self {
        let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_address().unwrap();
        let permits = Arc::new(Semaphore::new(0));
        let readiness = Readiness::default();
        let condition = readiness.condition("testing");
        let source = Source { permits: permits.clone(), large };
        let site = Site::new(
            "test",
            "A test",
            "/metrics".to_owned(),
            readiness,
            Registry::default(),
            source,
            Web::default(),
        );
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async { drop(stopped.await) };
        let running = tokio::spawn(serve(listener, site, limits, shutdown, Duration::from_secs(1)));
        Self { address, permits, readiness: condition, stop: Some(stop), running }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }
}

async fn send(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
}

async fn ask(stream: &mut TcpStream, path: &str) {
    send(stream, &format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n")).await;
}

/// Reads one answer that fits a buffer.
async fn answer(stream: &mut TcpStream) -> String {
    let mut buffer = vec![0; 65_536];
    let read = timeout(PATIENCE, stream.read(&mut buffer)).await.expect("no answer").unwrap();
    String::from_utf8(buffer[..read].to_vec()).unwrap()
}

/// Waits until the server ends the connection.
async fn closed(stream: &mut TcpStream) -> Duration {
    let began = Instant::now();
    let mut rest = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("the connection is kept");
    began.elapsed()
}

#[tokio::test]
async fn a_head_that_takes_too_long_ends_the_connection() {
    let server = Server::start(Limits { head_time: SHORT, ..UNLIMITED }, false);
    let mut silent = server.connect().await;
    let mut half = server.connect().await;
    send(&mut half, "GET / HTTP/1.1\r\nx: ").await;
    let mut late = server.connect().await;
    ask(&mut late, "/health").await;
    assert!(answer(&mut late).await.starts_with("HTTP/1.1 200"));
    send(&mut late, "GET").await;
    for stream in [&mut silent, &mut half, &mut late] {
        closed(stream).await;
    }
}

#[tokio::test]
async fn an_idle_connection_ends_after_its_time() {
    let server = Server::start(Limits { idle_time: SHORT, ..UNLIMITED }, false);
    let mut stream = server.connect().await;
    ask(&mut stream, "/health").await;
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200"));
    closed(&mut stream).await;
}

#[tokio::test]
async fn a_scrape_may_take_longer_than_the_limits_for_clients() {
    let limits = Limits { head_time: SHORT, idle_time: SHORT, stall_time: SHORT, ..UNLIMITED };
    let server = Server::start(limits, false);
    let mut stream = server.connect().await;
    ask(&mut stream, "/metrics").await;
    tokio::time::sleep(SHORT * 3).await;
    server.permits.add_permits(1);
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_client_that_does_not_read_is_given_up() {
    let server = Server::start(Limits { stall_time: SHORT, ..UNLIMITED }, true);
    server.permits.add_permits(1);
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut stream = socket.connect(server.address).await.unwrap();
    ask(&mut stream, "/metrics").await;
    // Once the server gave up, what it had buffered in the kernel is all there is: less than the answer.
    tokio::time::sleep(SHORT * 4).await;
    let mut received = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut received)).await.expect("the connection is kept");
    let head = String::from_utf8_lossy(&received[..1_000.min(received.len())]).into_owned();
    let length: usize =
        head.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap().parse().unwrap();
    assert!(received.len() < length, "{} of {length}", received.len());
}

#[tokio::test]
async fn the_connection_that_waits_longest_makes_room() {
    let server = Server::start(Limits { connections: 3, ..UNLIMITED }, false);
    let mut busy = server.connect().await;
    ask(&mut busy, "/metrics").await;
    let mut oldest = server.connect().await;
    ask(&mut oldest, "/health").await;
    answer(&mut oldest).await;
    let mut newer = server.connect().await;
    ask(&mut newer, "/health").await;
    answer(&mut newer).await;

    let mut fourth = server.connect().await;
    ask(&mut fourth, "/health").await;
    assert!(answer(&mut fourth).await.starts_with("HTTP/1.1 200"));
    closed(&mut oldest).await;
    ask(&mut newer, "/health").await;
    assert!(answer(&mut newer).await.starts_with("HTTP/1.1 200"));
    server.permits.add_permits(1);
    assert!(answer(&mut busy).await.starts_with("HTTP/1.1 200"), "a running scrape was sacrificed");
}

#[tokio::test]
async fn where_none_waits_the_newest_of_the_busiest_client_goes() {
    let server = Server::start(Limits { connections: 2, ..UNLIMITED }, false);
    let mut first = server.connect().await;
    ask(&mut first, "/metrics").await;
    let mut second = server.connect().await;
    ask(&mut second, "/metrics").await;
    // Both scrapes hang; a bound that gives way to a flood of them would be none.
    let mut third = server.connect().await;
    ask(&mut third, "/health").await;
    assert!(answer(&mut third).await.starts_with("HTTP/1.1 200"));
    closed(&mut second).await;
    server.permits.add_permits(1);
    assert!(answer(&mut first).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_client_that_only_closes_its_sending_half_gets_its_answer() {
    let server = Server::start(UNLIMITED, false);
    let mut stream = server.connect().await;
    ask(&mut stream, "/health").await;
    stream.shutdown().await.unwrap();
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn readiness_follows_its_conditions() {
    let server = Server::start(UNLIMITED, false);
    let mut stream = server.connect().await;
    ask(&mut stream, "/ready").await;
    let refused = answer(&mut stream).await;
    assert!(refused.starts_with("HTTP/1.1 503") && refused.ends_with("not ready: testing\n"), "{refused}");
    server.readiness.ready();
    ask(&mut stream, "/ready").await;
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn shutdown_finishes_what_runs_and_drops_what_waits() {
    let mut server = Server::start(UNLIMITED, false);
    let mut idle = server.connect().await;
    ask(&mut idle, "/health").await;
    answer(&mut idle).await;
    let mut half = server.connect().await;
    send(&mut half, "GET / HT").await;
    let mut running = server.connect().await;
    ask(&mut running, "/metrics").await;
    // Its answer tells that the server has read what was sent before.
    let mut probe = server.connect().await;
    ask(&mut probe, "/health").await;
    answer(&mut probe).await;

    server.stop();
    closed(&mut idle).await;
    closed(&mut half).await;
    assert!(TcpStream::connect(server.address).await.is_err());
    server.permits.add_permits(1);
    assert!(answer(&mut running).await.starts_with("HTTP/1.1 200"));
    timeout(PATIENCE, server.running).await.expect("the server does not end").unwrap();
}

#[tokio::test]
async fn a_scrape_that_never_ends_does_not_keep_the_server() {
    let mut server = Server::start(UNLIMITED, false);
    let mut stuck = server.connect().await;
    ask(&mut stuck, "/metrics").await;
    let mut probe = server.connect().await;
    ask(&mut probe, "/health").await;
    answer(&mut probe).await;
    server.stop();
    timeout(PATIENCE, server.running).await.expect("the server does not end").unwrap();
}
