//! Scrapes at a steady pace, whatever happens to the earlier ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use harness::{Exporter, get};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval, timeout};

/// A scrape that takes longer than this would be lost to Prometheus.
const DEADLINE: Duration = Duration::from_secs(10);

/// Scrapes of an exporter until they are finished.
pub(crate) struct Scrapes {
    answered: Arc<AtomicU64>,
    stop: watch::Sender<()>,
    scraping: JoinHandle<Vec<String>>,
}

impl Scrapes {
    pub(crate) fn start(exporter: &Exporter, in_a_second: u32) -> Self {
        let url = format!("http://{}/metrics", exporter.address);
        let answered = Arc::new(AtomicU64::new(0));
        let (stop, stopped) = watch::channel(());
        let scraping = tokio::spawn(scrape(url, in_a_second, answered.clone(), stopped));
        Self { answered, stop, scraping }
    }

    pub(crate) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Stops, and says which scrapes got no answer.
    pub(crate) async fn finish(self) -> Vec<String> {
        drop(self.stop);
        self.scraping.await.unwrap()
    }
}

async fn scrape(
    url: String,
    in_a_second: u32,
    answered: Arc<AtomicU64>,
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
                let (url, answered) = (url.clone(), answered.clone());
                running.spawn(async move {
                    let answer = timeout(DEADLINE, get(&url, &[])).await.expect("an answer in time");
                    // 500 says that the service behind it is gone.
                    assert!([200, 500].contains(&answer.status), "status {}", answer.status);
                    answered.fetch_add(1, Ordering::Relaxed);
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
