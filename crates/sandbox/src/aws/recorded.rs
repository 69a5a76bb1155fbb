//! Recorded requests.

use bytes::Bytes;
use hyper::{HeaderMap, Method};
use tokio::time::Instant;

use super::operation::Operation;

/// A request, recorded on arrival.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The method.
    pub method: Method,
    /// The path of the URL.
    pub path: String,
    /// The operation; `None` if it is unknown.
    pub operation: Option<Operation>,
    /// The region of the signature.
    pub region: Option<String>,
    /// The account of the access key; `None` for unknown keys and unsigned requests.
    pub account: Option<String>,
    /// The access key id of the signature.
    pub key_id: Option<String>,
    /// The headers.
    pub headers: HeaderMap,
    /// The body: JSON for SQS, a form for EC2 and STS.
    pub body: Bytes,
    /// The number of the connection, counted from zero in the order of acceptance.
    pub connection: u64,
    /// The time of arrival.
    pub at: Instant,
}

impl Recorded {
    /// Returns a parameter of a form body.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<String> {
        super::form::Form::parse(&self.body).get(name).map(str::to_owned)
    }

    /// Returns a JSON body.
    #[must_use]
    pub fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&self.body).ok()
    }
}
