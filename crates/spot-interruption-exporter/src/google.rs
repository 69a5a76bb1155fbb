//! What the clients of Pub/Sub and Compute have in common: credentials, and errors as one line.

use exporter_common::upstream::{self, chain};
use google_cloud_auth::credentials::{Builder, CacheableResource, Credentials, anonymous};
use google_cloud_gax::error::Error;
use http::{Extensions, HeaderMap};

use crate::config::Endpoint;

/// Application Default Credentials, or none for a plain endpoint.
pub(crate) fn credentials(endpoint: Option<&Endpoint>) -> Result<Credentials, String> {
    if endpoint.is_some_and(Endpoint::is_plain) {
        return Ok(anonymous::Builder::new().build());
    }
    Builder::default()
        .build()
        .map_err(|error| format!("no Application Default Credentials: {}", chain(&error)))
}

/// The headers that carry them.
pub(crate) async fn headers(credentials: &Credentials) -> Result<HeaderMap, String> {
    match credentials.headers(Extensions::new()).await.map_err(|error| one_line(&chain(&error)))? {
        CacheableResource::New { data, .. } => Ok(data),
        // Only said to those who name what they have, which we do not.
        CacheableResource::NotModified => Ok(HeaderMap::new()),
    }
}

/// What went wrong, for `/ready` and the log: the service's own code and words where it answered.
pub(crate) fn explain(error: &Error) -> String {
    if let Some(status) = error.status() {
        return one_line(&format!("{}: {}", status.code, status.message));
    }
    if let Some(code) = error.http_status_code() {
        return format!("HTTP {code}");
    }
    one_line(&chain(error))
}

/// A text of others as one line of bounded length.
pub(crate) fn one_line(text: &str) -> String {
    const LONGEST: usize = 400;
    upstream::one_line(text, LONGEST)
}
