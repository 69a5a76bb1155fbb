//! A small question to Pub/Sub, beside the stream: whether it answers, and whether the subscription gets messages.
//!
//! A stream stays open and silent when the topic is deleted, so only what Pub/Sub says of the subscription tells that
//! nothing will come any more.

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

use crate::provider::google::config::{Endpoint, SubscriptionName};
use crate::provider::google::credentials::{headers, one_line, reason};

/// What Pub/Sub writes in the place of a topic that was deleted.
const DELETED_TOPIC: &str = "_deleted-topic_";

const GOOGLE: &str = "https://pubsub.googleapis.com";

/// No answer within this time means that there is none to come.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What a probe found.
#[derive(Debug)]
pub(crate) enum Finding {
    /// Pub/Sub answers. It may say no to the question: consuming needs another permission than asking.
    Reachable,
    /// Pub/Sub answers that new messages do not come to this stream, for this reason.
    Undelivered(String),
    /// Pub/Sub answers that there is no such subscription, or that we are nobody.
    Refused(String),
    /// Pub/Sub does not answer, or only that it cannot.
    Unreachable(String),
}

/// Asks Pub/Sub for a subscription.
#[derive(Debug)]
pub(crate) struct Probe {
    transport: Transport,
    channel: Mutex<Channel>,
    credentials: Credentials,
    said: Said,
}

/// What was logged about a subscription, so that it is logged once. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Said(Arc<Mutex<SaidOnce>>);

#[derive(Debug, Default)]
struct SaidOnce {
    /// That it may not be asked for.
    forbidden: bool,
    /// Which filter it has.
    filter: String,
    /// Why it gets no messages.
    undelivered: Option<String>,
    /// After how many deliveries a message goes to the dead letters.
    most_attempts: Option<i32>,
}

impl Probe {
    /// No connection is made yet.
    pub(crate) fn new(
        endpoint: Option<&Endpoint>,
        credentials: Credentials,
        said: Said,
    ) -> Result<Self, String> {
        let url = endpoint.map_or(GOOGLE, Endpoint::url).to_owned();
        let mut transport =
            Transport::from_shared(url).map_err(|error| reason(&error))?.connect_timeout(TIMEOUT);
        if !endpoint.is_some_and(Endpoint::is_plain) {
            transport = transport
                .tls_config(ClientTlsConfig::new().with_native_roots())
                .map_err(|error| reason(&error))?;
        }
        let channel = Mutex::new(transport.connect_lazy());
        Ok(Self { transport, channel, credentials, said })
    }

    pub(crate) async fn ask(&self, subscription: &SubscriptionName) -> Finding {
        let headers = match headers(&self.credentials).await {
            Ok(headers) => headers,
            Err(reason) => return Finding::Unreachable(reason),
        };
        match timeout(TIMEOUT, self.get(subscription, headers)).await {
            Ok(Ok(definition)) => {
                let problem = delivery_problem(&definition);
                self.said.described(subscription, &definition, problem.as_deref());
                problem.map_or(Finding::Reachable, Finding::Undelivered)
            }
            Ok(Err(status)) => {
                if status.code() == Code::PermissionDenied {
                    self.said.forbidden(subscription);
                }
                verdict(&status)
            }
            Err(_) => {
                // The connection may be dead without knowing it, and would stay so.
                self.reconnect();
                Finding::Unreachable(format!("no answer within {} s", TIMEOUT.as_secs()))
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

impl Said {
    /// Logs what has become different about a subscription since it was last described.
    fn described(&self, name: &SubscriptionName, definition: &Definition, problem: Option<&str>) {
        let mut said = self.lock();
        let subscription = name.full();
        if said.undelivered.as_deref() != problem {
            match problem {
                Some(reason) => tracing::error!(subscription, reason, "no message arrives any more"),
                None => tracing::info!(subscription, "messages arrive again"),
            }
            said.undelivered = problem.map(str::to_owned);
        }
        if said.filter != definition.filter {
            let filter = &definition.filter;
            if !filter.is_empty() {
                tracing::warn!(
                    subscription,
                    filter,
                    "the subscription drops messages that its filter rejects"
                );
            }
            said.filter.clone_from(filter);
        }
        let dead_letters = definition.dead_letter_policy.as_ref();
        said.most_attempts = dead_letters.map(|policy| policy.max_delivery_attempts);
    }

    /// After how many deliveries a message goes to the dead letters, as far as is known.
    pub(crate) fn most_attempts(&self) -> Option<i32> {
        self.lock().most_attempts
    }

    /// Logs that the subscription cannot be looked at.
    fn forbidden(&self, name: &SubscriptionName) {
        if !mem::replace(&mut self.lock().forbidden, true) {
            tracing::warn!(
                subscription = name.full(),
                "the permission pubsub.subscriptions.get is missing: it would not be seen if the topic were deleted \
                 or the subscription detached"
            );
        }
    }

    fn lock(&self) -> MutexGuard<'_, SaidOnce> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a subscription of this definition gets no messages, or not through a stream.
fn delivery_problem(definition: &Definition) -> Option<String> {
    let pushed_to = definition.push_config.as_ref().map(|push| &*push.push_endpoint).unwrap_or_default();
    if definition.topic == DELETED_TOPIC {
        return Some(format!(
            "its topic was deleted ({DELETED_TOPIC}); create the topic and the subscription anew"
        ));
    }
    if definition.detached {
        return Some("it is detached from its topic; create it anew".to_owned());
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

fn verdict(status: &Status) -> Finding {
    let code = google_cloud_gax::error::rpc::Code::from(status.code() as i32);
    // Of a failure on the way, the message is only the outermost layer.
    let words = status.source().map_or_else(|| status.message().to_owned(), chain);
    let reason = one_line(&format!("{code}: {words}"));
    match status.code() {
        Code::NotFound | Code::InvalidArgument | Code::Unauthenticated => Finding::Refused(reason),
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown => {
            Finding::Unreachable(reason)
        }
        // The stream's client takes these for troubles that pass, and tries again without a word.
        Code::Internal | Code::ResourceExhausted | Code::Aborted => Finding::Unreachable(reason),
        // Whatever else is the matter with the question, such as a missing permission, Pub/Sub is there.
        _ => Finding::Reachable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use google_cloud_googleapis::pubsub::v1::{BigQueryConfig, CloudStorageConfig, PushConfig};

    #[test]
    fn what_keeps_messages_from_a_stream() {
        let working = || Definition {
            topic: "projects/p/topics/t".to_owned(),
            state: State::Active.into(),
            push_config: Some(PushConfig::default()),
            filter: "attributes:x".to_owned(),
            ..Definition::default()
        };
        assert_eq!(delivery_problem(&working()), None);
        // Google's emulator leaves the state out.
        assert_eq!(delivery_problem(&Definition { state: 0, ..working() }), None);
        let push =
            PushConfig { push_endpoint: "https://example.test/push".to_owned(), ..PushConfig::default() };
        let table = BigQueryConfig { table: "p.d.t".to_owned(), ..BigQueryConfig::default() };
        let bucket = CloudStorageConfig { bucket: "b".to_owned(), ..CloudStorageConfig::default() };
        for (definition, words) in [
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
            assert!(problem.contains(words), "{problem}");
        }
    }
}
