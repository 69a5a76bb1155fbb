//! The task between the receiver and the counts: takes deliveries from a bounded queue, and commits what follows.

use std::time::Duration;

use exporter_common::durable::Journal;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use super::state::Shared;
use super::store::{Batch, Store};
use super::tracker::Moment;
use super::update::RunUpdate;

/// Deliveries that may wait to be processed.
const QUEUE: usize = 100_000;

/// Deliveries that are processed before others have their turn.
const TURN: usize = 256;

/// How often what is too old is looked for.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(1);

/// A delivery to be processed.
#[derive(Debug)]
pub(crate) struct Job {
    /// What it says.
    pub(crate) event: JobEvent,
    /// When it came.
    pub(crate) received: Moment,
}

/// A delivery in the queue, and the channel that reports its commit.
type Queued = (Job, Option<oneshot::Sender<()>>);

/// What a delivery says.
#[derive(Debug)]
pub(crate) enum JobEvent {
    Run(Box<RunUpdate>),
    InternalError(String),
}

/// The queue of the recorder.
#[derive(Debug, Clone)]
pub(crate) struct Jobs {
    queue: mpsc::Sender<Queued>,
    is_durable: bool,
}

/// There was no room for a delivery, or it was not safe in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused;

/// How long a delivery may wait until it is safe.
const COMMIT_TIME: Duration = Duration::from_secs(10);

impl Jobs {
    /// Has a delivery processed. With durable state it waits until what follows is safe.
    ///
    /// # Errors
    /// There is no room for it, or it is not safe in time.
    pub(crate) async fn submit(&self, job: Job) -> Result<(), Refused> {
        if !self.is_durable {
            return self.queue.try_send((job, None)).map_err(|_| Refused);
        }
        let (safe, is_safe) = oneshot::channel();
        self.queue.try_send((job, Some(safe))).map_err(|_| Refused)?;
        match timeout(COMMIT_TIME, is_safe).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Refused),
        }
    }
}

/// Processes deliveries.
#[derive(Debug)]
pub(crate) struct Recorder {
    state: Shared,
    jobs: mpsc::Receiver<Queued>,
    journal: Option<Journal<Waiting, Store>>,
    waiting: Waiting,
}

/// Those whose deliveries wait for a commit.
type Waiting = Vec<oneshot::Sender<()>>;

impl Recorder {
    /// A recorder that changes `state`, and its queue.
    pub(crate) fn new(state: Shared, journal: Option<Journal<Waiting, Store>>) -> (Self, Jobs) {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let is_durable = journal.is_some();
        (Self { state, jobs, journal, waiting: Waiting::new() }, Jobs { queue, is_durable })
    }

    /// Runs until there is no queue any more, and writes down what is left.
    pub(crate) async fn run(mut self) {
        let mut expiry = interval(EXPIRY_INTERVAL);
        expiry.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut turn = Vec::with_capacity(TURN);
        loop {
            let next_commit =
                self.journal.as_ref().and_then(|journal| journal.next_commit(self.state.has_gathered()));
            tokio::select! {
                count = self.jobs.recv_many(&mut turn, TURN) => {
                    if count == 0 {
                        break;
                    }
                    for job in turn.drain(..) {
                        self.process(job);
                    }
                    tokio::task::yield_now().await;
                }
                committed = committed(self.journal.as_mut()) => {
                    if let Some((batch, waiting)) = committed {
                        count(&self.state, &batch, waiting);
                    }
                }
                () = until(next_commit) => self.commit(),
                _ = expiry.tick() => self.state.expire(Moment::now()),
            }
        }
        self.finish().await;
    }

    fn process(&mut self, (job, safe): Queued) {
        let Job { event, received } = job;
        match event {
            JobEvent::Run(update) => self.state.apply(&update, received),
            JobEvent::InternalError(severity) => self.state.internal_error(&severity),
        }
        self.waiting.extend(safe);
    }

    fn commit(&mut self) {
        let Self { state, journal, waiting, .. } = self;
        if let Some(journal) = journal {
            journal.start_if_due(|now| gather(state, waiting, now));
        }
    }

    async fn finish(self) {
        let Self { state, journal, mut waiting, .. } = self;
        let Some(journal) = journal else { return };
        let is_safe = journal
            .finish(|now| gather(&state, &mut waiting, now), |batch, waiting| count(&state, &batch, waiting))
            .await;
        if !is_safe {
            tracing::warn!("the last deliveries could not be written down");
        }
    }
}

fn gather(state: &Shared, waiting: &mut Waiting, now: std::time::Instant) -> Option<(Batch, Waiting)> {
    let gathered = state.gather(now)?;
    Some((Batch { gathered, now }, std::mem::take(waiting)))
}

/// Shows what is safe, and tells those who wait for it.
fn count(state: &Shared, batch: &Batch, waiting: Waiting) {
    state.safe(&batch.gathered.counts, &batch.gathered.forgotten);
    for safe in waiting {
        // Its client may have gone away.
        let _ = safe.send(());
    }
}

async fn committed(journal: Option<&mut Journal<Waiting, Store>>) -> Option<(Batch, Waiting)> {
    match journal {
        Some(journal) => journal.committed().await,
        None => std::future::pending().await,
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
