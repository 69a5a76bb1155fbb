//! A small question to Pub/Sub, beside the stream.

use std::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use exporter_common::upstream::chain;
use google_cloud_auth::credentials::Credentials;
use google_cloud_googleapis::pubsub::v1::GetSubscriptionRequest;
use google_cloud_googleapis::pubsub::v1::subscriber_client::SubscriberClient;
use http::HeaderMap;
use tokio::time::timeout;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint as Transport};
use tonic::{Code, Request, Status};

use crate::config::{Endpoint, SubscriptionName};
use crate::google::{headers, one_line, reason};

const GOOGLE: &str = "https://pubsub.googleapis.com";

/// No answer within this time means that there is none to come.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What a probe found.
#[derive(Debug)]
pub(crate) enum Finding {
    /// Pub/Sub answers. It may say no to the question: consuming needs another permission than asking.
    Reachable,
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
}

impl Probe {
    /// No connection is made yet.
    pub(crate) fn new(endpoint: Option<&Endpoint>, credentials: Credentials) -> Result<Self, String> {
        let url = endpoint.map_or(GOOGLE, Endpoint::url).to_owned();
        let mut transport =
            Transport::from_shared(url).map_err(|error| reason(&error))?.connect_timeout(TIMEOUT);
        if !endpoint.is_some_and(Endpoint::is_plain) {
            transport = transport
                .tls_config(ClientTlsConfig::new().with_native_roots())
                .map_err(|error| reason(&error))?;
        }
        let channel = Mutex::new(transport.connect_lazy());
        Ok(Self { transport, channel, credentials })
    }

    pub(crate) async fn ask(&self, subscription: &SubscriptionName) -> Finding {
        let headers = match headers(&self.credentials).await {
            Ok(headers) => headers,
            Err(reason) => return Finding::Unreachable(reason),
        };
        match timeout(TIMEOUT, self.get(subscription, headers)).await {
            Ok(Ok(())) => Finding::Reachable,
            Ok(Err(status)) => verdict(&status),
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

    async fn get(&self, subscription: &SubscriptionName, headers: HeaderMap) -> Result<(), Status> {
        let mut request =
            Request::new(GetSubscriptionRequest { subscription: subscription.full().to_owned() });
        *request.metadata_mut() = MetadataMap::from_headers(headers);
        SubscriberClient::new(self.channel()).get_subscription(request).await?;
        Ok(())
    }
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
