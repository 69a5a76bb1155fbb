//! A subscription: keeps a streaming pull open and reports whether Pub/Sub is reachable.
//!
//! Google's client reopens a stream after transient errors without reporting them, after up to a minute. Therefore a
//! [`Probe`] requests the subscription's definition at intervals. It detects whether Pub/Sub is reachable, and when it
//! is reachable again, the stream is reopened immediately. A stream without messages for a long time is reopened as
//! well, because its connection may be dead.
//!
//! A stream that ended may still have acknowledgements to send, so its shutdown handle is kept until they are sent.

mod supervision;

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use exporter_common::backoff::Backoff;
use exporter_common::readiness::Condition;
use google_cloud_auth::credentials::Credentials;
use google_cloud_pubsub::client::Subscriber;
pub(crate) use google_cloud_pubsub::subscriber::handler::Handler;
use google_cloud_pubsub::subscriber::{ShutdownBehavior, ShutdownToken};
use tokio::sync::mpsc;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use self::supervision::{StreamEnd, StreamObserver, StreamWatch, SubscriptionProbe};
use crate::metrics::OwnMetrics;
use crate::provider::Token;
use crate::provider::endpoint::Endpoint;
use crate::provider::google::config::SubscriptionName;
use crate::provider::google::credentials::{describe_error, reason};
use crate::provider::google::probe::{Probe, ProbeLog, ProbeResult};
use crate::source::{Attempts, Confirmation, Input, OUTSTANDING_BYTES, OUTSTANDING_MESSAGES, Queue};

/// Time until messages of a crashed exporter are delivered again; the minimum that Pub/Sub allows.
const LEASE: Duration = Duration::from_secs(10);

/// How much longer than the grace a message can stay leased. Held messages are leased the whole time.
const EXTRA_LEASE: Duration = Duration::from_secs(3_600);

/// The minimum of `max_delivery_attempts` that Pub/Sub allows.
const MIN_ATTEMPTS: i32 = 5;

/// Messages received before yielding to other tasks. Google's client processes new messages before acknowledgements, at
/// most 128 of both at a time. On a busy CPU, acknowledgements would wait while messages arrive; leases would expire
/// and the same messages would be delivered again and again.
const MESSAGES_PER_TURN: usize = 32;

/// Time limit for creating a client.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Delay before a stream that ended is reopened.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const MAX_PAUSE: Duration = Duration::from_secs(15);

/// A subscription and the dependencies of its consumer.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) queue: Queue,
    pub(crate) name: SubscriptionName,
    /// Value of the `subscription` label.
    pub(crate) label: String,
    /// How long messages can be held.
    pub(crate) grace: Duration,
    pub(crate) endpoint: Option<Endpoint>,
    pub(crate) credentials: Credentials,
    pub(crate) condition: Condition,
    pub(crate) metrics: OwnMetrics,
    pub(crate) inputs: mpsc::Sender<Input<Token>>,
}

/// Pending acknowledgements at shutdown: those of the last stream and of earlier broken streams.
#[derive(Debug, Default)]
pub(crate) struct Flush {
    last: Option<ShutdownToken>,
    broken: JoinSet<()>,
}

impl Flush {
    /// Waits until the acknowledgements are sent and unacknowledged messages are returned.
    pub(crate) async fn finish(mut self) {
        if let Some(last) = &self.last {
            last.shutdown().await;
        }
        while self.broken.join_next().await.is_some() {}
    }

    /// Keeps a broken stream until the last of its messages is processed.
    fn keep(&mut self, stream: ShutdownToken) {
        while self.broken.try_join_next().is_some() {}
        self.broken.spawn(async move { stream.shutdown().await });
    }
}

/// Delays between attempts to open a stream.
#[derive(Debug)]
struct Reopening {
    backoff: Backoff,
    /// Whether the last stream was never open.
    failing: bool,
}

impl Reopening {
    fn new() -> Self {
        Self { backoff: Backoff::new(FIRST_PAUSE, MAX_PAUSE), failing: false }
    }

    /// Notes that a stream ended after `lasted`, and returns the delay before the next one.
    fn broken(&mut self, was_open: bool, lasted: Duration) -> Duration {
        if was_open && lasted > MAX_PAUSE {
            self.backoff.reset();
        }
        self.failing = !was_open;
        self.backoff.pause()
    }
}

impl Subscription {
    /// Consumes until `stop` is cancelled, and returns the pending acknowledgements. Connection errors, a missing
    /// subscription and a missing permission are retried.
    pub(crate) async fn consume(self, stop: CancellationToken) -> Flush {
        let mut reopening = Reopening::new();
        let mut flush = Flush::default();
        let log = ProbeLog::default();
        loop {
            let opened_at = Instant::now();
            let connected = tokio::select! {
                connected = self.connect() => connected,
                () = stop.cancelled() => return flush,
            };
            let probe = Probe::new(self.endpoint.as_ref(), self.credentials.clone(), log.clone());
            let (end, was_open) = match (connected, probe) {
                (Ok(subscriber), Ok(probe)) => {
                    let stream = self.stream(&subscriber, &probe, &log, reopening.failing, stop.clone());
                    let (end, was_open, token) = stream.await;
                    if matches!(end, StreamEnd::Stopped) {
                        flush.last = Some(token);
                        return flush;
                    }
                    flush.keep(token);
                    (end, was_open)
                }
                (Err(reason), _) | (_, Err(reason)) => (StreamEnd::Broken(reason), false),
            };
            let StreamEnd::Broken(reason) = end else { continue };
            self.missing(&reason);
            self.metrics.count_stream_restart(&self.label, &reason);
            tokio::select! {
                () = sleep(reopening.broken(was_open, opened_at.elapsed())) => {}
                () = stop.cancelled() => return flush,
            }
        }
    }

    /// Runs one stream until it ends. Also returns whether it was ever open.
    async fn stream(
        &self,
        subscriber: &Subscriber,
        probe: &Probe,
        log: &ProbeLog,
        failing: bool,
        stop: CancellationToken,
    ) -> (StreamEnd, bool, ShutdownToken) {
        let mut stream = subscriber
            .subscribe(self.name.full())
            .set_max_lease_extension(LEASE)
            .set_max_lease(self.grace + EXTRA_LEASE)
            .set_max_outstanding_messages(OUTSTANDING_MESSAGES as i64)
            .set_max_outstanding_bytes(OUTSTANDING_BYTES as i64)
            // An immediate return of unacknowledged messages would also return those that wait for a confirmation.
            .set_shutdown_behavior(ShutdownBehavior::WaitForProcessing)
            .build();
        let token = stream.shutdown_token();
        let has_received = AtomicBool::new(false);
        // One future reads the whole stream. Dropping the client's `next` while it opens a stream would restart the
        // opening.
        let reading = pin!(async {
            let mut taken = 0_usize;
            loop {
                match stream.next().await {
                    Some(Ok((message, handler))) => {
                        has_received.store(true, Ordering::Relaxed);
                        taken += 1;
                        if taken.is_multiple_of(MESSAGES_PER_TURN) {
                            yield_now().await;
                        }
                        let attempts = handler
                            .delivery_attempt()
                            .map(|made| Attempts { made, max: log.max_attempts().unwrap_or(MIN_ATTEMPTS) });
                        let delivery = Input::Message {
                            queue: self.queue,
                            id: message.message_id,
                            data: message.data,
                            attempts,
                            token: Token::Pubsub(handler),
                        };
                        if self.inputs.send(delivery).await.is_err() {
                            return "the pipeline has ended".to_owned();
                        }
                    }
                    Some(Err(error)) => return describe_error(&error),
                    None => return "the stream was closed".to_owned(),
                }
            }
        });
        let mut watch = StreamWatch::new(self, ProbeOf { probe, name: &self.name }, failing);
        let end = watch.run(reading, &has_received, stop).await;
        (end, watch.was_open(), token)
    }

    /// Creates Google's client of Pub/Sub.
    async fn connect(&self) -> Result<Subscriber, String> {
        let mut subscriber = Subscriber::builder().with_credentials(self.credentials.clone());
        if let Some(endpoint) = &self.endpoint {
            subscriber = subscriber.with_endpoint(endpoint.url());
        }
        match timeout(CONNECT_TIMEOUT, subscriber.build()).await {
            Ok(built) => built.map_err(|error| reason(&error)),
            Err(_) => Err(format!("no client within {} s", CONNECT_TIMEOUT.as_secs())),
        }
    }

    fn missing(&self, reason: &str) {
        self.condition.missing(format!("Pub/Sub subscription {}: {reason}", self.name.full()));
    }
}

impl StreamObserver for &Subscription {
    fn open(&self) {
        self.condition.ready();
    }

    fn missing(&self, reason: &str) {
        Subscription::missing(self, reason);
    }

    fn unreachable(&self, reason: &str) {
        tracing::warn!(subscription = self.name.short(), reason, "Pub/Sub cannot be reached");
    }
}

/// A probe together with its subscription.
#[derive(Debug)]
struct ProbeOf<'a> {
    probe: &'a Probe,
    name: &'a SubscriptionName,
}

impl SubscriptionProbe for ProbeOf<'_> {
    async fn probe(&self) -> ProbeResult {
        self.probe.run(self.name).await
    }
}

/// Acknowledges a message. With exactly-once delivery, the acknowledgement is safe only when Pub/Sub has confirmed it.
pub(crate) fn acknowledge(handler: Handler) -> Option<Confirmation> {
    match handler {
        Handler::ExactlyOnce(handler) => {
            Some(Box::pin(async move { handler.confirmed_ack().await.map_err(|error| error.to_string()) }))
        }
        handler => {
            handler.ack();
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_that_stayed_open_resets_the_backoff() {
        let mut reopening = Reopening::new();
        let long = MAX_PAUSE + Duration::from_secs(1);
        for _ in 0..10 {
            // Failed attempts may take long, too.
            reopening.broken(false, long);
        }
        assert!(reopening.failing);
        assert!(reopening.broken(true, FIRST_PAUSE) > MAX_PAUSE / 3, "the stream was open too briefly");
        assert!(!reopening.failing, "the stream was open");
        assert!(reopening.broken(true, long) <= FIRST_PAUSE);
        assert!(reopening.broken(false, FIRST_PAUSE) <= 2 * FIRST_PAUSE);
        assert!(reopening.failing);
    }
}
