//! A queue of SQS: receives messages and passes them to the pipeline.
//!
//! One task receives by long polls. While responses are full, further tasks receive too. Received messages stay invisible
//! to other consumers for some time, which [`receipts`] extends for messages that are held, and it deletes the messages
//! that are processed. The number and the size of outstanding messages are limited.

mod calls;
mod conditions;
pub(crate) mod receipts;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use exporter_common::backoff::Backoff;
use exporter_common::failure_log::{FailureLog, LogLine};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

pub(super) use self::calls::SqsQueue;
pub(super) use self::conditions::QueueConditions;
use self::conditions::QueueUse;
use self::receipts::{Receipt, ReceiptEvent};
use crate::provider::Token;
use crate::source::{Input, OUTSTANDING_BYTES, OUTSTANDING_MESSAGES, Queue};

/// Maximum number of messages in a response. SQS allows ten.
pub(super) const MESSAGES: usize = 10;

/// Number of tasks that receive while responses are full.
const EXTRA_RECEIVERS: usize = 7;

/// Duration of a long poll, the maximum of SQS.
const LONG_POLL: Duration = Duration::from_secs(20);

/// Delay before a failed request is repeated.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const MAX_PAUSE: Duration = Duration::from_secs(15);

/// Share of an outstanding message in the byte limit, at least. It limits the number of messages too.
const MIN_SHARE: usize = OUTSTANDING_BYTES / OUTSTANDING_MESSAGES;

/// A queue and the dependencies of its consumer.
#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) sqs: SqsQueue,
    /// The number of the queue in the metrics.
    pub(super) queue: Queue,
    /// Index of the queue in the configuration.
    pub(super) index: usize,
    pub(super) conditions: QueueConditions,
    pub(super) inputs: mpsc::Sender<Input<Token>>,
    pub(super) receipts: mpsc::UnboundedSender<ReceiptEvent>,
}

/// State that all receiving tasks of a queue share.
#[derive(Debug)]
struct Shared {
    consumer: Consumer,
    /// Free bytes for outstanding messages.
    room: Arc<Semaphore>,
    /// Wakes a waiting task after a full response.
    is_busy: Notify,
}

impl Consumer {
    /// Receives until `stop` is cancelled or the pipeline ends. Errors are retried.
    pub(super) async fn consume(self, stop: CancellationToken) {
        let room = Arc::new(Semaphore::new(OUTSTANDING_BYTES));
        let shared = Arc::new(Shared { consumer: self, room, is_busy: Notify::new() });
        let mut extra = JoinSet::new();
        for _ in 0..EXTRA_RECEIVERS {
            let shared = shared.clone();
            extra.spawn(async move { shared.receive_while_busy().await });
        }
        tokio::select! {
            () = shared.receive() => {}
            () = stop.cancelled() => {}
        }
        // The tasks end here: `extra` is dropped.
    }
}

impl Shared {
    /// Receives by long polls until the pipeline ends.
    async fn receive(&self) {
        let mut backoff = Backoff::new(FIRST_PAUSE, MAX_PAUSE);
        let mut log = FailureLog::default();
        let name = &self.consumer.sqs.url.name;
        // The first request returns at once, because the exporter is ready after it.
        let mut wait = Duration::ZERO;
        loop {
            match self.consumer.sqs.receive(wait).await {
                Ok(messages) => {
                    backoff.reset();
                    wait = LONG_POLL;
                    if let Some(LogLine::Recovered { .. }) = log.succeeded(Instant::now()) {
                        tracing::info!(queue = %name, "messages are received again");
                    }
                    self.consumer.conditions.ready(self.consumer.index, QueueUse::Receive);
                    if self.pass_on(messages).await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    wait = Duration::ZERO;
                    let reason = error.failure.reason;
                    self.consumer.conditions.missing(self.consumer.index, QueueUse::Receive, &reason);
                    match log.failed(&reason, Instant::now()) {
                        Some(LogLine::StillFailing { failures, .. }) => {
                            tracing::warn!(queue = %name, reason, failures, "still cannot receive messages");
                        }
                        Some(_) => tracing::warn!(queue = %name, reason, "cannot receive messages"),
                        None => tracing::debug!(queue = %name, reason, "cannot receive messages"),
                    }
                    sleep(backoff.pause().max(error.failure.retry_after.unwrap_or_default())).await;
                }
            }
        }
    }

    /// Receives while responses are full, and waits otherwise. Errors are reported by [`receive`](Self::receive).
    async fn receive_while_busy(&self) {
        loop {
            self.is_busy.notified().await;
            loop {
                let messages = self.consumer.sqs.receive(Duration::ZERO).await.unwrap_or_default();
                let is_full = messages.len() >= MESSAGES;
                if self.pass_on(messages).await.is_err() {
                    return;
                }
                if !is_full {
                    break;
                }
            }
        }
    }

    /// Sends messages to the pipeline when there is room for them.
    async fn pass_on(&self, messages: Vec<Received>) -> Result<(), PipelineEnded> {
        if messages.len() >= MESSAGES {
            self.is_busy.notify_one();
        }
        // All are noted first, so that none becomes visible while others wait for room.
        let messages: Vec<(Received, Receipt)> = messages
            .into_iter()
            .map(|message| {
                let receipt = Receipt::new(message.receipt_handle.clone(), self.consumer.receipts.clone());
                (message, receipt)
            })
            .collect();
        for (message, mut receipt) in messages {
            let share = message.body.len().clamp(MIN_SHARE, OUTSTANDING_BYTES);
            let room = u32::try_from(share).map_err(|_| PipelineEnded)?;
            receipt.room = self.room.clone().acquire_many_owned(room).await.ok();
            let input = Input::Message {
                queue: self.consumer.queue,
                id: message.id,
                data: message.body,
                attempts: None,
                token: Token::Sqs(receipt),
            };
            self.consumer.inputs.send(input).await.map_err(|_| PipelineEnded)?;
        }
        Ok(())
    }
}

/// The pipeline accepts no more messages.
#[derive(Debug)]
struct PipelineEnded;

/// A received message.
#[derive(Debug)]
pub(super) struct Received {
    id: String,
    receipt_handle: String,
    body: Bytes,
}
