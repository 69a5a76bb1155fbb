//! What is known and counted, shared by the pipeline that changes it and the scrapes that show it.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use crate::attribution::Attribution;
use crate::interruptions::Recent;
use crate::ledger::Ledger;
use crate::source::Queue;

/// What the pipeline knows and has counted, shared with the scrape. The lock is held for the time of a batch or
/// of a scrape, never across an await.
#[derive(Debug)]
pub struct State<T> {
    /// The state machine.
    pub attribution: Attribution<T>,
    /// The counts so far. With durable state, those that are safe.
    pub ledger: Ledger,
    /// By profile: whether it has or had spot instances, or an interruption. It is shown from zero on and for good.
    pub(crate) shown: Vec<bool>,
    /// The last interruptions by name.
    pub(crate) recent: Recent,
    /// When something came last.
    pub(crate) last: Last,
}

/// When something came last, by queue.
#[derive(Debug, Default)]
pub(crate) struct Last {
    taken: [Option<Instant>; Queue::ALL.len()],
    interruptions: [Option<Instant>; Queue::ALL.len()],
}

impl Last {
    /// A message or an operation was taken.
    pub(crate) fn note_taken(&mut self, queue: Queue, now: Instant) {
        self.taken[queue as usize] = Some(now);
    }

    /// It turned out to be an interruption that counts.
    pub(crate) fn note_interruption(&mut self, queue: Queue, now: Instant) {
        self.interruptions[queue as usize] = Some(now);
    }

    /// When something was last taken from one of these queues.
    pub(crate) fn taken(&self, queues: &[Queue]) -> Option<Instant> {
        queues.iter().filter_map(|queue| self.taken[*queue as usize]).max()
    }

    /// When an interruption was last learnt from one of these queues.
    pub(crate) fn interruption(&self, queues: &[Queue]) -> Option<Instant> {
        queues.iter().filter_map(|queue| self.interruptions[*queue as usize]).max()
    }
}

/// A handle to the state.
#[derive(Debug)]
pub struct Shared<T>(Arc<Mutex<State<T>>>);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Shared<T> {
    /// Shares a state.
    pub fn new(attribution: Attribution<T>, ledger: Ledger) -> Self {
        Self(Arc::new(Mutex::new(State {
            attribution,
            ledger,
            shown: Vec::new(),
            recent: Recent::default(),
            last: Last::default(),
        })))
    }

    /// The state, for a moment.
    ///
    /// # Panics
    /// If a thread panicked while it held the lock. The state may be inconsistent then, so it is neither shown nor written
    /// down: every task that needs it ends too, and with the pipeline the process.
    pub fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().expect("a panic has left the state half-done")
    }
}

impl<T> Shared<T> {
    /// Drops the tokens of everything that is held, and with them the claim on their messages.
    pub(crate) fn forget_held(&self) {
        self.lock().attribution.forget_held();
    }
}

impl<T> State<T> {
    /// Notices which profiles are to be shown from now on.
    pub fn notice(&mut self) {
        let running = self.attribution.inventory().spot_running();
        self.shown.resize(running.len().max(self.shown.len()), false);
        for (shown, running) in self.shown.iter_mut().zip(running) {
            *shown |= *running > 0;
        }
        for (profile, _) in self.ledger.interruptions.keys() {
            if let Some(shown) = self.shown.get_mut(profile.index()) {
                *shown = true;
            }
        }
    }
}
