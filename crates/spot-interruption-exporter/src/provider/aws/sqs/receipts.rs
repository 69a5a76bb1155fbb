//! The receipts of received messages: deletes processed messages and keeps held ones invisible.
//!
//! SQS shows a received message again after its visibility timeout, unless it is deleted. Deletions are gathered for a
//! short time and sent in batches of ten. A batch can fail in part. Messages that are still outstanding when half of
//! their time is over get more time. A message that is dropped without being processed becomes visible at once.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use exporter_common::backoff::Backoff;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::MESSAGES;
use super::calls::{FailedEntry, SqsQueue};
use super::conditions::{QueueConditions, QueueUse};
use crate::provider::aws::api::ApiError;

/// Time for gathering entries of a batch.
const GATHER: Duration = Duration::from_millis(100);

/// Maximum number of concurrent requests.
const MAX_CONCURRENT: usize = 8;

/// Maximum number of attempts for an entry that SQS rejects on its own.
const MAX_ATTEMPTS: u32 = 5;

/// Delay after a failed request.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const MAX_PAUSE: Duration = Duration::from_secs(15);

/// Maximum time that SQS keeps a message invisible. An older one becomes visible again.
const MAX_INVISIBLE: Duration = Duration::from_secs(12 * 60 * 60);

/// Distinguishes receipts. A message that is received again has another receipt.
static NUMBERS: AtomicU64 = AtomicU64::new(0);

/// The receipt of a received message, as its token. Dropping it makes the message visible again.
#[derive(Debug)]
pub(crate) struct Receipt {
    number: u64,
    /// Room for the message among the outstanding ones, until it is deleted.
    pub(super) room: Option<OwnedSemaphorePermit>,
    /// `None` when the message is deleted.
    events: Option<mpsc::UnboundedSender<ReceiptEvent>>,
}

/// What happens to a receipt.
#[derive(Debug)]
pub(in crate::provider::aws) enum ReceiptEvent {
    /// The message was received.
    Received { number: u64, handle: String, at: Instant },
    /// The message is processed.
    Processed { number: u64, room: Option<OwnedSemaphorePermit> },
    /// The message is returned.
    Returned { number: u64 },
}

impl Receipt {
    pub(super) fn new(handle: String, events: mpsc::UnboundedSender<ReceiptEvent>) -> Self {
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        // Without a receiver the exporter stops, and the message becomes visible again by itself.
        let _ = events.send(ReceiptEvent::Received { number, handle, at: Instant::now() });
        Self { number, room: None, events: Some(events) }
    }

    /// Deletes the message.
    pub(crate) fn delete(mut self) {
        if let Some(events) = self.events.take() {
            let _ = events.send(ReceiptEvent::Processed { number: self.number, room: self.room.take() });
        }
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if let Some(events) = self.events.take() {
            let _ = events.send(ReceiptEvent::Returned { number: self.number });
        }
    }
}

/// What to do with a message at SQS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Delete,
    Extend,
    Return,
}

/// An entry of a batch.
#[derive(Debug)]
struct Task {
    number: u64,
    handle: String,
    attempts: u32,
    _room: Option<OwnedSemaphorePermit>,
}

/// An outstanding message.
#[derive(Debug)]
struct Outstanding {
    handle: String,
    received_at: Instant,
    /// When to extend its visibility timeout.
    extend_at: Instant,
}

/// A request and its result.
type Sent = (Action, Vec<Task>, Result<Vec<FailedEntry>, ApiError>);

/// The receipts of a queue.
#[derive(Debug)]
pub(in crate::provider::aws) struct Receipts {
    sqs: SqsQueue,
    conditions: QueueConditions,
    /// Index of the queue in the configuration.
    index: usize,
    outstanding: HashMap<u64, Outstanding>,
    by_extension: BTreeMap<(Instant, u64), ()>,
    deletions: Gathered,
    returns: Gathered,
    requests: JoinSet<Sent>,
    backoff: Backoff,
    paused_until: Option<Instant>,
    is_failing: bool,
}

/// Entries that wait for a request.
#[derive(Debug, Default)]
struct Gathered {
    tasks: Vec<Task>,
    /// When the first of them was added.
    since: Option<Instant>,
}

impl Gathered {
    fn push(&mut self, task: Task, now: Instant) {
        self.since.get_or_insert(now);
        self.tasks.push(task);
    }

    fn due_at(&self) -> Option<Instant> {
        self.since.map(|since| if self.tasks.len() >= MESSAGES { since } else { since + GATHER })
    }

    /// Takes a batch that is full or has waited long enough.
    fn take(&mut self, now: Instant, is_last: bool) -> Option<Vec<Task>> {
        let is_due = self.due_at().is_some_and(|at| at <= now || is_last);
        if !is_due {
            return None;
        }
        let rest = self.tasks.split_off(self.tasks.len().min(MESSAGES));
        let batch = std::mem::replace(&mut self.tasks, rest);
        self.since = (!self.tasks.is_empty()).then_some(now);
        Some(batch)
    }
}

impl Receipts {
    pub(in crate::provider::aws) fn new(sqs: SqsQueue, conditions: QueueConditions, index: usize) -> Self {
        Self {
            sqs,
            conditions,
            index,
            outstanding: HashMap::new(),
            by_extension: BTreeMap::new(),
            deletions: Gathered::default(),
            returns: Gathered::default(),
            requests: JoinSet::new(),
            backoff: Backoff::new(FIRST_PAUSE, MAX_PAUSE),
            paused_until: None,
            is_failing: false,
        }
    }

    /// Runs until all receipts are dropped and their messages are deleted or returned.
    ///
    /// # Panics
    /// If a request panicked, which is a defect of this program.
    pub(in crate::provider::aws) async fn run(mut self, mut events: mpsc::UnboundedReceiver<ReceiptEvent>) {
        let mut batch = Vec::new();
        let mut are_all_dropped = false;
        loop {
            let due = self.next_due();
            let timer = async {
                match due {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                taken = events.recv_many(&mut batch, 1_024), if !are_all_dropped => {
                    are_all_dropped = taken == 0;
                    let now = Instant::now();
                    for event in batch.drain(..) {
                        self.note(event, now);
                    }
                }
                Some(sent) = self.requests.join_next() => {
                    let (action, tasks, result) =
                        sent.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
                    self.note_result(action, tasks, result, Instant::now());
                }
                () = timer => {}
            }
            self.start(Instant::now(), are_all_dropped);
            let is_idle =
                self.deletions.tasks.is_empty() && self.returns.tasks.is_empty() && self.requests.is_empty();
            if are_all_dropped && is_idle {
                return;
            }
        }
    }

    fn note(&mut self, event: ReceiptEvent, now: Instant) {
        match event {
            ReceiptEvent::Received { number, handle, at } => {
                let extend_at = at + self.sqs.visibility / 2;
                self.by_extension.insert((extend_at, number), ());
                self.outstanding.insert(number, Outstanding { handle, received_at: at, extend_at });
            }
            ReceiptEvent::Processed { number, room } => {
                if let Some(handle) = self.take_outstanding(number) {
                    self.deletions.push(Task { number, handle, attempts: 0, _room: room }, now);
                }
            }
            ReceiptEvent::Returned { number } => {
                if let Some(handle) = self.take_outstanding(number) {
                    self.returns.push(Task { number, handle, attempts: 0, _room: None }, now);
                }
            }
        }
    }

    fn take_outstanding(&mut self, number: u64) -> Option<String> {
        let Outstanding { handle, extend_at, .. } = self.outstanding.remove(&number)?;
        self.by_extension.remove(&(extend_at, number));
        Some(handle)
    }

    fn next_due(&self) -> Option<Instant> {
        if self.requests.len() >= MAX_CONCURRENT {
            return None;
        }
        let extension = self.by_extension.first_key_value().map(|((at, _), ())| *at);
        let due = [self.deletions.due_at(), self.returns.due_at(), extension].into_iter().flatten().min();
        due.map(|at| at.max(self.paused_until.unwrap_or(at)))
    }

    fn start(&mut self, now: Instant, is_last: bool) {
        while self.requests.len() < MAX_CONCURRENT && self.paused_until.is_none_or(|until| until <= now) {
            let next = self.deletions.take(now, is_last).map(|tasks| (Action::Delete, tasks));
            let next = next.or_else(|| self.returns.take(now, is_last).map(|tasks| (Action::Return, tasks)));
            let next = next.or_else(|| self.extensions(now).map(|tasks| (Action::Extend, tasks)));
            let Some((action, tasks)) = next else { return };
            let sqs = self.sqs.clone();
            self.requests.spawn(async move {
                let handles: Vec<String> = tasks.iter().map(|task| task.handle.clone()).collect();
                let result = match action {
                    Action::Delete => sqs.delete(&handles).await,
                    Action::Extend => sqs.set_visibility(&handles, sqs.visibility).await,
                    Action::Return => sqs.set_visibility(&handles, Duration::ZERO).await,
                };
                (action, tasks, result)
            });
        }
    }

    /// Takes a batch of messages that need more time.
    fn extensions(&mut self, now: Instant) -> Option<Vec<Task>> {
        let mut tasks = Vec::new();
        while tasks.len() < MESSAGES
            && let Some(entry) = self.by_extension.first_entry()
            && entry.key().0 <= now
        {
            let ((_, number), ()) = entry.remove_entry();
            let Some(outstanding) = self.outstanding.get_mut(&number) else { continue };
            if now.saturating_duration_since(outstanding.received_at) + self.sqs.visibility > MAX_INVISIBLE {
                continue;
            }
            outstanding.extend_at = now + self.sqs.visibility / 2;
            self.by_extension.insert((outstanding.extend_at, number), ());
            tasks.push(Task { number, handle: outstanding.handle.clone(), attempts: 0, _room: None });
        }
        (!tasks.is_empty()).then_some(tasks)
    }

    fn note_result(
        &mut self,
        action: Action,
        tasks: Vec<Task>,
        result: Result<Vec<FailedEntry>, ApiError>,
        now: Instant,
    ) {
        let queue = self.sqs.url.name.clone();
        let failed = match result {
            Ok(failed) => {
                self.backoff.reset();
                self.paused_until = None;
                if action == Action::Delete {
                    self.conditions.ready(self.index, QueueUse::Delete);
                }
                if std::mem::take(&mut self.is_failing) {
                    tracing::info!(%queue, "processed messages can be deleted again");
                }
                failed
            }
            Err(error) => {
                let pause = self.backoff.pause().max(error.failure.retry_after.unwrap_or_default());
                self.paused_until = self.paused_until.max(Some(now + pause));
                let reason = error.failure.reason;
                if action == Action::Delete {
                    self.conditions.missing(self.index, QueueUse::Delete, &reason);
                }
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::warn!(%queue, reason, ?action, "cannot change messages; retrying");
                }
                for task in tasks {
                    self.retry(action, task, now);
                }
                return;
            }
        };
        for (index, task) in tasks.into_iter().enumerate() {
            let Some(failure) = failed.iter().find(|failed| failed.id == index.to_string()) else { continue };
            let attempts = task.attempts + 1;
            if failure.sender_fault || attempts >= MAX_ATTEMPTS {
                // The message becomes visible again, and the next delivery is a duplicate.
                tracing::debug!(%queue, code = failure.code, ?action, receipt = task.number, "SQS rejects a receipt");
                continue;
            }
            self.retry(action, Task { attempts, ..task }, now);
        }
    }

    fn retry(&mut self, action: Action, task: Task, now: Instant) {
        match action {
            Action::Delete => self.deletions.push(task, now),
            // The message becomes visible by itself after its time, and an extension is repeated at the next half.
            Action::Return | Action::Extend => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use exporter_common::readiness::Readiness;
    use sandbox::aws::{ACCOUNT, Aws, QUEUE, REGION};
    use tokio::time::timeout;

    use super::*;
    use crate::provider::Token;
    use crate::provider::aws::api::Api;
    use crate::provider::aws::config::QueueUrl;
    use crate::provider::aws::credentials::AccountCredentials;
    use crate::provider::aws::sqs::Consumer;
    use crate::provider::endpoint::Endpoint;
    use crate::source::{Acknowledge, Input, Queue};

    const LIMIT: Duration = Duration::from_secs(60);

    /// A queue whose messages stay invisible for two seconds.
    fn queue_at(aws: &Aws) -> SqsQueue {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let endpoint = Endpoint::new(&aws.url().parse().unwrap());
        SqsQueue {
            url: QueueUrl {
                url: aws.queue().aws_url(),
                endpoint: endpoint.clone(),
                region: REGION.to_owned(),
                account: ACCOUNT.to_owned(),
                name: QUEUE.to_owned(),
            },
            endpoint,
            api: Api::new().unwrap(),
            credentials: AccountCredentials::dummy(),
            visibility: Duration::from_secs(2),
        }
    }

    #[tokio::test]
    async fn held_messages_stay_invisible_and_returned_ones_do_not() {
        let aws = Aws::builder().start().await.unwrap();
        let sqs = queue_at(&aws);
        let (events, received) = mpsc::unbounded_channel();
        let condition = Readiness::default().condition("queue", "");
        let conditions = QueueConditions::new(condition, vec![QUEUE.to_owned()]);
        let receipts = tokio::spawn(Receipts::new(sqs.clone(), conditions.clone(), 0).run(received));
        let (inputs, mut messages) = mpsc::channel(16);
        let consumer =
            Consumer { sqs, queue: Queue::Mixed(0), index: 0, conditions, inputs, receipts: events };
        let stop = tokio_util::sync::CancellationToken::new();
        let consuming = tokio::spawn(consumer.consume(stop.clone()));
        for body in ["held", "processed", "returned"] {
            aws.queue().send(body);
        }
        let mut tokens = HashMap::<Vec<u8>, Token>::new();
        while tokens.len() < 3 {
            if let Some(Input::Message { data, token, .. }) = messages.recv().await {
                tokens.insert(data.to_vec(), token);
            }
        }
        let mut take = |body: &str| tokens.remove(body.as_bytes()).unwrap();
        assert!(take("processed").acknowledge().is_none());
        let held = take("held");
        // Each extension is one change; two of them are needed to stay invisible for three seconds.
        let extended = aws.queue().wait_until(|counts| counts.visibility_changes >= 3 && counts.deleted == 1);
        timeout(LIMIT, extended).await.unwrap();
        assert_eq!(aws.queue().counts().expired, 0);
        assert_eq!(aws.queue().in_flight(), 2);

        stop.cancel();
        consuming.await.unwrap();
        drop((take("returned"), held));
        timeout(LIMIT, receipts).await.unwrap().unwrap();
        assert_eq!((aws.queue().visible(), aws.queue().in_flight()), (2, 0), "they are visible at once");
    }
}
