//! Clients that take up room.

use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::{Exporter, skipped};

/// Clients that connect at the same time, each again and again.
const WORKERS: usize = 10;

/// Between two lines of a slow request.
const DRIP: Duration = Duration::from_millis(500);

/// Descriptors that a test needs beside those of its crowd.
const SPARE: u64 = 1_000;

/// Many connections that want nothing: half of them say nothing at all, the others send a request that never ends.
/// They leave when dropped.
#[derive(Debug)]
pub struct Crowd {
    size: usize,
    arrived: Arc<Semaphore>,
    _clients: JoinSet<()>,
}

impl Crowd {
    /// Begins to connect. `None` where the machine does not allow for as many descriptors.
    pub fn of(size: usize, address: &str) -> Option<Self> {
        if !allow_descriptors(size as u64 + SPARE) {
            skipped("the limit of open files is too low");
            return None;
        }
        let arrived = Arc::new(Semaphore::new(0));
        let mut clients = JoinSet::new();
        for _ in 0..WORKERS {
            clients.spawn(take_up_room(address.to_owned(), size / WORKERS, arrived.clone()));
        }
        Some(Self { size: size / WORKERS * WORKERS, arrived, _clients: clients })
    }

    /// Scrapes while the crowd comes, and for a while once it is there. Each scrape has to succeed within `deadline`.
    /// The answer is the most descriptors that the exporter had open, and those that it had at last: a socket stays
    /// open for a moment after its connection was turned away.
    pub async fn scrape_amid(&self, exporter: &Exporter, deadline: Duration) -> (f64, f64) {
        let mut descriptors = Vec::new();
        let mut left = 20;
        while left > 0 {
            let scrape = timeout(deadline, exporter.scrape()).await.expect("a crowd keeps a scrape waiting");
            descriptors.push(scrape.sample("process_open_fds").unwrap());
            if self.is_complete() {
                left -= 1;
            }
        }
        (descriptors.iter().copied().fold(0.0, f64::max), descriptors[descriptors.len() - 1])
    }

    fn is_complete(&self) -> bool {
        self.arrived.available_permits() == self.size
    }
}

async fn take_up_room(address: String, size: usize, arrived: Arc<Semaphore>) {
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
        arrived.add_permits(1);
    }
    loop {
        sleep(DRIP).await;
        for stream in &mut slow {
            // The server may have had enough of it.
            let _ = stream.write_all(b"x: y\r\n").await;
        }
    }
}

/// Raises this process's limit of descriptors, and that of the processes it starts.
fn allow_descriptors(count: u64) -> bool {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= count) {
        return true;
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(count), maximum }).is_ok()
}
