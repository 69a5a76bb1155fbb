//! What is known and counted, shared by the recorder that changes it and the scrapes that show it.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::counts::{Counter, Counts, Distribution};
use super::record::Changes;
use super::tracker::{Moment, Novelty, Tracker};
use super::update::{RunUpdate, Timestamp};

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryResult {
    /// It was news about a run, or an internal error.
    Accepted,
    /// It was here before.
    Duplicate,
    /// It is about something else.
    Ignored,
    /// It cannot be read.
    Invalid,
    /// It has no signature, or a wrong one.
    BadSignature,
    /// It is about another account.
    WrongAccount,
    /// Its body is larger than allowed.
    TooLarge,
    /// There was no room for it, or it could not be received or written down in time.
    Overloaded,
}

impl DeliveryResult {
    /// Every result.
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

    /// The value of the label `result`.
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

/// What is known and counted.
#[derive(Debug)]
pub(crate) struct State {
    tracker: Tracker,
    /// The counts that a scrape shows. With durable state, those that are safe.
    shown: Counts,
    /// What is to be added to them.
    gathered: Counts,
    /// Stacks that left since the last commit.
    forgotten: Vec<Box<str>>,
    /// When the last well-signed delivery came.
    last_delivery: Option<Timestamp>,
    /// Whether what is gathered waits for a commit.
    is_durable: bool,
}

/// A handle to the state. The lock is held for a delivery, a commit's changes or a scrape, never across an await.
#[derive(Debug, Clone)]
pub struct Shared(Arc<Mutex<State>>);

/// What is to be written in one commit.
#[derive(Debug)]
pub(crate) struct Gathered {
    pub(crate) counts: Counts,
    pub(crate) forgotten: Vec<Box<str>>,
    pub(crate) changes: Changes,
    pub(crate) last_delivery: Option<Timestamp>,
}

impl Shared {
    /// Shares a state. `is_durable` says whether counts show only once they are committed.
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
        let state = State {
            tracker,
            shown,
            gathered: Counts::default(),
            forgotten: Vec::new(),
            last_delivery,
            is_durable,
        };
        Self(Arc::new(Mutex::new(state)))
    }

    /// # Panics
    /// If a thread panicked while it held the lock. The state may be inconsistent then, so it is neither shown nor
    /// written down: the recorder ends too, and with it the process.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("a panic has left the state half-done")
    }

    /// Counts a delivery that goes no further.
    pub fn count(&self, result: DeliveryResult) {
        let mut state = self.lock();
        state.gathered.increase(Counter::Deliveries, [result.label()], 1.0);
        state.show();
    }

    /// A delivery was well signed.
    pub fn received(&self, at: Timestamp) {
        let mut state = self.lock();
        state.last_delivery = state.last_delivery.max(Some(at));
    }

    /// Counts what a delivery says about a run.
    pub fn apply(&self, update: &RunUpdate, received: Moment) {
        let mut state = self.lock();
        let State { tracker, gathered, .. } = &mut *state;
        let result = match tracker.apply(update, received, gathered) {
            Novelty::New => DeliveryResult::Accepted,
            Novelty::Duplicate => DeliveryResult::Duplicate,
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
        let State { tracker, gathered, .. } = &mut *state;
        tracker.internal_error(severity, gathered);
        gathered.increase(Counter::Deliveries, [DeliveryResult::Accepted.label()], 1.0);
        state.show();
    }

    /// Lets go of what is too old.
    pub fn expire(&self, now: Moment) {
        let mut state = self.lock();
        let State { tracker, gathered, .. } = &mut *state;
        let mut gone = tracker.expire(now, gathered);
        state.forgotten.append(&mut gone);
        state.show();
    }

    /// Takes what is to be written down, if there is anything.
    pub(crate) fn gather(&self, now: Instant) -> Option<Gathered> {
        let mut state = self.lock();
        let changes = state.tracker.take_changes(now);
        if state.gathered.is_empty() && state.forgotten.is_empty() && changes.is_empty() {
            return None;
        }
        Some(Gathered {
            counts: mem::take(&mut state.gathered),
            forgotten: mem::take(&mut state.forgotten),
            changes,
            last_delivery: state.last_delivery,
        })
    }

    /// Whether there is something to write down.
    pub(crate) fn has_gathered(&self) -> bool {
        let state = self.lock();
        !state.gathered.is_empty() || !state.forgotten.is_empty()
    }

    /// Shows what is safe now.
    pub(crate) fn safe(&self, counts: &Counts, forgotten: &[Box<str>]) {
        self.lock().add_shown(counts, forgotten);
    }

    /// Lets `show` see the tracker, the counts that are shown, and when the last delivery came.
    pub(crate) fn view<T>(&self, show: impl FnOnce(&mut Tracker, &Counts, Option<Timestamp>) -> T) -> T {
        let state = &mut *self.lock();
        show(&mut state.tracker, &state.shown, state.last_delivery)
    }
}

impl State {
    /// Shows what is gathered, where it need not be safe first.
    fn show(&mut self) {
        if !self.is_durable {
            let (counts, forgotten) = (mem::take(&mut self.gathered), mem::take(&mut self.forgotten));
            self.add_shown(&counts, &forgotten);
        }
    }

    fn add_shown(&mut self, counts: &Counts, forgotten: &[Box<str>]) {
        self.shown.forget_stacks(forgotten);
        self.shown.add(counts);
    }
}

impl Moment {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let timestamp = Timestamp(u64::try_from(since_1970.as_micros()).unwrap_or(u64::MAX));
        Self { timestamp, instant: Instant::now() }
    }
}
