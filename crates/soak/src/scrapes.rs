//! Scrapes at a fixed rate, independent of running scrapes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use harness::{Exporter, get};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval, timeout};

/// Prometheus' default scrape timeout.
const DEADLINE: Duration = Duration::from_secs(10);

/// Running scrapes of an exporter.
pub(crate) struct Scrapes {
    completed: Arc<AtomicU64>,
    stop: watch::Sender<()>,
    scraping: JoinHandle<Vec<String>>,
}

impl Scrapes {
    pub(crate) fn start(exporter: &Exporter, in_a_second: u32) -> Self {
        let url = format!("http://{}/metrics", exporter.address);
        let completed = Arc::new(AtomicU64::new(0));
        let (stop, stopped) = watch::channel(());
        let scraping = tokio::spawn(scrape(url, in_a_second, completed.clone(), stopped));
        Self { completed, stop, scraping }
    }

    pub(crate) fn completed(&self) -> u64 {
        self.completed.load(Ordering::Relaxed)
    }

    /// Stops and returns the failures.
    pub(crate) async fn finish(self) -> Vec<String> {
        drop(self.stop);
        self.scraping.await.unwrap()
    }
}

async fn scrape(
    url: String,
    in_a_second: u32,
    completed: Arc<AtomicU64>,
    mut stop: watch::Receiver<()>,
) -> Vec<String> {
    let mut pace = interval(Duration::from_secs(1) / in_a_second);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut running = JoinSet::new();
    let mut failures = Vec::new();
    loop {
        tokio::select! {
            _ = stop.changed() => break,
            _ = pace.tick() => {
                let (url, completed) = (url.clone(), completed.clone());
                running.spawn(async move {
                    let response = timeout(DEADLINE, get(&url, &[])).await.expect("a response in time");
                    // 500 means that the upstream API failed.
                    assert!([200, 500].contains(&response.status), "status {}", response.status);
                    completed.fetch_add(1, Ordering::Relaxed);
                });
            }
            Some(ended) = running.join_next() => failures.extend(ended.err().map(|error| error.to_string())),
        }
    }
    while let Some(ended) = running.join_next().await {
        failures.extend(ended.err().map(|error| error.to_string()));
    }
    failures
}
