//! What is remembered of a request.

use hyper::{HeaderMap, Version};
use tokio::time::Instant;

/// The operation under which every token exchange is counted and can be overridden, named or not.
pub const EXCHANGE: &str = "apiKeyUser";

/// A request to `/graphql`, noted on arrival, however it was answered later.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The operation's name: [`EXCHANGE`] for the exchange, none for another that has no name.
    pub operation: Option<String>,
    /// The GraphQL document.
    pub query: String,
    /// The variables, an object.
    pub variables: serde_json::Value,
    /// The HTTP headers.
    pub headers: HeaderMap,
    /// The HTTP version.
    pub version: Version,
    /// The number of the connection, from zero; numbers start again with a restart.
    pub connection: u64,
    /// The bearer token that came along.
    pub token: Option<String>,
    /// When it arrived.
    pub at: Instant,
}
