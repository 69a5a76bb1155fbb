//! The web configuration in force, and the check of its files for changes.
//!
//! A read of a file can block, for example on a hung NFS mount, and one thread serves all connections. So the files are
//! checked on another thread, one check at a time. Each connection and each request requests a check that starts from
//! now on and waits for it at most [`CHECK_TIMEOUT`]; then the last valid rules stay in force until the read returns.

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
use super::snapshot::FileSnapshot;

/// How long a connection or request waits for a check of the files: shorter than the timeout of a probe, which is often
/// one second. A working disk takes less than a millisecond.
const CHECK_TIMEOUT: Duration = Duration::from_millis(500);

/// Counts the changes of the files by outcome.
#[derive(Debug, Clone, Default)]
pub(super) struct ReloadMetrics(Family<ReloadLabels, Counter>);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReloadLabels {
    outcome: &'static str,
}

const SUCCESS: ReloadLabels = ReloadLabels { outcome: "success" };
const FAILURE: ReloadLabels = ReloadLabels { outcome: "failure" };

impl ReloadMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        for labels in [SUCCESS, FAILURE] {
            drop(self.0.get_or_create(&labels));
        }
        registry.register(
            "exporter_web_config_reloads",
            "Reloads of the web configuration and of the files that it names, by outcome",
            self.0.clone(),
        );
    }
}

/// A web configuration file, the rules in force and the state of the checks for changes.
#[derive(Debug)]
pub(super) struct ReloadingConfig {
    path: PathBuf,
    rules: Mutex<Arc<Rules>>,
    /// The files as they were last read, valid or not. The lock is held while the files are read.
    snapshot: Mutex<FileSnapshot>,
    checks: Mutex<FileChecks>,
    /// The number of the last requested check that is done.
    done: watch::Sender<u64>,
    metrics: ReloadMetrics,
}

#[derive(Debug, Default)]
struct FileChecks {
    /// How many checks were requested.
    requested: u64,
    /// Since when a check is running.
    running_since: Option<Instant>,
    /// Whether a request timed out waiting for the running check.
    is_late: bool,
    /// Whether the next check reads the files even if they seem unchanged.
    is_forced: bool,
}

impl ReloadingConfig {
    /// Reads the file for the first time, without a timeout, because nothing can be served before.
    pub(super) fn load(path: PathBuf, metrics: ReloadMetrics) -> Result<Self, String> {
        let (snapshot, rules) = read(&path, None);
        Ok(Self {
            path,
            rules: Mutex::new(Arc::new(rules?)),
            snapshot: Mutex::new(snapshot),
            checks: Mutex::default(),
            done: watch::Sender::new(0),
            metrics,
        })
    }

    /// Returns the rules of the last check.
    pub(super) fn rules(&self) -> Arc<Rules> {
        lock(&self.rules).clone()
    }

    /// Returns the rules of a check that starts now or later, or of the last one if that check takes too long.
    pub(super) async fn checked_rules(self: &Arc<Self>) -> Arc<Rules> {
        let (number, deadline) = self.request_check(false);
        let mut done = self.done.subscribe();
        // `self` has the sender, so the channel is open.
        let check = done.wait_for(|done| *done >= number);
        if timeout_at(deadline, check).await.is_err() {
            self.note_late();
        }
        self.rules()
    }

    /// Reads the files again even if they seem unchanged, and logs the result.
    pub(super) fn reload(self: &Arc<Self>) {
        self.request_check(true);
    }

    /// Requests a check. Returns its number and the deadline for waiting, which has passed if the running check is
    /// already late.
    fn request_check(self: &Arc<Self>, is_forced: bool) -> (u64, Instant) {
        let mut checks = lock(&self.checks);
        checks.requested += 1;
        checks.is_forced |= is_forced;
        let since = *checks.running_since.get_or_insert_with(|| {
            tokio::spawn(self.clone().run_requested_checks());
            Instant::now()
        });
        (checks.requested, since + CHECK_TIMEOUT)
    }

    async fn run_requested_checks(self: Arc<Self>) {
        loop {
            let (requested, is_forced) = {
                let mut checks = lock(&self.checks);
                checks.running_since = Some(Instant::now());
                checks.is_late = false;
                (checks.requested, std::mem::take(&mut checks.is_forced))
            };
            let config = self.clone();
            if let Err(error) = spawn_blocking(move || config.check(is_forced)).await {
                tracing::error!(%error, "a check of the web configuration ended by a defect of this program");
            }
            self.done.send_replace(requested);
            let mut checks = lock(&self.checks);
            if checks.is_late {
                tracing::info!(file = %self.path.display(), "the web configuration can be read again");
            }
            if checks.requested == requested {
                checks.running_since = None;
                return;
            }
        }
    }

    fn note_late(&self) {
        let mut checks = lock(&self.checks);
        if checks.running_since.is_some() && !std::mem::replace(&mut checks.is_late, true) {
            let file = self.path.display();
            tracing::warn!(%file, "the web configuration cannot be read in time; the last one stays until it can");
        }
    }

    /// Reads the files if they have changed. This can block, for example on a hung NFS mount.
    fn check(&self, is_forced: bool) {
        let mut last = lock(&self.snapshot);
        if !is_forced && last.is_unchanged() {
            return;
        }
        let (snapshot, rules) = read(&self.path, Some(&self.rules()));
        let has_changed = !snapshot.has_same_content(&last);
        *last = snapshot;
        if !has_changed && !is_forced {
            return;
        }
        let file = self.path.display();
        let outcome = match rules {
            Ok(_) if !has_changed => {
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
        if has_changed {
            self.metrics.0.get_or_create(&outcome).inc();
        }
    }
}

/// Reads the configuration and the files that it names. Returns the snapshot of the files even if they are invalid.
fn read(path: &Path, before: Option<&Rules>) -> (FileSnapshot, Result<Rules, String>) {
    let mut snapshot = FileSnapshot::relative_to(path);
    let text = match snapshot.read(path.to_owned()) {
        Ok(bytes) => bytes,
        Err(error) => return (snapshot, Err(error.to_string())),
    };
    let rules = match std::str::from_utf8(&text) {
        Err(_) => Err("is not UTF-8 text".to_owned()),
        Ok(text) => match parse(text) {
            Err(error) => Err(error.to_string()),
            Ok(config) => Rules::new(config, &mut snapshot, before),
        },
    };
    (snapshot, rules)
}

/// Locks a mutex whose value changes by single assignments, so that it is consistent even after a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
