//! Credentials: from the environment of the process, or of a role in another account.
//!
//! The sources and their protocols come from reqsign-aws-core: static keys, IAM roles for service accounts, EKS Pod
//! Identity, ECS and the metadata service of EC2. Their order is that of AWS's SDKs. A source that is configured and fails
//! is an error; the next one is not tried, so that the operator learns what is wrong.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use exporter_common::upstream::{chain, is_on_this_host, one_line};
use http::Uri;
use jiff::{SignedDuration, Timestamp};
use reqsign_aws_core::{
    AssumeRoleWithWebIdentityCredentialProvider, Credential, ECSCredentialProvider, EnvCredentialProvider,
    IMDSv2CredentialProvider,
};
use reqsign_core::{Context, Error, FileRead, HttpSend, OsEnv, ProvideCredential};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::api::{Api, Call, TIMEOUT, form, read};
use super::arn::RoleArn;
use super::xml::text_of;
use crate::provider::endpoint::Endpoint;

/// Credentials are renewed this long before they expire.
const RENEWAL: SignedDuration = SignedDuration::from_mins(5);

/// Delay before credentials are requested again after a failure. Requests fail meanwhile.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);

/// Maximum time for obtaining credentials.
const SOURCE_TIMEOUT: Duration = Duration::from_secs(20);

/// Maximum size of a response with credentials.
const MAX_BYTES: usize = 64 * 1024;

/// Maximum length of an error in characters.
const MAX_ERROR_TEXT: usize = 500;

/// Link-local addresses of the services that issue credentials. Only these, and this host, are used without TLS.
const CREDENTIAL_SERVICES: [&str; 5] =
    ["169.254.170.2", "169.254.170.23", "[fd00:ec2::23]", "169.254.169.254", "[fd00:ec2::254]"];

/// Name of the sessions of assumed roles, in CloudTrail's records.
const SESSION_NAME: &str = "spot-interruption-exporter";

/// The keys for unencrypted endpoints, which are stand-ins and never receive real credentials. They are the fixed keys of
/// moto and LocalStack.
const DUMMY_KEY: &str = "test";

/// The credentials for one account, renewed when they expire.
#[derive(Debug, Clone)]
pub(super) struct AccountCredentials(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    source: CredentialSource,
    current: Mutex<Current>,
}

#[derive(Debug, Default)]
struct Current {
    credential: Option<Credential>,
    /// The last failure.
    failure: Option<(Instant, String)>,
}

#[derive(Debug)]
enum CredentialSource {
    /// For unencrypted endpoints.
    Dummy,
    /// The environment of the process.
    Environment { sts: Option<Endpoint>, region: String },
    /// A role in another account.
    Role { role: RoleArn, base: AccountCredentials, sts: Endpoint, region: String },
}

impl AccountCredentials {
    fn new(source: CredentialSource) -> Self {
        Self(Arc::new(Inner { source, current: Mutex::default() }))
    }

    /// Credentials for unencrypted endpoints.
    pub(super) fn dummy() -> Self {
        Self::new(CredentialSource::Dummy)
    }

    /// The credentials of the process. `sts` replaces AWS's URL.
    pub(super) fn of_environment(sts: Option<Endpoint>, region: &str) -> Self {
        Self::new(CredentialSource::Environment { sts, region: region.to_owned() })
    }

    /// The credentials of a role that is assumed with `base`.
    pub(super) fn of_role(role: RoleArn, base: Self, sts: Endpoint, region: &str) -> Self {
        Self::new(CredentialSource::Role { role, base, sts, region: region.to_owned() })
    }

    /// Returns the current credentials, and requests new ones if they expire soon.
    ///
    /// # Errors
    /// Returns an error if there are none.
    pub(super) async fn get(&self, api: &Api) -> Result<Credential, String> {
        let mut current = self.0.current.lock().await;
        let now = api.clock.now();
        if let Some(credential) =
            current.credential.as_ref().filter(|of| expiry(of).is_none_or(|at| at - RENEWAL > now))
        {
            return Ok(credential.clone());
        }
        if let Some((at, reason)) = &current.failure
            && at.elapsed() < FAILURE_PAUSE
        {
            return Err(reason.clone());
        }
        let requested = timeout(SOURCE_TIMEOUT, self.0.source.request(api)).await;
        let requested = requested
            .unwrap_or_else(|_| Err(format!("no credentials within {} s", SOURCE_TIMEOUT.as_secs())));
        match requested {
            Ok(credential) => {
                current.failure = None;
                current.credential = Some(credential.clone());
                Ok(credential)
            }
            Err(reason) => {
                current.failure = Some((Instant::now(), reason.clone()));
                // Credentials that have not expired are still accepted.
                match current.credential.as_ref().filter(|of| expiry(of).is_none_or(|at| at > now)) {
                    Some(credential) => Ok(credential.clone()),
                    None => Err(reason),
                }
            }
        }
    }

    /// Discards the current credentials, because AWS rejects them as expired.
    pub(super) async fn forget(&self) {
        self.0.current.lock().await.credential = None;
    }
}

fn expiry(credential: &Credential) -> Option<Timestamp> {
    credential.expires_in.and_then(|at| Timestamp::try_from(at.as_system_time()).ok())
}

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl CredentialSource {
    /// Requests new credentials. Boxed, because a role requests the credentials of its base.
    fn request<'a>(&'a self, api: &'a Api) -> BoxFuture<'a, Result<Credential, String>> {
        Box::pin(async move {
            match self {
                Self::Dummy => Ok(Credential {
                    access_key_id: DUMMY_KEY.to_owned(),
                    secret_access_key: DUMMY_KEY.to_owned(),
                    session_token: None,
                    expires_in: None,
                }),
                Self::Environment { sts, region } => {
                    let http = CredentialHttp { api: api.clone(), sts: sts.clone() };
                    let context =
                        Context::new().with_env(OsEnv).with_file_read(TokioFiles).with_http_send(http);
                    of_environment(&context, region).await
                }
                Self::Role { role, base, sts, region } => assume(role, base, sts, region, api).await,
            }
        })
    }
}

/// Requests the credentials from the first source that is configured.
async fn of_environment(context: &Context, region: &str) -> Result<Credential, String> {
    let is_set = |name| context.env_var(name).is_some_and(|value| !value.is_empty());
    let (source, provided) = if is_set("AWS_ACCESS_KEY_ID") || is_set("AWS_SECRET_ACCESS_KEY") {
        (
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            EnvCredentialProvider::new().provide_credential(context).await,
        )
    } else if is_set("AWS_WEB_IDENTITY_TOKEN_FILE") {
        let provider = AssumeRoleWithWebIdentityCredentialProvider::new()
            .with_region(region.to_owned())
            .with_regional_sts_endpoint()
            .with_role_session_name(SESSION_NAME.to_owned());
        ("AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN", provider.provide_credential(context).await)
    } else if is_set("AWS_CONTAINER_CREDENTIALS_FULL_URI") || is_set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
    {
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", ECSCredentialProvider::new().provide_credential(context).await)
    } else {
        ("the metadata service of EC2", IMDSv2CredentialProvider::new().provide_credential(context).await)
    };
    match provided {
        Ok(Some(credential)) => Ok(credential),
        Ok(None) => Err(format!("no AWS credentials from {source}")),
        Err(error) => Err(describe(source, &error)),
    }
}

fn describe(source: &str, error: &Error) -> String {
    let mut text = format!("no AWS credentials from {source}: {}", chain(error));
    for context in error.context() {
        // Hints of the library name possible causes of other environments.
        if !context.starts_with("hint:") {
            text.push_str(&format!(", {context}"));
        }
    }
    one_line(&text, MAX_ERROR_TEXT)
}

/// Assumes a role.
async fn assume(
    role: &RoleArn,
    base: &AccountCredentials,
    sts: &Endpoint,
    region: &str,
    api: &Api,
) -> Result<Credential, String> {
    let parameters = [
        ("Action", "AssumeRole"),
        ("Version", "2011-06-15"),
        ("RoleArn", role.text()),
        ("RoleSessionName", SESSION_NAME),
    ];
    let call = Call {
        endpoint: sts,
        service: "sts",
        region,
        content_type: "application/x-www-form-urlencoded; charset=utf-8",
        target: None,
        body: form(&parameters),
        timeout: TIMEOUT,
        max_bytes: MAX_BYTES,
    };
    let problem = |reason: String| format!("cannot assume {}: {reason}", role.text());
    let response = api.call(&call, base).await.map_err(|error| problem(error.failure.reason))?;
    let text = String::from_utf8_lossy(&response);
    let field = |name| text_of(&text, name).ok_or_else(|| problem(format!("the response has no {name}")));
    let expiration = field("Expiration")?;
    Ok(Credential {
        access_key_id: field("AccessKeyId")?,
        secret_access_key: field("SecretAccessKey")?,
        session_token: Some(field("SessionToken")?),
        expires_in: Some(
            expiration.parse().map_err(|_| problem("the response has no valid Expiration".to_owned()))?,
        ),
    })
}

/// Reads the token files of the sources.
#[derive(Debug)]
struct TokioFiles;

impl FileRead for TokioFiles {
    async fn file_read(&self, path: &str) -> reqsign_core::Result<Vec<u8>> {
        let path = path.to_owned();
        // On its own thread, because a file can be on a volume that blocks.
        let contents = tokio::task::spawn_blocking(move || std::fs::read(path)).await;
        contents
            .map_err(|error| Error::unexpected("the file cannot be read").with_source(error))?
            .map_err(|error| Error::config_invalid(error.to_string()))
    }
}

/// Sends the requests of the sources.
#[derive(Debug)]
struct CredentialHttp {
    api: Api,
    /// URL of STS in place of AWS's.
    sts: Option<Endpoint>,
}

impl HttpSend for CredentialHttp {
    async fn http_send(&self, request: http::Request<Bytes>) -> reqsign_core::Result<http::Response<Bytes>> {
        let (parts, body) = request.into_parts();
        let uri = self.target(&parts.uri)?;
        let client = self.api.client(uri.scheme_str() == Some("http"));
        let request = client.request(parts.method, uri.to_string()).headers(parts.headers);
        let sent = request.timeout(TIMEOUT).body(body).send().await;
        let failed = |reason: String| Error::unexpected(reason);
        let response = sent.map_err(|error| failed(super::api::describe_failure(error, TIMEOUT)))?;
        self.api.clock.note(response.headers());
        let status = response.status();
        let body = read(response, MAX_BYTES, TIMEOUT).await.map_err(failed)?;
        let mut response = http::Response::new(body);
        *response.status_mut() = status;
        Ok(response)
    }
}

impl CredentialHttp {
    /// The URL of a request, with the configured endpoint of STS.
    ///
    /// # Errors
    /// Returns an error if the request would send a secret without encryption.
    fn target(&self, uri: &Uri) -> reqsign_core::Result<Uri> {
        let host = uri.host().unwrap_or_default();
        if uri.scheme_str() == Some("https") {
            let Some(sts) = self.sts.as_ref().filter(|_| host.starts_with("sts.")) else {
                return Ok(uri.clone());
            };
            if sts.is_plain() {
                return Err(Error::config_invalid(
                    "aws.sts_endpoint is http://, which never receives the token of a service account",
                ));
            }
            return format!("{}/", sts.url())
                .parse()
                .map_err(|error| Error::config_invalid("aws.sts_endpoint is not a URL").with_source(error));
        }
        if CREDENTIAL_SERVICES.contains(&host) || is_on_this_host(uri) {
            return Ok(uri.clone());
        }
        Err(Error::config_invalid(format!(
            "{host} may not be used without TLS; allowed are https and the addresses of AWS's services"
        )))
    }
}
