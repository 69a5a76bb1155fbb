//! The public handle of a queue.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use tokio::{sync::watch, time::Instant};

use super::{
    core::{QueueCore, QueueCounts},
    faults::QueueFaults,
    messages::Received,
};
use crate::aws::{
    error::{AwsError, Result},
    time::ServiceClock,
};

/// The default limit of messages in flight.
const IN_FLIGHT: u64 = 120_000;

/// A queue. Clones are the same queue.
#[derive(Clone)]
pub struct Queue(Arc<Inner>);

pub(super) struct Inner {
    account: String,
    region: String,
    name: String,
    /// The URL of the server.
    base: Arc<OnceLock<String>>,
    clock: Arc<ServiceClock>,
    created: SystemTime,
    core: Mutex<QueueCore>,
    /// Wakes waiting receives: messages have become visible.
    arrivals: watch::Sender<()>,
    /// Wakes waiting tests: the counts have changed.
    changes: watch::Sender<()>,
    receives_events: AtomicBool,
    is_denied: AtomicBool,
    is_deleted: AtomicBool,
    in_flight_limit: AtomicU64,
    /// Other accounts that may use the queue.
    allowed: RwLock<HashSet<String>>,
}

impl Queue {
    pub(super) fn new(
        account: &str,
        region: &str,
        name: &str,
        base: Arc<OnceLock<String>>,
        clock: Arc<ServiceClock>,
        seed: u64,
    ) -> Self {
        Self(Arc::new(Inner {
            account: account.to_owned(),
            region: region.to_owned(),
            name: name.to_owned(),
            base,
            created: clock.now(),
            clock,
            core: Mutex::new(QueueCore::new(seed)),
            arrivals: watch::Sender::new(()),
            changes: watch::Sender::new(()),
            receives_events: AtomicBool::new(true),
            is_denied: AtomicBool::new(false),
            is_deleted: AtomicBool::new(false),
            in_flight_limit: AtomicU64::new(IN_FLIGHT),
            allowed: RwLock::default(),
        }))
    }

    /// Returns the account id.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.0.account
    }

    /// Returns the region.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.0.region
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns the URL on the simulated server: `http://127.0.0.1:8087/123456789012/NAME`.
    #[must_use]
    pub fn url(&self) -> String {
        let base = self.0.base.get().map_or("", String::as_str);
        format!("{base}/{}/{}", self.0.account, self.0.name)
    }

    /// Returns the URL on AWS, which requests may contain too: `https://sqs.eu-central-1.amazonaws.com/123456789012/NAME`.
    #[must_use]
    pub fn aws_url(&self) -> String {
        format!("https://sqs.{}.amazonaws.com/{}/{}", self.0.region, self.0.account, self.0.name)
    }

    /// Returns the ARN.
    #[must_use]
    pub fn arn(&self) -> String {
        format!("arn:aws:sqs:{}:{}:{}", self.0.region, self.0.account, self.0.name)
    }

    /// Sends a message. Returns its message id.
    pub fn send(&self, body: impl AsRef<str>) -> String {
        let id = self.core().send(body.as_ref(), self.0.clock.now());
        self.notify(true);
        id
    }

    /// Sends messages with one notification of the waiting receives.
    pub fn send_all<B: AsRef<str>>(&self, bodies: impl IntoIterator<Item = B>) {
        let now = self.0.clock.now();
        {
            let mut core = self.core();
            for body in bodies {
                core.send(body.as_ref(), now);
            }
        }
        self.notify(true);
    }

    /// Returns the counts.
    #[must_use]
    pub fn counts(&self) -> QueueCounts {
        let mut core = self.core();
        core.tick(Instant::now());
        core.counts
    }

    /// Returns the number of messages that can be received now.
    #[must_use]
    pub fn visible(&self) -> u64 {
        self.counts().visible
    }

    /// Returns the number of messages in flight.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.counts().in_flight
    }

    /// Returns the number of messages deleted since the start.
    #[must_use]
    pub fn deleted(&self) -> u64 {
        self.counts().deleted
    }

    /// Returns the bodies of all messages that are not deleted, in the order in which they were sent.
    #[must_use]
    pub fn bodies(&self) -> Vec<String> {
        self.core().bodies().iter().map(ToString::to_string).collect()
    }

    /// Makes all messages in flight visible, as if their visibility timeouts had expired.
    pub fn expire_all(&self) {
        self.core().expire_all();
        self.notify(true);
    }

    /// Waits until the counts fulfil a condition, also by expiring visibility timeouts.
    pub async fn wait_until(&self, condition: impl Fn(&QueueCounts) -> bool) {
        let mut changes = self.0.changes.subscribe();
        loop {
            let next = {
                let mut core = self.core();
                core.tick(Instant::now());
                if condition(&core.counts) {
                    return;
                }
                core.next_deadline()
            };
            wait(&mut changes, next).await;
        }
    }

    /// Waits until `count` messages have been deleted since the start.
    pub async fn wait_until_deleted(&self, count: u64) {
        self.wait_until(|counts| counts.deleted >= count).await;
    }

    /// Waits until the queue is empty: every message is deleted.
    pub async fn wait_until_drained(&self) {
        self.wait_until(|counts| counts.visible == 0 && counts.in_flight == 0).await;
    }

    /// Sets the faults.
    pub fn set_faults(&self, faults: QueueFaults) {
        self.core().faults = faults;
    }

    /// Returns the faults.
    #[must_use]
    pub fn faults(&self) -> QueueFaults {
        self.core().faults.clone()
    }

    /// Lets the next `count` entries of batch requests fail with a code, inside of a response with status 200.
    pub fn fail_entries(&self, count: u64, code: &str) {
        let mut core = self.core();
        core.faults.failed_entries = count;
        code.clone_into(&mut core.faults.failed_entries_code);
    }

    /// Sets whether requests fail with `AccessDeniedException`.
    pub fn set_denied(&self, is_denied: bool) {
        self.0.is_denied.store(is_denied, Ordering::Relaxed);
    }

    /// Sets whether the queue is deleted: requests fail with `QueueDoesNotExist`, and waiting receives too.
    /// The messages are lost.
    pub fn set_deleted(&self, is_deleted: bool) {
        self.0.is_deleted.store(is_deleted, Ordering::Relaxed);
        if is_deleted {
            self.core().clear();
        }
        self.notify(true);
    }

    /// Sets whether the events of the region are sent to the queue. The default is true.
    pub fn set_receives_events(&self, receives: bool) {
        self.0.receives_events.store(receives, Ordering::Relaxed);
    }

    /// Lets another account use the queue.
    pub fn allow_account(&self, account: impl Into<String>) {
        self.0.allowed.write().unwrap_or_else(PoisonError::into_inner).insert(account.into());
    }

    /// Sets the limit of messages in flight, above which receives return `OverLimit` or, with a wait time,
    /// nothing. The default is 120,000.
    pub fn set_in_flight_limit(&self, limit: u64) {
        self.0.in_flight_limit.store(limit, Ordering::Relaxed);
    }

    pub(in crate::aws) fn takes_events_of(&self, region: &str) -> bool {
        self.0.receives_events.load(Ordering::Relaxed) && self.0.region == region
    }

    pub(super) fn created(&self) -> SystemTime {
        self.0.created
    }

    /// Checks that the queue exists and that the account may use it.
    pub(super) fn admit(&self, account: &str, action: &str) -> Result<()> {
        if self.0.is_deleted.load(Ordering::Relaxed) {
            return Err(AwsError::of_code("QueueDoesNotExist"));
        }
        let is_allowed = self.0.account == account
            || self.0.allowed.read().unwrap_or_else(PoisonError::into_inner).contains(account);
        if self.0.is_denied.load(Ordering::Relaxed) || !is_allowed {
            let message = format!(
                "User: arn:aws:iam::{account}:user/simulated is not authorized to perform: sqs:{} on resource: \
                 {} because no resource-based policy allows the sqs:{0} action",
                action.to_lowercase(),
                self.arn(),
            );
            return Err(AwsError::of_code("AccessDeniedException").message(message));
        }
        Ok(())
    }

    /// Receives up to `most` messages. Waits until a message is visible, at most for `wait`.
    pub(super) async fn receive(
        &self,
        most: usize,
        timeout: Duration,
        wait_time: Duration,
    ) -> Result<Vec<Received>> {
        let end = Instant::now() + wait_time;
        let mut arrivals = self.0.arrivals.subscribe();
        loop {
            if self.0.is_deleted.load(Ordering::Relaxed) {
                return Err(AwsError::of_code("QueueDoesNotExist"));
            }
            let now = Instant::now();
            let (received, next) = {
                let mut core = self.core();
                core.tick(now);
                let left =
                    self.0.in_flight_limit.load(Ordering::Relaxed).saturating_sub(core.counts.in_flight);
                if left == 0 && wait_time.is_zero() {
                    return Err(AwsError::of_code("OverLimit"));
                }
                let most = most.min(usize::try_from(left).unwrap_or(usize::MAX));
                (core.receive(most, timeout, now, self.0.clock.now()), core.next_deadline())
            };
            if !received.is_empty() {
                self.notify(false);
                return Ok(received);
            }
            if now >= end {
                return Ok(received);
            }
            wait(&mut arrivals, Some(next.map_or(end, |next| next.min(end)))).await;
        }
    }

    pub(super) fn delete(&self, handle: &str) -> Result<()> {
        let result = self.core().delete(handle);
        self.notify(false);
        result
    }

    pub(super) fn change_visibility(&self, handle: &str, timeout: Duration) -> Result<()> {
        let result = self.core().change_visibility(handle, timeout, Instant::now());
        self.notify(true);
        result
    }

    pub(super) fn entry_failure(&self) -> Option<AwsError> {
        self.core().entry_failure()
    }

    fn core(&self) -> MutexGuard<'_, QueueCore> {
        self.0.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn notify(&self, arrived: bool) {
        if arrived {
            self.0.arrivals.send_replace(());
        }
        self.0.changes.send_replace(());
    }
}

/// Waits for a change or until a time.
async fn wait(changes: &mut watch::Receiver<()>, until: Option<Instant>) {
    // The sender exists as long as the queue, which the callers hold.
    match until {
        Some(until) => drop(tokio::time::timeout_at(until, changes.changed()).await),
        None => drop(changes.changed().await),
    }
}
