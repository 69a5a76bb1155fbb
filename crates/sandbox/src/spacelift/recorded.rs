//! Recorded requests.

use hyper::{HeaderMap, Version};
use tokio::time::Instant;

/// The operation name under which all token exchanges are counted and can be overridden.
pub const EXCHANGE: &str = "apiKeyUser";

/// A request to `/graphql`, recorded on arrival.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The name of the operation: [`EXCHANGE`] for token exchanges, `None` for a request without a name.
    pub operation: Option<String>,
    /// The GraphQL document.
    pub query: String,
    /// The variables, an object.
    pub variables: serde_json::Value,
    /// The HTTP headers.
    pub headers: HeaderMap,
    /// The HTTP version.
    pub version: Version,
    /// The number of the connection, from zero. A restart resets it.
    pub connection: u64,
    /// The bearer token.
    pub token: Option<String>,
    /// The time of arrival.
    pub at: Instant,
}
