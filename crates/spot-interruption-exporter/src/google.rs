//! What the clients of Pub/Sub and Compute have in common: credentials, and errors as one line.

use std::error::Error as StdError;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use exporter_common::upstream::{self, chain};
use google_cloud_auth::credentials::{Builder, CacheableResource, Credentials, anonymous};
use google_cloud_auth::errors::CredentialsError;
use google_cloud_gax::error::Error;
use http::{Extensions, HeaderMap};
use tokio::time::timeout;

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

/// How long a request waits for a token. The library goes on asking for it.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(5);

/// The credentials of one client.
///
/// Google's library takes some failures for final, such as the refusal of a metadata server, and repeats them for
/// ever. But what is missing may be granted while the exporter runs, so it starts over with such credentials.
#[derive(Debug)]
pub(crate) struct Access {
    endpoint: Option<Endpoint>,
    /// With the number of times that they were made anew.
    current: Mutex<(u64, Credentials)>,
}

impl Access {
    /// Finds the credentials; no token is asked for yet.
    pub(crate) fn new(endpoint: Option<&Endpoint>) -> Result<Self, String> {
        let current = Mutex::new((0, credentials(endpoint)?));
        Ok(Self { endpoint: endpoint.cloned(), current })
    }

    /// The headers that carry a token.
    pub(crate) async fn headers(&self) -> Result<HeaderMap, String> {
        let (number, credentials) = self.current().clone();
        let Ok(answer) = timeout(TOKEN_TIMEOUT, credentials.headers(Extensions::new())).await else {
            return Err(format!("no access token within {} s", TOKEN_TIMEOUT.as_secs()));
        };
        match answer {
            Ok(CacheableResource::New { data, .. }) => Ok(data),
            // Only said to those who name what they have, which we do not.
            Ok(CacheableResource::NotModified) => Ok(HeaderMap::new()),
            Err(error) => {
                if !error.is_transient() {
                    let anew = self::credentials(self.endpoint.as_ref())?;
                    let mut current = self.current();
                    // Those who failed at the same time do it once.
                    if current.0 == number {
                        *current = (number + 1, anew);
                    }
                }
                Err(no_token(&error))
            }
        }
    }

    /// The end of the names of all services: `googleapis.com`, except in a cloud of its own. Where nobody can be asked
    /// for a token, nobody could be asked for this either.
    pub(crate) async fn universe_domain(&self) -> Result<String, String> {
        self.headers().await?;
        let (_, credentials) = self.current().clone();
        let domain = timeout(TOKEN_TIMEOUT, credentials.universe_domain()).await;
        Ok(domain.ok().flatten().unwrap_or_else(|| "googleapis.com".to_owned()))
    }

    fn current(&self) -> MutexGuard<'_, (u64, Credentials)> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why there is no token. What the library wraps around the cause says only whether it will try again.
fn no_token(error: &(dyn StdError + 'static)) -> String {
    let is_wrapping = |error: &(dyn StdError + 'static)| {
        error.is::<CredentialsError>() || error.downcast_ref::<Error>().is_some_and(Error::is_authentication)
    };
    let mut cause = error;
    while let Some(source) = cause.source().filter(|_| is_wrapping(cause)) {
        cause = source;
    }
    one_line(&format!("no access token: {}", chain(cause)))
}

/// What went wrong, for `/ready` and the log: the service's own code and words where it answered.
pub(crate) fn explain(error: &Error) -> String {
    if let Some(status) = error.status() {
        return one_line(&format!("{}: {}", status.code, status.message));
    }
    if let Some(code) = error.http_status_code() {
        return format!("HTTP {code}");
    }
    match error.source().filter(|_| error.is_authentication()) {
        Some(cause) => no_token(cause),
        None => one_line(&chain(error)),
    }
}

/// A text of others as one line of bounded length.
pub(crate) fn one_line(text: &str) -> String {
    const LONGEST: usize = 400;
    upstream::one_line(text, LONGEST)
}
