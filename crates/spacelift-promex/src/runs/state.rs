//! Runs and counts, shared by the recorder, which updates them, and the scrapes, which show them.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::counts::{Counter, Counts, Distribution};
use super::record::TrackerChanges;
use super::tracker::{DedupStatus, Moment, Tracker};
use super::update::{RunUpdate, Timestamp};

/// The result of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryResult {
    /// It reported a new state of a run, or an internal error.
    Accepted,
    /// It was received before.
    Duplicate,
    /// It is about neither a run nor an internal error.
    Ignored,
    /// Its body cannot be parsed.
    Invalid,
    /// Its signature is missing or wrong.
    BadSignature,
    /// It is from another account than `webhook.account`.
    WrongAccount,
    /// Its body is larger than allowed.
    TooLarge,
    /// The queue was full, the secret is not readable yet, or the commit took too long.
    Overloaded,
}

impl DeliveryResult {
    /// All results.
    pub const ALL: [Self; 8] = [
        Self::Accepted,
        Self::Duplicate,
        Self::Ignored,
        Self::Invalid,
        Self::BadSignature,
        Self::WrongAccount,
        Self::TooLarge,
        Self::Overloaded,
    ];

    /// Returns the value of the label `result`.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Ignored => "ignored",
            Self::Invalid => "invalid",
            Self::BadSignature => "bad_signature",
            Self::WrongAccount => "wrong_account",
            Self::TooLarge => "too_large",
            Self::Overloaded => "overloaded",
        }
    }
}

/// The runs, the stacks and all counts.
#[derive(Debug)]
pub(crate) struct RunsState {
    tracker: Tracker,
    /// The counts that scrapes show. With durable state, only committed ones.
    shown: Counts,
    /// Counts that are not in `shown` yet.
    gathered: Counts,
    /// Stacks that were removed since the last commit.
    removed_stacks: Vec<Box<str>>,
    /// The time of the last delivery with a valid signature.
    last_delivery: Option<Timestamp>,
    /// Whether counts are shown only once they are committed.
    is_durable: bool,
}

/// A handle to the runs and counts. The lock is held for one delivery, one commit's changes or one scrape, never across
/// an await.
#[derive(Debug, Clone)]
pub struct SharedRuns(Arc<Mutex<RunsState>>);

/// The data of one commit.
#[derive(Debug)]
pub(crate) struct Gathered {
    pub(crate) counts: Counts,
    pub(crate) removed_stacks: Vec<Box<str>>,
    pub(crate) changes: TrackerChanges,
    pub(crate) last_delivery: Option<Timestamp>,
}

impl SharedRuns {
    /// Creates the shared state. `is_durable`: whether counts are shown only once they are committed.
    #[must_use]
    pub fn new(
        tracker: Tracker,
        mut shown: Counts,
        last_delivery: Option<Timestamp>,
        is_durable: bool,
    ) -> Self {
        for result in DeliveryResult::ALL {
            shown.increase(Counter::Deliveries, [result.label()], 0.0);
        }
        shown.increase(Counter::StackLimitExceeded, [], 0.0);
        let state = RunsState {
            tracker,
            shown,
            gathered: Counts::default(),
            removed_stacks: Vec::new(),
            last_delivery,
            is_durable,
        };
        Self(Arc::new(Mutex::new(state)))
    }

    /// # Panics
    /// Panics if a thread panicked while it held the lock. The state may be inconsistent then, so it must be neither shown
    /// nor committed. The recorder panics too, which ends the process.
    fn lock(&self) -> MutexGuard<'_, RunsState> {
        self.0.lock().expect("a panic may have left the state inconsistent")
    }

    /// Counts a delivery that is not passed to the recorder.
    pub fn count(&self, result: DeliveryResult) {
        let mut state = self.lock();
        state.gathered.increase(Counter::Deliveries, [result.label()], 1.0);
        state.show();
    }

    /// Notes the receipt of a delivery with a valid signature.
    pub fn note_received(&self, at: Timestamp) {
        let mut state = self.lock();
        state.last_delivery = state.last_delivery.max(Some(at));
    }

    /// Applies a delivery about a run.
    pub fn apply(&self, update: &RunUpdate, received: Moment) {
        let mut state = self.lock();
        let RunsState { tracker, gathered, .. } = &mut *state;
        let result = match tracker.apply(update, received, gathered) {
            DedupStatus::New => DeliveryResult::Accepted,
            DedupStatus::Duplicate => DeliveryResult::Duplicate,
        };
        if let Some(at) = update.at {
            gathered.observe(Distribution::DeliveryDelay, [], received.timestamp.seconds_since(at));
        }
        gathered.increase(Counter::Deliveries, [result.label()], 1.0);
        state.show();
    }

    /// Counts an internal error of Spacelift.
    pub fn internal_error(&self, severity: &str) {
        let mut state = self.lock();
        let RunsState { tracker, gathered, .. } = &mut *state;
        tracker.internal_error(severity, gathered);
        gathered.increase(Counter::Deliveries, [DeliveryResult::Accepted.label()], 1.0);
        state.show();
    }

    /// Removes expired runs, stacks and ids.
    pub fn expire(&self, now: Moment) {
        let mut state = self.lock();
        let RunsState { tracker, gathered, .. } = &mut *state;
        let mut removed = tracker.expire(now, gathered);
        state.removed_stacks.append(&mut removed);
        state.show();
    }

    /// Takes the data of the next commit, if there is any.
    pub(crate) fn gather(&self, now: Instant) -> Option<Gathered> {
        let mut state = self.lock();
        let changes = state.tracker.take_changes(now);
        if state.gathered.is_empty() && state.removed_stacks.is_empty() && changes.is_empty() {
            return None;
        }
        Some(Gathered {
            counts: mem::take(&mut state.gathered),
            removed_stacks: mem::take(&mut state.removed_stacks),
            changes,
            last_delivery: state.last_delivery,
        })
    }

    /// Returns whether there is something to commit.
    pub(crate) fn has_gathered(&self) -> bool {
        let state = self.lock();
        !state.gathered.is_empty() || !state.removed_stacks.is_empty()
    }

    /// Adds committed counts to those that scrapes show.
    pub(crate) fn add_committed(&self, counts: &Counts, removed_stacks: &[Box<str>]) {
        self.lock().add_shown(counts, removed_stacks);
    }

    /// Calls `read` with the tracker, the shown counts, and the time of the last delivery.
    pub(crate) fn view<T>(&self, read: impl FnOnce(&mut Tracker, &Counts, Option<Timestamp>) -> T) -> T {
        let state = &mut *self.lock();
        read(&mut state.tracker, &state.shown, state.last_delivery)
    }
}

impl RunsState {
    /// Shows the gathered counts, unless they must be committed first.
    fn show(&mut self) {
        if !self.is_durable {
            let (counts, removed_stacks) =
                (mem::take(&mut self.gathered), mem::take(&mut self.removed_stacks));
            self.add_shown(&counts, &removed_stacks);
        }
    }

    /// Adds to the shown counts.
    fn add_shown(&mut self, counts: &Counts, removed_stacks: &[Box<str>]) {
        self.shown.remove_stacks(removed_stacks);
        self.shown.add(counts);
    }
}

impl Moment {
    /// Returns the current time.
    #[must_use]
    pub fn now() -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let timestamp = Timestamp(u64::try_from(since_1970.as_micros()).unwrap_or(u64::MAX));
        Self { timestamp, instant: Instant::now() }
    }
}
