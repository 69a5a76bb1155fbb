//! Many slow and silent clients.

use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::{Exporter, skipped};

/// Tasks that open connections concurrently.
const WORKERS: usize = 10;

/// The time between two lines of a slow request.
const LINE_INTERVAL: Duration = Duration::from_millis(500);

/// Descriptors that a test needs in addition to those of the clients.
const SPARE: u64 = 1_000;

/// Many client connections: half of them send nothing, the others send a request that never ends. Dropping this closes
/// them.
#[derive(Debug)]
pub struct SlowClients {
    size: usize,
    connected: Arc<Semaphore>,
    _clients: JoinSet<()>,
}

impl SlowClients {
    /// Starts to connect `size` clients. Returns `None` if the machine does not allow as many descriptors.
    pub fn connect(size: usize, address: &str) -> Option<Self> {
        if !allow_descriptors(size as u64 + SPARE) {
            skipped("the limit of open files is too low");
            return None;
        }
        let connected = Arc::new(Semaphore::new(0));
        let mut clients = JoinSet::new();
        for _ in 0..WORKERS {
            clients.spawn(run_clients(address.to_owned(), size / WORKERS, connected.clone()));
        }
        Some(Self { size: size / WORKERS * WORKERS, connected, _clients: clients })
    }

    /// Scrapes while the clients connect, and 20 more times after that. Each scrape has to succeed within `deadline`.
    /// Returns the maximum number of open descriptors of the exporter, and the last one: a socket stays open for a
    /// moment after its connection was closed.
    pub async fn scrape_meanwhile(&self, exporter: &Exporter, deadline: Duration) -> (f64, f64) {
        let mut descriptors = Vec::new();
        let mut left = 20;
        while left > 0 {
            let scrape = timeout(deadline, exporter.scrape()).await.expect("other clients delay a scrape");
            descriptors.push(scrape.sample("process_open_fds").unwrap());
            if self.is_complete() {
                left -= 1;
            }
        }
        (descriptors.iter().copied().fold(0.0, f64::max), descriptors[descriptors.len() - 1])
    }

    fn is_complete(&self) -> bool {
        self.connected.available_permits() == self.size
    }
}

async fn run_clients(address: String, size: usize, connected: Arc<Semaphore>) {
    let mut slow = Vec::new();
    let mut silent = Vec::new();
    for number in 0..size {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        if number % 2 == 0 {
            let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\n").await;
            slow.push(stream);
        } else {
            silent.push(stream);
        }
        connected.add_permits(1);
    }
    loop {
        sleep(LINE_INTERVAL).await;
        for stream in &mut slow {
            // The server may have closed the connection.
            let _ = stream.write_all(b"x: y\r\n").await;
        }
    }
}

/// Raises the limit of descriptors of this process and its children. Returns false if that is not allowed.
fn allow_descriptors(count: u64) -> bool {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= count) {
        return true;
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(count), maximum }).is_ok()
}
