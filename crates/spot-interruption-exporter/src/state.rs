//! The state shared by the pipeline, which changes it, and by scrapes, which show it.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use crate::attribution::Attribution;
use crate::interruptions::Recent;
use crate::ledger::Ledger;
use crate::source::Queue;

/// State of the pipeline. The lock is held for one batch or one scrape, never across an await.
#[derive(Debug)]
pub struct PipelineState<T> {
    /// The state machine.
    pub attribution: Attribution<T>,
    /// The counts. With durable state, only what is safe on disk.
    pub ledger: Ledger,
    /// By profile: whether it has or had spot instances or an interruption. Such a profile is exported, first with
    /// zero, and stays exported.
    pub(crate) shown: Vec<bool>,
    /// The last interruptions, with instance names.
    pub(crate) recent: Recent,
    /// When messages and interruptions were last received.
    pub(crate) last: LastSeen,
}

/// Times of the last messages and interruptions, by queue.
#[derive(Debug, Default)]
pub(crate) struct LastSeen {
    taken: [Option<Instant>; Queue::COUNT],
    interruptions: [Option<Instant>; Queue::COUNT],
}

impl LastSeen {
    /// Notes that a message or an operation was received.
    pub(crate) fn note_taken(&mut self, queue: Queue, now: Instant) {
        self.taken[queue.number()] = Some(now);
    }

    /// Notes that an interruption was counted.
    pub(crate) fn note_interruption(&mut self, queue: Queue, now: Instant) {
        self.interruptions[queue.number()] = Some(now);
    }

    /// Time of the last message or operation from one of these queues.
    pub(crate) fn taken(&self, queues: &[Queue]) -> Option<Instant> {
        queues.iter().filter_map(|queue| self.taken[queue.number()]).max()
    }

    /// Time of the last interruption from one of these queues.
    pub(crate) fn interruption(&self, queues: &[Queue]) -> Option<Instant> {
        queues.iter().filter_map(|queue| self.interruptions[queue.number()]).max()
    }
}

/// Shared handle of the state.
#[derive(Debug)]
pub struct SharedState<T>(Arc<Mutex<PipelineState<T>>>);

impl<T> Clone for SharedState<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> SharedState<T> {
    /// Creates a shared state.
    pub fn new(attribution: Attribution<T>, ledger: Ledger) -> Self {
        Self(Arc::new(Mutex::new(PipelineState {
            attribution,
            ledger,
            shown: Vec::new(),
            recent: Recent::default(),
            last: LastSeen::default(),
        })))
    }

    /// Locks the state.
    ///
    /// # Panics
    /// If a thread panicked while it held the lock. The state may then be inconsistent, so it is neither shown nor
    /// stored: every task that needs the state ends, and with the pipeline the process exits.
    pub fn lock(&self) -> MutexGuard<'_, PipelineState<T>> {
        self.0.lock().expect("a panic left the state incomplete")
    }
}

impl<T> SharedState<T> {
    /// Drops the tokens of all held messages, so that the messages are delivered again.
    pub(crate) fn forget_held(&self) {
        self.lock().attribution.forget_held();
    }
}

impl<T> PipelineState<T> {
    /// Marks profiles that have spot instances or interruptions as shown.
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
