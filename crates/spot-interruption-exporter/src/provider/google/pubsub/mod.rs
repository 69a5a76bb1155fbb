//! One subscription: a streaming pull that is kept open, and the knowledge whether it can be.
//!
//! Google's client reopens a stream by itself after errors that pass, without a word, and waits up to a minute
//! to do so. So beside the stream runs a [`Probe`]: a small question about the subscription now and then. It tells
//! whether Pub/Sub can be reached, and once it can be again, the stream is opened anew at once. A stream on which
//! nothing has come for long is opened anew as well: its connection may be dead without knowing it.
//!
//! A stream that ended still has acknowledgements to send, so what became of it is kept until it has.

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

use self::supervision::{Ask, End, Report, Watch};
use crate::metrics::OwnMetrics;
use crate::provider::Token;
use crate::provider::google::config::{Endpoint, SubscriptionName};
use crate::provider::google::credentials::{explain, reason};
use crate::provider::google::probe::{Finding, Probe, Said};
use crate::source::{Attempts, Confirmation, Input, OUTSTANDING_BYTES, OUTSTANDING_MESSAGES, Queue};

/// How long a crashed exporter's messages stay away; the least that Pub/Sub allows.
const LEASE: Duration = Duration::from_secs(10);

/// How much longer than the grace a message may stay leased: it stays so for as long as it is held.
const LEASE_BEYOND_GRACE: Duration = Duration::from_secs(3_600);

/// The least number of deliveries after which Pub/Sub can be told to move a message to the dead letters.
const LEAST_ATTEMPTS: i32 = 5;

/// Messages that are taken in a row before other tasks have their turn. Google's client deals with new messages before
/// acknowledgements, at most 128 of both in a turn: on a busy processor acknowledgements would wait for as long as messages
/// come, leases would end meanwhile, and the same messages would come again without end.
const TURN: usize = 32;

/// How long the making of a client may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The wait before a stream that ended is opened anew.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// A subscription and what is needed to consume it.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) queue: Queue,
    pub(crate) name: SubscriptionName,
    /// The value of the `subscription` label.
    pub(crate) label: String,
    /// How long messages may be held.
    pub(crate) grace: Duration,
    pub(crate) endpoint: Option<Endpoint>,
    pub(crate) credentials: Credentials,
    pub(crate) condition: Condition,
    pub(crate) metrics: OwnMetrics,
    pub(crate) inputs: mpsc::Sender<Input<Token>>,
}

/// What is left to do when nothing is consumed any more: acknowledgements of the last stream, and of those that broke
/// before.
#[derive(Debug, Default)]
pub(crate) struct Flush {
    last: Option<ShutdownToken>,
    broken: JoinSet<()>,
}

impl Flush {
    /// Waits until the acknowledgements are sent and what is not acknowledged is handed back.
    pub(crate) async fn finish(mut self) {
        if let Some(last) = &self.last {
            last.shutdown().await;
        }
        while self.broken.join_next().await.is_some() {}
    }

    /// A stream broke. It has sent what it had to when the last of its messages is dealt with.
    fn keep(&mut self, stream: ShutdownToken) {
        while self.broken.try_join_next().is_some() {}
        self.broken.spawn(async move { stream.shutdown().await });
    }
}

/// When a stream that ended is opened anew.
#[derive(Debug)]
struct Reopening {
    backoff: Backoff,
    /// The last stream never counted as open.
    failing: bool,
}

impl Reopening {
    fn new() -> Self {
        Self { backoff: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE), failing: false }
    }

    /// How long to wait now that a stream broke, after so much time.
    fn broken(&mut self, was_open: bool, lasted: Duration) -> Duration {
        if was_open && lasted > LONGEST_PAUSE {
            self.backoff.reset();
        }
        self.failing = !was_open;
        self.backoff.pause()
    }
}

impl Subscription {
    /// Consumes until `stop` is cancelled, and returns what flushes the acknowledgements. A dropped connection, a missing
    /// subscription or a missing permission is waited out.
    pub(crate) async fn consume(self, stop: CancellationToken) -> Flush {
        let mut reopening = Reopening::new();
        let mut flush = Flush::default();
        let said = Said::default();
        loop {
            let opened = Instant::now();
            let connected = tokio::select! {
                connected = self.connect() => connected,
                () = stop.cancelled() => return flush,
            };
            let probe = Probe::new(self.endpoint.as_ref(), self.credentials.clone(), said.clone());
            let (end, was_open) = match (connected, probe) {
                (Ok(subscriber), Ok(probe)) => {
                    let stream = self.stream(&subscriber, &probe, &said, reopening.failing, stop.clone());
                    let (end, was_open, token) = stream.await;
                    if matches!(end, End::Stopped) {
                        flush.last = Some(token);
                        return flush;
                    }
                    flush.keep(token);
                    (end, was_open)
                }
                (Err(reason), _) | (_, Err(reason)) => (End::Broken(reason), false),
            };
            let End::Broken(reason) = end else { continue };
            self.missing(&reason);
            self.metrics.stream_restarted(&self.label, &reason);
            tokio::select! {
                () = sleep(reopening.broken(was_open, opened.elapsed())) => {}
                () = stop.cancelled() => return flush,
            }
        }
    }

    /// One stream, from its opening to its end. Says whether it counted as open, too.
    async fn stream(
        &self,
        subscriber: &Subscriber,
        probe: &Probe,
        said: &Said,
        failing: bool,
        stop: CancellationToken,
    ) -> (End, bool, ShutdownToken) {
        let mut stream = subscriber
            .subscribe(self.name.full())
            .set_max_lease_extension(LEASE)
            .set_max_lease(self.grace + LEASE_BEYOND_GRACE)
            .set_max_outstanding_messages(OUTSTANDING_MESSAGES as i64)
            .set_max_outstanding_bytes(OUTSTANDING_BYTES as i64)
            // To hand back at once what is not acknowledged would hand back what waits for a confirmation, too.
            .set_shutdown_behavior(ShutdownBehavior::WaitForProcessing)
            .build();
        let token = stream.shutdown_token();
        let something_came = AtomicBool::new(false);
        // The reading is one future that is only ever continued: to drop the client's `next` while it opens a
        // stream would start the opening over.
        let reading = pin!(async {
            let mut taken = 0_usize;
            loop {
                match stream.next().await {
                    Some(Ok((message, handler))) => {
                        something_came.store(true, Ordering::Relaxed);
                        taken += 1;
                        if taken.is_multiple_of(TURN) {
                            yield_now().await;
                        }
                        let attempts = handler.delivery_attempt().map(|made| Attempts {
                            made,
                            most: said.most_attempts().unwrap_or(LEAST_ATTEMPTS),
                        });
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
                    Some(Err(error)) => return explain(&error),
                    None => return "the stream was closed".to_owned(),
                }
            }
        });
        let mut watch = Watch::new(self, Question { probe, name: &self.name }, failing);
        let end = watch.run(reading, &something_came, stop).await;
        (end, watch.was_open(), token)
    }

    /// Google's client of Pub/Sub.
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

impl Report for &Subscription {
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

/// The question of a probe.
#[derive(Debug)]
struct Question<'a> {
    probe: &'a Probe,
    name: &'a SubscriptionName,
}

impl Ask for Question<'_> {
    async fn ask(&self) -> Finding {
        self.probe.ask(self.name).await
    }
}

/// Acknowledges a message. With exactly-once delivery it is safe only when Pub/Sub has confirmed it.
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
    fn a_stream_that_was_open_for_long_begins_the_backoff_anew() {
        let mut reopening = Reopening::new();
        let long = LONGEST_PAUSE + Duration::from_secs(1);
        for _ in 0..10 {
            // Not to get anywhere may take long, too.
            reopening.broken(false, long);
        }
        assert!(reopening.failing);
        assert!(reopening.broken(true, FIRST_PAUSE) > LONGEST_PAUSE / 3, "it did not last");
        assert!(!reopening.failing, "it was open");
        assert!(reopening.broken(true, long) <= FIRST_PAUSE);
        assert!(reopening.broken(false, FIRST_PAUSE) <= 2 * FIRST_PAUSE);
        assert!(reopening.failing);
    }
}
