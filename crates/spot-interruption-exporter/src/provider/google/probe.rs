//! Probes a subscription, in addition to the stream: is Pub/Sub reachable, and does the subscription receive messages?
//!
//! A stream stays open without messages when the topic is deleted. Only the definition of the subscription shows that
//! no message will arrive.

use std::error::Error;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use exporter_common::upstream::chain;
use google_cloud_auth::credentials::Credentials;
use google_cloud_googleapis::pubsub::v1::subscriber_client::SubscriberClient;
use google_cloud_googleapis::pubsub::v1::subscription::State;
use google_cloud_googleapis::pubsub::v1::{GetSubscriptionRequest, Subscription as Definition};
use http::HeaderMap;
use tokio::time::timeout;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint as Transport};
use tonic::{Code, Request, Status};

use crate::provider::endpoint::Endpoint;
use crate::provider::google::config::SubscriptionName;
use crate::provider::google::credentials::{headers, one_line, reason};

/// Topic name that Pub/Sub returns after the topic was deleted.
const DELETED_TOPIC: &str = "_deleted-topic_";

const DEFAULT_ENDPOINT: &str = "https://pubsub.googleapis.com";

/// Time limit of a probe.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Result of a probe.
#[derive(Debug)]
pub(crate) enum ProbeResult {
    /// Pub/Sub responds. It may deny the request: consuming requires another permission.
    Reachable,
    /// Pub/Sub responds, and new messages do not arrive on this stream; contains the reason.
    Undelivered(String),
    /// The subscription does not exist, or the client is not authenticated.
    Refused(String),
    /// Pub/Sub does not respond, or responds that it is unavailable.
    Unreachable(String),
}

/// Requests the definition of a subscription.
#[derive(Debug)]
pub(crate) struct Probe {
    transport: Transport,
    channel: Mutex<Channel>,
    credentials: Credentials,
    log: ProbeLog,
}

/// What was logged about a subscription, so that it is logged once. Clones share the state.
#[derive(Debug, Clone, Default)]
pub(crate) struct ProbeLog(Arc<Mutex<Logged>>);

#[derive(Debug, Default)]
struct Logged {
    /// Whether the missing permission was logged.
    forbidden: bool,
    /// The logged filter.
    filter: String,
    /// The logged reason why no messages arrive.
    undelivered: Option<String>,
    /// Number of deliveries after which a message is moved to the dead-letter topic.
    max_attempts: Option<i32>,
}

impl Probe {
    /// Creates a probe. It connects on the first request.
    pub(crate) fn new(
        endpoint: Option<&Endpoint>,
        credentials: Credentials,
        log: ProbeLog,
    ) -> Result<Self, String> {
        let url = endpoint.map_or(DEFAULT_ENDPOINT, Endpoint::url).to_owned();
        let mut transport =
            Transport::from_shared(url).map_err(|error| reason(&error))?.connect_timeout(TIMEOUT);
        if !endpoint.is_some_and(Endpoint::is_plain) {
            transport = transport
                .tls_config(ClientTlsConfig::new().with_native_roots())
                .map_err(|error| reason(&error))?;
        }
        let channel = Mutex::new(transport.connect_lazy());
        Ok(Self { transport, channel, credentials, log })
    }

    pub(crate) async fn run(&self, subscription: &SubscriptionName) -> ProbeResult {
        let headers = match headers(&self.credentials).await {
            Ok(headers) => headers,
            Err(reason) => return ProbeResult::Unreachable(reason),
        };
        match timeout(TIMEOUT, self.get(subscription, headers)).await {
            Ok(Ok(definition)) => {
                let problem = delivery_problem(&definition);
                self.log.described(subscription, &definition, problem.as_deref());
                problem.map_or(ProbeResult::Reachable, ProbeResult::Undelivered)
            }
            Ok(Err(status)) => {
                if status.code() == Code::PermissionDenied {
                    self.log.forbidden(subscription);
                }
                classify(&status)
            }
            Err(_) => {
                // The connection may be dead without an error, so it is replaced.
                self.reconnect();
                ProbeResult::Unreachable(format!("no response within {} s", TIMEOUT.as_secs()))
            }
        }
    }

    fn reconnect(&self) {
        *self.channel.lock().unwrap_or_else(PoisonError::into_inner) = self.transport.connect_lazy();
    }

    fn channel(&self) -> Channel {
        self.channel.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn get(&self, subscription: &SubscriptionName, headers: HeaderMap) -> Result<Definition, Status> {
        let mut request =
            Request::new(GetSubscriptionRequest { subscription: subscription.full().to_owned() });
        *request.metadata_mut() = MetadataMap::from_headers(headers);
        Ok(SubscriberClient::new(self.channel()).get_subscription(request).await?.into_inner())
    }
}

impl ProbeLog {
    /// Logs changes of a subscription since its last definition.
    fn described(&self, name: &SubscriptionName, definition: &Definition, problem: Option<&str>) {
        let mut log = self.lock();
        let subscription = name.full();
        if log.undelivered.as_deref() != problem {
            match problem {
                Some(reason) => tracing::error!(subscription, reason, "no more messages arrive"),
                None => tracing::info!(subscription, "messages arrive again"),
            }
            log.undelivered = problem.map(str::to_owned);
        }
        if log.filter != definition.filter {
            let filter = &definition.filter;
            if !filter.is_empty() {
                tracing::warn!(
                    subscription,
                    filter,
                    "the subscription drops messages that its filter rejects"
                );
            }
            log.filter.clone_from(filter);
        }
        let dead_letters = definition.dead_letter_policy.as_ref();
        log.max_attempts = dead_letters.map(|policy| policy.max_delivery_attempts);
    }

    /// Number of deliveries after which a message is moved to the dead-letter topic, if known.
    pub(crate) fn max_attempts(&self) -> Option<i32> {
        self.lock().max_attempts
    }

    /// Logs that the permission to read the subscription is missing.
    fn forbidden(&self, name: &SubscriptionName) {
        if !mem::replace(&mut self.lock().forbidden, true) {
            tracing::warn!(
                subscription = name.full(),
                "the permission pubsub.subscriptions.get is missing: a deleted topic or a detached subscription would \
                 not be noticed"
            );
        }
    }

    fn lock(&self) -> MutexGuard<'_, Logged> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why no messages arrive on a stream of this subscription.
fn delivery_problem(definition: &Definition) -> Option<String> {
    let pushed_to = definition.push_config.as_ref().map(|push| &*push.push_endpoint).unwrap_or_default();
    if definition.topic == DELETED_TOPIC {
        return Some(format!(
            "its topic was deleted ({DELETED_TOPIC}); create the topic and the subscription again"
        ));
    }
    if definition.detached {
        return Some("it is detached from its topic; create it again".to_owned());
    }
    if !pushed_to.is_empty() {
        return Some(one_line(&format!("its messages are pushed to {pushed_to}; change its type to pull")));
    }
    if definition.bigquery_config.as_ref().is_some_and(|config| !config.table.is_empty()) {
        return Some("its messages are written to BigQuery; change its type to pull".to_owned());
    }
    if definition.cloud_storage_config.as_ref().is_some_and(|config| !config.bucket.is_empty()) {
        return Some("its messages are written to Cloud Storage; change its type to pull".to_owned());
    }
    (definition.state() == State::ResourceError)
        .then(|| "it is in the state RESOURCE_ERROR: Pub/Sub cannot deliver its messages".to_owned())
}

fn classify(status: &Status) -> ProbeResult {
    let code = google_cloud_gax::error::rpc::Code::from(status.code() as i32);
    // The message of a transport error is only its outermost layer.
    let text = status.source().map_or_else(|| status.message().to_owned(), chain);
    let reason = one_line(&format!("{code}: {text}"));
    match status.code() {
        Code::NotFound | Code::InvalidArgument | Code::Unauthenticated => ProbeResult::Refused(reason),
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown => {
            ProbeResult::Unreachable(reason)
        }
        // The stream's client treats these as transient and retries without reporting them.
        Code::Internal | Code::ResourceExhausted | Code::Aborted => ProbeResult::Unreachable(reason),
        // Other errors, such as a missing permission, show that Pub/Sub is reachable.
        _ => ProbeResult::Reachable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use google_cloud_googleapis::pubsub::v1::{BigQueryConfig, CloudStorageConfig, PushConfig};

    #[test]
    fn detects_why_no_messages_arrive() {
        let working = || Definition {
            topic: "projects/p/topics/t".to_owned(),
            state: State::Active.into(),
            push_config: Some(PushConfig::default()),
            filter: "attributes:x".to_owned(),
            ..Definition::default()
        };
        assert_eq!(delivery_problem(&working()), None);
        // Google's emulator omits the state.
        assert_eq!(delivery_problem(&Definition { state: 0, ..working() }), None);
        let push =
            PushConfig { push_endpoint: "https://example.test/push".to_owned(), ..PushConfig::default() };
        let table = BigQueryConfig { table: "p.d.t".to_owned(), ..BigQueryConfig::default() };
        let bucket = CloudStorageConfig { bucket: "b".to_owned(), ..CloudStorageConfig::default() };
        for (definition, text) in [
            (
                Definition { topic: DELETED_TOPIC.to_owned(), ..working() },
                "topic was deleted (_deleted-topic_)",
            ),
            (Definition { detached: true, ..working() }, "detached"),
            (Definition { push_config: Some(push), ..working() }, "pushed to https://example.test/push"),
            (Definition { bigquery_config: Some(table), ..working() }, "BigQuery"),
            (Definition { cloud_storage_config: Some(bucket), ..working() }, "Cloud Storage"),
            (Definition { state: State::ResourceError.into(), ..working() }, "RESOURCE_ERROR"),
        ] {
            let problem = delivery_problem(&definition).unwrap();
            assert!(problem.contains(text), "{problem}");
        }
    }
}
