//! One subscription: a streaming pull that is kept open, and the knowledge whether it can be.
//!
//! Google's client reopens a stream by itself after errors that pass, without a word, and waits up to a minute
//! to do so. So beside the stream runs a [`Probe`]: a small question about the subscription now and then. It tells
//! whether Pub/Sub can be reached, and once it can be again, the stream is opened anew at once. A stream on which
//! nothing has come for long is opened anew as well: its connection may be dead without knowing it.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use exporter_common::backoff::Backoff;
use exporter_common::readiness::Condition;
use google_cloud_auth::credentials::Credentials;
use google_cloud_pubsub::client::Subscriber;
use google_cloud_pubsub::subscriber::ShutdownToken;
use google_cloud_pubsub::subscriber::handler::Handler;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::config::{Endpoint, SubscriptionName};
use crate::google::{explain, reason};
use crate::ledger::Source;
use crate::metrics::Health;
use crate::pipeline::Input;
use crate::probe::{Finding, Probe, Said};

/// How long a crashed exporter's messages stay away; the least that Pub/Sub allows.
const LEASE: Duration = Duration::from_secs(10);

/// How much longer than the grace a message may stay leased: it stays so for as long as it is held.
const LEASE_BEYOND_GRACE: Duration = Duration::from_secs(3_600);

/// Messages that may be out at the same time, held ones included.
const OUTSTANDING_MESSAGES: i64 = 20_000;

/// Bytes that may be out at the same time.
const OUTSTANDING_BYTES: i64 = 32 * 1024 * 1024;

/// The time between probes of a subscription that works, and of one that does not.
const PROBE_INTERVAL: Duration = Duration::from_secs(10);
const PROBE_INTERVAL_FAILING: Duration = Duration::from_secs(1);

/// A stream on which nothing has come for so long is opened anew.
const WATCHDOG: Duration = Duration::from_secs(15 * 60);

/// A stream that was refused before has to stay open this long to count as open.
const SETTLING: Duration = Duration::from_secs(2);

/// How long the making of a client may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The wait before a stream that ended is opened anew.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// A subscription and what is needed to consume it.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) source: Source,
    pub(crate) name: SubscriptionName,
    /// The value of the `subscription` label.
    pub(crate) label: String,
    /// How long messages may be held.
    pub(crate) grace: Duration,
    pub(crate) endpoint: Option<Endpoint>,
    pub(crate) credentials: Credentials,
    pub(crate) condition: Condition,
    pub(crate) health: Health,
    pub(crate) inputs: mpsc::Sender<Input<Handler>>,
}

/// Why a stream is not open any more.
enum End {
    /// The exporter stops; the token flushes acknowledgements.
    Stopped(ShutdownToken),
    /// To be opened anew, for this reason.
    Broken(String),
    /// To be opened anew, because nothing has come for long.
    Quiet,
}

impl Subscription {
    /// Consumes until `stop` turns true, and returns what flushes the acknowledgements of the last stream. A
    /// dropped connection, a missing subscription or a missing permission is waited out.
    pub(crate) async fn consume(self, mut stop: watch::Receiver<bool>) -> Option<ShutdownToken> {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        let mut failing = false;
        let said = Said::default();
        loop {
            let opened = Instant::now();
            let connected = tokio::select! {
                connected = self.connect() => connected,
                _ = stop.wait_for(|stop| *stop) => return None,
            };
            let probe = Probe::new(self.endpoint.as_ref(), self.credentials.clone(), said.clone());
            let end = match (connected, probe) {
                (Ok(subscriber), Ok(probe)) => self.stream(&subscriber, &probe, failing, stop.clone()).await,
                (Err(reason), _) | (_, Err(reason)) => End::Broken(reason),
            };
            match end {
                End::Stopped(token) => return Some(token),
                End::Quiet => continue,
                End::Broken(reason) => {
                    failing = true;
                    self.missing(&reason);
                    self.health.stream_restarted(&self.label, &reason);
                }
            }
            if opened.elapsed() > LONGEST_PAUSE {
                backoff.reset();
            }
            tokio::select! {
                () = sleep(backoff.pause()) => {}
                _ = stop.wait_for(|stop| *stop) => return None,
            }
        }
    }

    /// One stream, from its opening to its end.
    async fn stream(
        &self,
        subscriber: &Subscriber,
        probe: &Probe,
        failing: bool,
        mut stop: watch::Receiver<bool>,
    ) -> End {
        let mut stream = subscriber
            .subscribe(self.name.full())
            .set_max_lease_extension(LEASE)
            .set_max_lease(self.grace + LEASE_BEYOND_GRACE)
            .set_max_outstanding_messages(OUTSTANDING_MESSAGES)
            .set_max_outstanding_bytes(OUTSTANDING_BYTES)
            .build();
        let token = stream.shutdown_token();
        let something_came = AtomicBool::new(false);
        // The reading is one future that is only ever continued: to drop the client's `next` while it opens a
        // stream would start the opening over.
        let mut reading = pin!(async {
            loop {
                match stream.next().await {
                    Some(Ok((message, handler))) => {
                        something_came.store(true, Ordering::Relaxed);
                        let delivery = Input::Message {
                            source: self.source,
                            id: message.message_id,
                            data: message.data,
                            token: handler,
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
        let mut heard = Instant::now();
        let mut unreachable = None;
        let mut settled = Instant::now() + if failing { SETTLING } else { Duration::ZERO };
        let mut asking = pin!(probe.ask(&self.name));
        let mut next_probe = None;
        loop {
            tokio::select! {
                reason = &mut reading => return End::Broken(reason),
                _ = stop.wait_for(|stop| *stop) => return End::Stopped(token),
                found = &mut asking, if next_probe.is_none() => {
                    let mut interval = PROBE_INTERVAL_FAILING;
                    match found {
                        Finding::Reachable | Finding::Undelivered(_)
                            if unreachable.is_some() && !something_came.load(Ordering::Relaxed) =>
                        {
                            // The client may be in the middle of a long wait of its own.
                            return End::Broken(unreachable.take().unwrap_or_default());
                        }
                        Finding::Reachable if Instant::now() >= settled => {
                            self.condition.ready();
                            unreachable = None;
                            interval = PROBE_INTERVAL;
                        }
                        Finding::Reachable => {}
                        // What was published before can still arrive, so the stream stays open.
                        Finding::Undelivered(reason) => {
                            self.missing(&reason);
                            unreachable = None;
                            interval = PROBE_INTERVAL;
                        }
                        Finding::Refused(reason) => {
                            self.missing(&reason);
                            settled = Instant::now() + SETTLING;
                        }
                        Finding::Unreachable(reason) => {
                            self.missing(&reason);
                            if unreachable.is_none() {
                                tracing::warn!(subscription = self.name.short(), reason, "Pub/Sub cannot be reached");
                            }
                            unreachable = Some(reason);
                            something_came.store(false, Ordering::Relaxed);
                            heard = Instant::now();
                        }
                    }
                    next_probe = Some(Instant::now() + interval);
                }
                () = sleep_until(next_probe.unwrap_or_else(Instant::now)), if next_probe.is_some() => {
                    if something_came.swap(false, Ordering::Relaxed) {
                        heard = Instant::now();
                    } else if heard.elapsed() > WATCHDOG {
                        return End::Quiet;
                    }
                    next_probe = None;
                    asking.set(probe.ask(&self.name));
                }
            }
        }
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
