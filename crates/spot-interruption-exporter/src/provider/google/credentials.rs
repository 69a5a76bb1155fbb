//! What the clients of Pub/Sub and Compute have in common: credentials, and errors as one line.

use std::error::Error as StdError;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use exporter_common::upstream::{self, chain};
use google_cloud_auth::build_errors;
use google_cloud_auth::credentials::{
    Builder, CacheableResource, Credentials, CredentialsProvider, anonymous,
};
use google_cloud_auth::errors::CredentialsError;
use google_cloud_gax::error::Error;
use http::{Extensions, HeaderMap};
use tokio::time::{Instant, timeout};

use crate::provider::google::config::Endpoint;

/// How long a request waits for a token. The library goes on asking for it.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(5);

/// How long no token may come before the question for one counts as lost.
const LOST: Duration = Duration::from_secs(15);

/// The least time between two sets of credentials.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(1);

/// Application Default Credentials, shared by all clients, so that there is one token.
///
/// Google's library takes some failures for final, such as the refusal of a metadata server, and repeats them for
/// ever. But what is missing may be granted while the exporter runs, so the credentials are made anew then.
#[derive(Debug, Clone, Default)]
pub(crate) struct Access(Arc<Mutex<Option<Current>>>);

#[derive(Debug)]
struct Current {
    credentials: Credentials,
    made: Instant,
    /// When there was a token last, or the beginning.
    good: Instant,
    failed_for_good: bool,
}

/// There is nothing to get a token by.
#[derive(Debug, thiserror::Error)]
#[error("no Application Default Credentials")]
struct NoCredentials(#[source] build_errors::Error);

/// No token has come in time.
#[derive(Debug, thiserror::Error)]
#[error("nothing came within {} s", TOKEN_TIMEOUT.as_secs())]
struct NothingCame;

impl Access {
    /// The credentials for a service. A plain endpoint gets none.
    pub(crate) fn to(&self, endpoint: Option<&Endpoint>) -> Credentials {
        if endpoint.is_some_and(Endpoint::is_plain) {
            return anonymous::Builder::new().build();
        }
        Credentials::from(self.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Current>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn credentials(&self) -> Result<(Instant, Credentials), CredentialsError> {
        let mut current = self.lock();
        let usable = current
            .as_ref()
            .filter(|current| !current.failed_for_good || current.made.elapsed() < RENEWAL_INTERVAL);
        if let Some(Current { made, credentials, .. }) = usable {
            return Ok((*made, credentials.clone()));
        }
        let credentials = Builder::default()
            .build()
            .map_err(|error| CredentialsError::from_source(true, NoCredentials(error)))?;
        let made = Instant::now();
        *current =
            Some(Current { credentials: credentials.clone(), made, good: made, failed_for_good: false });
        Ok((made, credentials))
    }

    /// Notes how the credentials that were made at that time have done, unless others have taken their place.
    fn note(&self, made: Instant, answer: &Result<CacheableResource<HeaderMap>, CredentialsError>) {
        let mut current = self.lock();
        let Some(current) = current.as_mut().filter(|current| current.made == made) else { return };
        match answer {
            Ok(_) => current.good = Instant::now(),
            Err(error) => {
                current.failed_for_good |= !error.is_transient() || current.good.elapsed() > LOST;
            }
        }
    }
}

impl CredentialsProvider for Access {
    async fn headers(
        &self,
        extensions: Extensions,
    ) -> Result<CacheableResource<HeaderMap>, CredentialsError> {
        let (made, credentials) = self.credentials()?;
        let answer = timeout(TOKEN_TIMEOUT, credentials.headers(extensions))
            .await
            .unwrap_or_else(|_| Err(CredentialsError::from_source(true, NothingCame)));
        self.note(made, &answer);
        answer
    }

    /// Only Google's own cloud is known here.
    async fn universe_domain(&self) -> Option<String> {
        None
    }
}

/// The headers that carry a token.
pub(crate) async fn headers(credentials: &Credentials) -> Result<HeaderMap, String> {
    match credentials.headers(Extensions::new()).await.map_err(|error| no_token(&error))? {
        CacheableResource::New { data, .. } => Ok(data),
        // Only said to those who name what they have, which we do not.
        CacheableResource::NotModified => Ok(HeaderMap::new()),
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
        None => reason(error),
    }
}

/// An error and its causes as one line of bounded length.
pub(crate) fn reason(error: &dyn StdError) -> String {
    one_line(&chain(error))
}

/// A text of others as one line of bounded length.
pub(crate) fn one_line(text: &str) -> String {
    const LONGEST: usize = 400;
    upstream::one_line(text, LONGEST)
}
