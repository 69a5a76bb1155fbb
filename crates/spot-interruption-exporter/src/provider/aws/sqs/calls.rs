//! The requests of one queue, in the protocol AWS JSON 1.0.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{MESSAGES, Received};
use crate::provider::aws::api::{Api, ApiError, Call, TIMEOUT};
use crate::provider::aws::config::QueueUrl;
use crate::provider::aws::credentials::AccountCredentials;
use crate::provider::endpoint::Endpoint;

/// Maximum size of a response in bytes: ten messages of at most 1 MiB, as JSON texts.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// A queue with the client and the credentials for it.
#[derive(Debug, Clone)]
pub(in crate::provider::aws) struct SqsQueue {
    pub(in crate::provider::aws) url: QueueUrl,
    pub(in crate::provider::aws) endpoint: Endpoint,
    pub(in crate::provider::aws) api: Api,
    pub(in crate::provider::aws) credentials: AccountCredentials,
    /// How long a received message is invisible to other consumers.
    pub(in crate::provider::aws) visibility: Duration,
}

/// An entry of a batch that failed.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct FailedEntry {
    /// Index of the entry in the request.
    pub(super) id: String,
    /// The error's code.
    #[serde(default)]
    pub(super) code: String,
    /// Whether a repetition would fail too.
    #[serde(default)]
    pub(super) sender_fault: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ReceiveRequest<'a> {
    queue_url: &'a str,
    max_number_of_messages: usize,
    wait_time_seconds: u64,
    visibility_timeout: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ReceiveResponse {
    messages: Option<Vec<Message>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Message {
    message_id: String,
    receipt_handle: String,
    #[serde(default)]
    body: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct BatchRequest<'a> {
    queue_url: &'a str,
    entries: Vec<Entry<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entry<'a> {
    id: String,
    receipt_handle: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    visibility_timeout: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BatchResponse {
    failed: Option<Vec<FailedEntry>>,
}

impl SqsQueue {
    /// Receives at most ten messages. Waits for the first one for `wait`.
    ///
    /// # Errors
    /// Returns an error if the request fails or the response is not a list of messages.
    pub(super) async fn receive(&self, wait: Duration) -> Result<Vec<Received>, ApiError> {
        let request = ReceiveRequest {
            queue_url: &self.url.url,
            max_number_of_messages: MESSAGES,
            wait_time_seconds: wait.as_secs(),
            visibility_timeout: self.visibility.as_secs(),
        };
        let response: ReceiveResponse =
            self.call("AmazonSQS.ReceiveMessage", &request, TIMEOUT + wait).await?;
        let messages = response.messages.into_iter().flatten().map(|message| Received {
            id: message.message_id,
            receipt_handle: message.receipt_handle,
            body: message.body.into(),
        });
        Ok(messages.collect())
    }

    /// Deletes messages. Returns the entries that failed.
    ///
    /// # Errors
    /// Returns an error if the request fails.
    pub(super) async fn delete(&self, handles: &[String]) -> Result<Vec<FailedEntry>, ApiError> {
        self.batch("AmazonSQS.DeleteMessageBatch", handles, None).await
    }

    /// Sets how long messages are invisible from now on. Returns the entries that failed.
    ///
    /// # Errors
    /// Returns an error if the request fails.
    pub(super) async fn set_visibility(
        &self,
        handles: &[String],
        visibility: Duration,
    ) -> Result<Vec<FailedEntry>, ApiError> {
        self.batch("AmazonSQS.ChangeMessageVisibilityBatch", handles, Some(visibility)).await
    }

    async fn batch(
        &self,
        target: &'static str,
        handles: &[String],
        visibility: Option<Duration>,
    ) -> Result<Vec<FailedEntry>, ApiError> {
        let entries = handles.iter().enumerate().map(|(index, handle)| Entry {
            id: index.to_string(),
            receipt_handle: handle,
            visibility_timeout: visibility.map(|visibility| visibility.as_secs()),
        });
        let request = BatchRequest { queue_url: &self.url.url, entries: entries.collect() };
        let response: BatchResponse = self.call(target, &request, TIMEOUT).await?;
        Ok(response.failed.unwrap_or_default())
    }

    async fn call<R: for<'de> Deserialize<'de>>(
        &self,
        target: &'static str,
        request: &impl Serialize,
        timeout: Duration,
    ) -> Result<R, ApiError> {
        let body = serde_json::to_vec(request).map_err(|error| error.to_string())?;
        let call = Call {
            endpoint: &self.endpoint,
            service: "sqs",
            region: &self.url.region,
            content_type: "application/x-amz-json-1.0",
            target: Some(target),
            body: Bytes::from(body),
            timeout,
            max_bytes: MAX_BYTES,
        };
        let response = self.api.call(&call, &self.credentials).await?;
        let parsed = serde_json::from_slice(&response);
        parsed.map_err(|error| format!("the response of SQS is not valid: {error}").into())
    }
}
