//! Credentials and error descriptions, shared by the clients of Pub/Sub and Compute.

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

use crate::provider::endpoint::Endpoint;

/// Maximum time that a request waits for a token. The library continues to request one.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(5);

/// If no token arrived for this time, the library's request counts as lost.
const REQUEST_LOST_AFTER: Duration = Duration::from_secs(15);

/// Minimum time between two sets of credentials.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(1);

/// Application Default Credentials, shared by all clients, so that they use one token.
///
/// Google's library treats some errors as permanent, such as a rejection by the metadata server, and returns them
/// forever. But an administrator can grant a missing permission at any time, so the credentials are then created again.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedCredentials(Arc<Mutex<Option<Current>>>);

#[derive(Debug)]
struct Current {
    credentials: Credentials,
    created_at: Instant,
    /// Time of the last token, or of the creation.
    last_success: Instant,
    failed_permanently: bool,
}

/// No Application Default Credentials were found.
#[derive(Debug, thiserror::Error)]
#[error("no Application Default Credentials")]
struct NoCredentials(#[source] build_errors::Error);

/// No token arrived in time.
#[derive(Debug, thiserror::Error)]
#[error("no response within {} s", TOKEN_TIMEOUT.as_secs())]
struct TokenTimeout;

impl SharedCredentials {
    /// Returns the credentials for a service: none for an unencrypted endpoint.
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
            .filter(|current| !current.failed_permanently || current.created_at.elapsed() < RENEWAL_INTERVAL);
        if let Some(Current { created_at, credentials, .. }) = usable {
            return Ok((*created_at, credentials.clone()));
        }
        let credentials = Builder::default()
            .build()
            .map_err(|error| CredentialsError::from_source(true, NoCredentials(error)))?;
        let created_at = Instant::now();
        *current = Some(Current {
            credentials: credentials.clone(),
            created_at,
            last_success: created_at,
            failed_permanently: false,
        });
        Ok((created_at, credentials))
    }

    /// Notes the result of the credentials created at that time, unless they were replaced.
    fn note(&self, created_at: Instant, result: &Result<CacheableResource<HeaderMap>, CredentialsError>) {
        let mut current = self.lock();
        let Some(current) = current.as_mut().filter(|current| current.created_at == created_at) else {
            return;
        };
        match result {
            Ok(_) => current.last_success = Instant::now(),
            Err(error) => {
                current.failed_permanently |=
                    !error.is_transient() || current.last_success.elapsed() > REQUEST_LOST_AFTER;
            }
        }
    }
}

impl CredentialsProvider for SharedCredentials {
    async fn headers(
        &self,
        extensions: Extensions,
    ) -> Result<CacheableResource<HeaderMap>, CredentialsError> {
        let (created_at, credentials) = self.credentials()?;
        let result = timeout(TOKEN_TIMEOUT, credentials.headers(extensions))
            .await
            .unwrap_or_else(|_| Err(CredentialsError::from_source(true, TokenTimeout)));
        self.note(created_at, &result);
        result
    }

    /// Only Google's public cloud is supported.
    async fn universe_domain(&self) -> Option<String> {
        None
    }
}

/// The headers with the token.
pub(crate) async fn headers(credentials: &Credentials) -> Result<HeaderMap, String> {
    match credentials.headers(Extensions::new()).await.map_err(|error| describe_token_error(&error))? {
        CacheableResource::New { data, .. } => Ok(data),
        // Only returned for requests with an entity tag, which we do not send.
        CacheableResource::NotModified => Ok(HeaderMap::new()),
    }
}

/// Describes why there is no token. The outer errors of the library only contain whether it will retry.
fn describe_token_error(error: &(dyn StdError + 'static)) -> String {
    let is_wrapper = |error: &(dyn StdError + 'static)| {
        error.is::<CredentialsError>() || error.downcast_ref::<Error>().is_some_and(Error::is_authentication)
    };
    let mut cause = error;
    while let Some(source) = cause.source().filter(|_| is_wrapper(cause)) {
        cause = source;
    }
    one_line(&format!("no access token: {}", chain(cause)))
}

/// Describes an error for `/ready` and the log, with the code and message of the service if it responded.
pub(crate) fn describe_error(error: &Error) -> String {
    if let Some(status) = error.status() {
        return one_line(&format!("{}: {}", status.code, status.message));
    }
    if let Some(code) = error.http_status_code() {
        return format!("HTTP {code}");
    }
    match error.source().filter(|_| error.is_authentication()) {
        Some(cause) => describe_token_error(cause),
        None => reason(error),
    }
}

/// An error and its causes as one line of limited length.
pub(crate) fn reason(error: &dyn StdError) -> String {
    one_line(&chain(error))
}

/// An external text as one line of limited length.
pub(crate) fn one_line(text: &str) -> String {
    const LONGEST: usize = 400;
    upstream::one_line(text, LONGEST)
}
