//! The web configuration in force, and the look at its files.
//!
//! Files may be on a volume that hangs, and one thread serves every connection. So they are looked at on a thread
//! beside it, one look at a time. Each connection and each request asks for a look that begins from now on, and waits
//! for it no longer than [`PATIENCE`]; then the last good rules stay in force until the volume answers.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};

use super::file::parse;
use super::rules::Rules;
use super::source::Reading;

/// How long a connection or request waits for a look at the files. A probe that gives up after a second is answered
/// before; a disk that works takes less than a millisecond.
const PATIENCE: Duration = Duration::from_millis(500);

/// Counts the changes of the files.
#[derive(Debug, Clone, Default)]
pub(super) struct Reloads(Family<Reload, Counter>);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reload {
    outcome: &'static str,
}

const SUCCESS: Reload = Reload { outcome: "success" };
const FAILURE: Reload = Reload { outcome: "failure" };

impl Reloads {
    pub(super) fn register(&self, registry: &mut Registry) {
        for reload in [SUCCESS, FAILURE] {
            drop(self.0.get_or_create(&reload));
        }
        registry.register(
            "exporter_web_config_reloads",
            "Changes of the web configuration and of the files that it names, by whether they could be used",
            self.0.clone(),
        );
    }
}

/// A web configuration file and what it amounts to.
#[derive(Debug)]
pub(super) struct Current {
    path: PathBuf,
    rules: Mutex<Arc<Rules>>,
    /// The last reading, usable or not. The lock is held while the files are read.
    reading: Mutex<Reading>,
    looks: Mutex<Looks>,
    /// How many requests for a look were fulfilled.
    fulfilled: watch::Sender<u64>,
    reloads: Reloads,
}

#[derive(Debug, Default)]
struct Looks {
    /// How many looks were asked for.
    asked: u64,
    /// Since when one is under way.
    since: Option<Instant>,
    /// Whether somebody's patience with it ended.
    is_late: bool,
    /// Whether the next one reads the files though they seem unchanged.
    is_forced: bool,
}

impl Current {
    /// Reads the file for the first time. This waits as long as it takes: without it nothing can be served.
    pub(super) fn load(path: PathBuf, reloads: Reloads) -> Result<Self, String> {
        let (reading, rules) = read(&path, None);
        Ok(Self {
            path,
            rules: Mutex::new(Arc::new(rules?)),
            reading: Mutex::new(reading),
            looks: Mutex::default(),
            fulfilled: watch::Sender::new(0),
            reloads,
        })
    }

    /// The rules as they were at the last look.
    pub(super) fn rules(&self) -> Arc<Rules> {
        lock(&self.rules).clone()
    }

    /// The rules by a look that begins now or later, or by the last one where that takes too long.
    pub(super) async fn looked_up(self: &Arc<Self>) -> Arc<Rules> {
        let (number, deadline) = self.ask(false);
        let mut fulfilled = self.fulfilled.subscribe();
        // The sender is in here, so that the channel is open.
        let look = fulfilled.wait_for(|fulfilled| *fulfilled >= number);
        if timeout_at(deadline, look).await.is_err() {
            self.note_late();
        }
        self.rules()
    }

    /// Reads the files again, whether or not they seem to have changed, and says in the log what came of it.
    pub(super) fn reload(self: &Arc<Self>) {
        self.ask(true);
    }

    /// Asks for a look: its number, and until when it is worth waiting for. A look that is late already is not.
    fn ask(self: &Arc<Self>, is_forced: bool) -> (u64, Instant) {
        let mut looks = lock(&self.looks);
        looks.asked += 1;
        looks.is_forced |= is_forced;
        let since = *looks.since.get_or_insert_with(|| {
            tokio::spawn(self.clone().look_until_nobody_asks());
            Instant::now()
        });
        (looks.asked, since + PATIENCE)
    }

    async fn look_until_nobody_asks(self: Arc<Self>) {
        loop {
            let (asked, is_forced) = {
                let mut looks = lock(&self.looks);
                looks.since = Some(Instant::now());
                looks.is_late = false;
                (looks.asked, std::mem::take(&mut looks.is_forced))
            };
            let current = self.clone();
            if let Err(error) = spawn_blocking(move || current.look(is_forced)).await {
                tracing::error!(%error, "a look at the web configuration ended by a defect of this program");
            }
            self.fulfilled.send_replace(asked);
            let mut looks = lock(&self.looks);
            if looks.is_late {
                tracing::info!(file = %self.path.display(), "the web configuration can be read again");
            }
            if looks.asked == asked {
                looks.since = None;
                return;
            }
        }
    }

    fn note_late(&self) {
        let mut looks = lock(&self.looks);
        if looks.since.is_some() && !std::mem::replace(&mut looks.is_late, true) {
            let file = self.path.display();
            tracing::warn!(%file, "the web configuration cannot be read in time; the last one stays until it can");
        }
    }

    /// Reads the files if they changed. This may block for as long as a volume hangs.
    fn look(&self, is_forced: bool) {
        let mut last = lock(&self.reading);
        if !is_forced && last.is_current() {
            return;
        }
        let (reading, rules) = read(&self.path, Some(&self.rules()));
        let is_news = !reading.found(&last);
        *last = reading;
        if !is_news && !is_forced {
            return;
        }
        let file = self.path.display();
        let outcome = match rules {
            Ok(_) if !is_news => {
                tracing::info!(%file, "read the web configuration again, it is the same");
                return;
            }
            Ok(rules) => {
                tracing::info!(%file, %rules, "reloaded the web configuration");
                *lock(&self.rules) = Arc::new(rules);
                SUCCESS
            }
            Err(error) => {
                tracing::error!(%file, %error, "the web configuration changed and cannot be used; the last one stays");
                FAILURE
            }
        };
        if is_news {
            self.reloads.0.get_or_create(&outcome).inc();
        }
    }
}

/// Reads the file and those that it names. Which files it took is known even where they cannot be used.
fn read(path: &Path, before: Option<&Rules>) -> (Reading, Result<Rules, String>) {
    let mut reading = Reading::relative_to(path);
    let text = match reading.read(path.to_owned()) {
        Ok(bytes) => bytes,
        Err(error) => return (reading, Err(error.to_string())),
    };
    let rules = match std::str::from_utf8(&text) {
        Err(_) => Err("is not UTF-8 text".to_owned()),
        Ok(text) => match parse(text) {
            Err(error) => Err(error.to_string()),
            Ok(config) => Rules::new(config, &mut reading, before),
        },
    };
    (reading, rules)
}

/// What is locked here changes by whole assignments, so that it is whole even if a holder panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
