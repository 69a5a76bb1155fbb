//! The task that processes deliveries from a bounded queue and commits the counts.

use std::time::Duration;

use exporter_common::durable::Journal;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use super::state::SharedRuns;
use super::store::{Batch, Store};
use super::tracker::Moment;
use super::update::RunUpdate;

/// Capacity of the queue, in deliveries.
const QUEUE_CAPACITY: usize = 100_000;

/// Maximum number of deliveries that are processed before the task yields.
const BATCH_SIZE: usize = 256;

/// Interval at which expired runs, stacks and ids are removed.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(1);

/// A delivery to be processed.
#[derive(Debug)]
pub(crate) struct Job {
    /// The content of the delivery.
    pub(crate) event: JobEvent,
    /// The time of receipt.
    pub(crate) received: Moment,
}

/// A delivery in the queue, and the channel that reports its commit.
type Queued = (Job, Option<oneshot::Sender<()>>);

/// The content of a delivery.
#[derive(Debug)]
pub(crate) enum JobEvent {
    Run(Box<RunUpdate>),
    InternalError(String),
}

/// The sending half of the recorder's queue.
#[derive(Debug, Clone)]
pub(crate) struct JobQueue {
    queue: mpsc::Sender<Queued>,
    is_durable: bool,
}

/// The queue was full, or the commit did not complete within [`COMMIT_TIMEOUT`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SubmitError;

/// How long a delivery may wait for its commit.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(10);

impl JobQueue {
    /// Queues a delivery. With durable state, waits until its counts are committed.
    ///
    /// # Errors
    /// Returns an error if the queue is full, or if the commit does not complete within [`COMMIT_TIMEOUT`].
    pub(crate) async fn submit(&self, job: Job) -> Result<(), SubmitError> {
        if !self.is_durable {
            return self.queue.try_send((job, None)).map_err(|_| SubmitError);
        }
        let (committed, is_committed) = oneshot::channel();
        self.queue.try_send((job, Some(committed))).map_err(|_| SubmitError)?;
        match timeout(COMMIT_TIMEOUT, is_committed).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(SubmitError),
        }
    }
}

/// Processes deliveries and commits their counts.
#[derive(Debug)]
pub(crate) struct Recorder {
    state: SharedRuns,
    jobs: mpsc::Receiver<Queued>,
    journal: Option<Journal<PendingReplies, Store>>,
    pending: PendingReplies,
}

/// Channels that report the next commit to the requests that wait for it.
type PendingReplies = Vec<oneshot::Sender<()>>;

impl Recorder {
    /// Creates a recorder that updates `state`, and its queue.
    pub(crate) fn new(
        state: SharedRuns,
        journal: Option<Journal<PendingReplies, Store>>,
    ) -> (Self, JobQueue) {
        let (queue, jobs) = mpsc::channel(QUEUE_CAPACITY);
        let is_durable = journal.is_some();
        (Self { state, jobs, journal, pending: PendingReplies::new() }, JobQueue { queue, is_durable })
    }

    /// Runs until all senders of the queue are dropped, and commits what is left.
    pub(crate) async fn run(mut self) {
        let mut expiry = interval(EXPIRY_INTERVAL);
        expiry.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut deliveries = Vec::with_capacity(BATCH_SIZE);
        loop {
            let next_commit =
                self.journal.as_ref().and_then(|journal| journal.next_commit(self.state.has_gathered()));
            tokio::select! {
                count = self.jobs.recv_many(&mut deliveries, BATCH_SIZE) => {
                    if count == 0 {
                        break;
                    }
                    for job in deliveries.drain(..) {
                        self.process(job);
                    }
                    tokio::task::yield_now().await;
                }
                committed = committed(self.journal.as_mut()) => {
                    if let Some((batch, pending)) = committed {
                        report(&self.state, &batch, pending);
                    }
                }
                () = until(next_commit) => self.commit(),
                _ = expiry.tick() => self.state.expire(Moment::now()),
            }
        }
        self.finish().await;
    }

    fn process(&mut self, (job, committed): Queued) {
        let Job { event, received } = job;
        match event {
            JobEvent::Run(update) => self.state.apply(&update, received),
            JobEvent::InternalError(severity) => self.state.internal_error(&severity),
        }
        self.pending.extend(committed);
    }

    fn commit(&mut self) {
        let Self { state, journal, pending, .. } = self;
        if let Some(journal) = journal {
            journal.start_if_due(|now| gather(state, pending, now));
        }
    }

    async fn finish(self) {
        let Self { state, journal, mut pending, .. } = self;
        let Some(journal) = journal else { return };
        let is_complete = journal
            .finish(|now| gather(&state, &mut pending, now), |batch, pending| report(&state, &batch, pending))
            .await;
        if !is_complete {
            tracing::warn!("the last deliveries could not be committed");
        }
    }
}

fn gather(
    state: &SharedRuns,
    pending: &mut PendingReplies,
    now: std::time::Instant,
) -> Option<(Batch, PendingReplies)> {
    let gathered = state.gather(now)?;
    Some((Batch { gathered, now }, std::mem::take(pending)))
}

/// Shows the committed counts, and answers the requests that wait for the commit.
fn report(state: &SharedRuns, batch: &Batch, pending: PendingReplies) {
    state.add_committed(&batch.gathered.counts, &batch.gathered.removed_stacks);
    for committed in pending {
        // The client may have closed its connection.
        let _ = committed.send(());
    }
}

async fn committed(journal: Option<&mut Journal<PendingReplies, Store>>) -> Option<(Batch, PendingReplies)> {
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
