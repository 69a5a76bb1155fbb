//! Streaming pulls.

use std::{sync::Arc, time::Duration};

use tokio::{task::JoinHandle, time::Instant};
use tonic::{Status, Streaming};

use super::{
    broker::{Broker, Subscription},
    limits::check_ack_deadline,
    stream::StreamStep,
    wire::{StreamingPullRequest, StreamingPullResponse},
};

/// An open stream. A separate task reads its requests, because the server polls for responses only while the
/// client reads.
pub(super) struct Session {
    shared: Arc<Shared>,
    requests: JoinHandle<()>,
    is_closed: bool,
}

struct Shared {
    broker: Arc<Broker>,
    subscription: Arc<Subscription>,
    number: u64,
    answers_keepalives: bool,
}

impl Session {
    pub(super) fn open(
        broker: &Arc<Broker>,
        subscription: &Arc<Subscription>,
        first: StreamingPullRequest,
        requests: Streaming<StreamingPullRequest>,
    ) -> Result<Self, Status> {
        let seconds = first.stream_ack_deadline_seconds;
        if seconds == 0 {
            return Err(Status::invalid_argument("The first request must have stream_ack_deadline_seconds."));
        }
        check_ack_deadline(seconds)?;
        let limit = |limit: i64| u64::try_from(limit).ok().filter(|limit| *limit > 0);
        let number = broker.next_stream();
        broker.change(subscription, |queue| {
            queue.open_stream(
                Instant::now(),
                number,
                Duration::from_secs(seconds.unsigned_abs().into()),
                limit(first.max_outstanding_messages),
                limit(first.max_outstanding_bytes),
            );
        });
        let shared = Arc::new(Shared {
            broker: Arc::clone(broker),
            subscription: Arc::clone(subscription),
            number,
            answers_keepalives: first.protocol_version >= 1,
        });
        let requests = tokio::spawn(Arc::clone(&shared).read(first, requests));
        Ok(Self { shared, requests, is_closed: false })
    }

    pub(super) async fn next(&mut self) -> Option<Result<StreamingPullResponse, Status>> {
        let Shared { broker, subscription, number, .. } = &*self.shared;
        while !self.is_closed {
            let changed = subscription.changed.notified();
            let faults = broker.faults_of(subscription);
            let step = broker.update(subscription, |queue| queue.step(Instant::now(), *number, &faults));
            match step {
                StreamStep::Send(response) => return Some(Ok(response)),
                StreamStep::End(Ok(())) => self.is_closed = true,
                StreamStep::End(Err(status)) => {
                    self.is_closed = true;
                    return Some(Err(status));
                }
                // The loop continues after a change as after a timeout.
                StreamStep::Wait(Some(until)) => drop(tokio::time::timeout_at(until, changed).await),
                StreamStep::Wait(None) => changed.await,
            }
        }
        None
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.requests.abort();
        let Shared { broker, subscription, number, .. } = &*self.shared;
        broker.change(subscription, |queue| queue.close_stream(*number));
    }
}

impl Shared {
    async fn read(
        self: Arc<Self>,
        first: StreamingPullRequest,
        mut requests: Streaming<StreamingPullRequest>,
    ) {
        let mut end = self.apply(first, true).await;
        while end.is_ok() {
            end = match requests.message().await {
                Ok(Some(request)) => self.apply(request, false).await,
                // The client closed its side of the stream.
                Ok(None) | Err(_) => break,
            };
        }
        self.broker.change(&self.subscription, |queue| {
            if let Some(stream) = queue.stream(self.number) {
                stream.end(end);
            }
        });
    }

    async fn apply(&self, request: StreamingPullRequest, is_first: bool) -> Result<(), Status> {
        if !is_first && !request.subscription.is_empty() {
            return Err(Status::invalid_argument("Only the first request may name the subscription."));
        }
        if request.modify_deadline_ack_ids.len() != request.modify_deadline_seconds.len() {
            return Err(Status::invalid_argument(
                "There must be as many modify_deadline_seconds as modify_deadline_ack_ids.",
            ));
        }
        let seconds = request.stream_ack_deadline_seconds;
        check_ack_deadline(seconds)?;
        let faults = self.broker.admit_to(&self.subscription).await?;
        let now = Instant::now();
        let is_keepalive =
            !is_first && request.ack_ids.is_empty() && request.modify_deadline_ack_ids.is_empty();
        self.broker.change(&self.subscription, |queue| {
            let is_exactly_once = queue.is_exactly_once();
            if !request.ack_ids.is_empty() {
                let invalid = queue.acknowledge(now, &request.ack_ids, &faults)?;
                if let Some(stream) = queue.stream(self.number).filter(|_| is_exactly_once) {
                    stream.confirm_acks(request.ack_ids, invalid);
                }
            }
            let modacks = request.modify_deadline_ack_ids.into_iter().zip(request.modify_deadline_seconds);
            for (ack_id, seconds) in modacks {
                let ack_ids = vec![ack_id];
                let invalid = queue.modify(now, &ack_ids, seconds, &faults)?;
                if let Some(stream) = queue.stream(self.number).filter(|_| is_exactly_once) {
                    stream.confirm_modacks(ack_ids, invalid);
                }
            }
            if let Some(stream) = queue.stream(self.number) {
                if is_keepalive && self.answers_keepalives {
                    stream.answer_keepalive();
                }
                if let Ok(seconds @ 1..) = u64::try_from(seconds) {
                    stream.lease = Duration::from_secs(seconds);
                }
            }
            Ok(())
        })
    }
}
