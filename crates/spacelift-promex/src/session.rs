//! The session: exchanges the API key for a token. Concurrent callers share one exchange.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cynic::MutationBuilder;
use exporter_common::backoff::Backoff;
use exporter_common::files::Reader;
use exporter_common::readiness::{Condition, Readiness};
use exporter_common::secret::Secret;
use http::HeaderValue;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::api::Api;
use crate::config::{Config, SecretSource};
use crate::failure::Failure;
use crate::graphql::read_data;
use crate::refusal::{Refusals, as_refusal, clear_refusal};
use crate::schema::Amount;
use crate::single_flight::SingleFlight;
use crate::telemetry::{TOKEN_EXCHANGE, Telemetry};

/// A token is renewed this many seconds before it expires.
const MARGIN_SECONDS: f64 = 30.0;

/// Minimum timeout of an exchange. An exchange may take longer than the scrape that started it, because the next scrape
/// needs the token too; but not much longer, because all callers wait for it.
const MIN_EXCHANGE_TIMEOUT: Duration = Duration::from_secs(5);

/// Interval between exchanges while the API refuses the credentials at start: three exchanges take slightly more than ten
/// seconds.
const REFUSAL_INTERVAL: Duration = Duration::from_millis(5_200);

/// Bounds of the backoff between failed exchanges.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The API refused the credentials with which the exporter was started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the Spacelift API at {endpoint} rejects the configured credentials (api_key_id and its secret): {reason}"
)]
pub struct Rejected {
    endpoint: String,
    reason: String,
}

/// An API token.
#[derive(Debug, Clone)]
pub struct Token {
    jwt: Secret,
    /// `Bearer <jwt>`, marked sensitive.
    header: HeaderValue,
    /// Unix seconds.
    valid_until: f64,
    /// The number of the exchange that returned it.
    generation: u64,
}

impl Token {
    /// Returns the value of `Authorization`.
    pub(crate) fn header(&self) -> &HeaderValue {
        &self.header
    }

    /// Removes this token from `text`.
    pub(crate) fn redact(&self, text: &str) -> String {
        self.jwt.redact(text)
    }

    /// Returns whether the token need not be renewed yet.
    fn is_fresh(&self, now: SystemTime) -> bool {
        self.is_valid_for(MARGIN_SECONDS, now)
    }

    /// Returns whether the token is valid for the given number of seconds from `now`.
    fn is_valid_for(&self, seconds: f64, now: SystemTime) -> bool {
        now.duration_since(UNIX_EPOCH).is_ok_and(|now| now.as_secs_f64() + seconds < self.valid_until)
    }
}

/// The exporter's session with the API.
#[derive(Debug)]
pub struct Session {
    exchange: Arc<TokenExchange>,
    running: SingleFlight<Result<Token, Failure>>,
}

impl Session {
    /// Creates a session without a token. Registers its condition in `readiness`.
    pub(crate) fn new(config: &Config, api: Arc<Api>, telemetry: Telemetry, readiness: &Readiness) -> Self {
        let exchange = TokenExchange {
            api,
            endpoint: config.api_endpoint.to_string(),
            key_id: config.api_key_id.clone(),
            secret: config.api_key_secret.clone(),
            reader: Reader::default(),
            timeout: exchange_timeout(config.scrape_timeout),
            telemetry,
            condition: readiness.condition("session", "no session with the Spacelift API yet"),
            lost: Notify::new(),
            state: Mutex::default(),
        };
        Self { exchange: Arc::new(exchange), running: SingleFlight::default() }
    }

    /// Establishes the session, and again whenever it is lost, so that readiness recovers without a scrape. Returns only
    /// if the API clearly and repeatedly refuses the credentials before it ever accepted them.
    pub(crate) async fn maintain(self: Arc<Self>) -> Rejected {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        let mut established = false;
        loop {
            let began = Instant::now();
            let pause = match self.token().await {
                Ok(_) => {
                    established = true;
                    backoff.reset();
                    self.exchange.lost.notified().await;
                    backoff.pause()
                }
                Err(_) if !established && self.exchange.state().refusals.is_refused() => {
                    if let Some(reason) = self.exchange.state().refusals.final_refusal(Instant::now()) {
                        let endpoint = self.exchange.endpoint.clone();
                        return Rejected { endpoint, reason: reason.to_owned() };
                    }
                    REFUSAL_INTERVAL.saturating_sub(began.elapsed()).max(FIRST_PAUSE)
                }
                Err(Failure::RateLimited { wait, .. }) => backoff.pause().max(wait),
                Err(_) => backoff.pause(),
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Returns a token. A token that expires soon is renewed first; if that fails, it is returned as long as it is valid.
    ///
    /// # Errors
    /// Returns the failure of the exchange if there is no valid token.
    pub async fn token(&self) -> Result<Token, Failure> {
        self.token_other_than(None).await
    }

    /// Returns a token other than the refused one.
    ///
    /// # Errors
    /// Returns the failure of the exchange.
    pub(crate) async fn renew(&self, refused: &Token) -> Result<Token, Failure> {
        self.token_other_than(Some(refused.generation)).await
    }

    /// Removes the secret of the API key from `text`.
    pub(crate) fn redact(&self, text: &str) -> String {
        match &self.exchange.state().secret {
            Some(secret) => secret.redact(text),
            None => text.to_owned(),
        }
    }

    async fn token_other_than(&self, refused: Option<u64>) -> Result<Token, Failure> {
        // The lock is held while the running exchange is joined or started. Otherwise a caller that arrives just after an
        // exchange could start another one.
        let exchanged = {
            let state = self.exchange.state();
            if let Some(token) = state.token_other_than(refused)
                && token.is_fresh(SystemTime::now())
            {
                return Ok(token.clone());
            }
            let exchange = self.exchange.clone();
            self.running.call(move || exchange.run(refused), Err(Failure::Defect))
        };
        exchanged.await.or_else(|failure| {
            let token = self.exchange.state().valid_token(refused).cloned();
            token.ok_or_else(|| {
                // The last token may have expired since the exchange failed.
                self.exchange.failed(&failure, refused);
                failure
            })
        })
    }
}

/// Exchanges the API key for tokens, and holds the last one.
#[derive(Debug)]
struct TokenExchange {
    api: Arc<Api>,
    endpoint: String,
    key_id: String,
    secret: SecretSource,
    reader: Reader,
    timeout: Duration,
    telemetry: Telemetry,
    condition: Condition,
    /// Notified when there is no valid token left.
    lost: Notify,
    state: Mutex<SessionState>,
}

#[derive(Debug, Default)]
struct SessionState {
    token: Option<Token>,
    /// The secret of the last exchange, to be redacted in messages.
    secret: Option<Secret>,
    /// Number of successful exchanges.
    exchanges: u64,
    refusals: Refusals,
}

impl SessionState {
    /// Returns the token, unless it is of the refused generation.
    fn token_other_than(&self, refused: Option<u64>) -> Option<&Token> {
        self.token.as_ref().filter(|token| Some(token.generation) != refused)
    }

    /// Returns the token, unless it is refused or expired.
    fn valid_token(&self, refused: Option<u64>) -> Option<&Token> {
        self.token_other_than(refused).filter(|token| token.is_valid_for(0.0, SystemTime::now()))
    }
}

impl TokenExchange {
    fn state(&self) -> MutexGuard<'_, SessionState> {
        // The critical sections are single assignments, so a poisoned state is consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Exchanges the API key for a token, counts and logs the result.
    async fn run(self: Arc<Self>, refused: Option<u64>) -> Result<Token, Failure> {
        if let Err(failure) = self.api.check_rate_limit() {
            self.failed(&failure, refused);
            return Err(failure);
        }
        let started = Instant::now();
        let result = match timeout(self.timeout, self.request()).await {
            Ok(result) => result,
            Err(_) => Err(Failure::Timeout(self.timeout)),
        };
        self.telemetry.requested(TOKEN_EXCHANGE, result.as_ref().err(), started.elapsed());
        self.telemetry.exchanged(result.as_ref().err());
        self.state().refusals.note(result.as_ref().err().and_then(clear_refusal), Instant::now());
        match &result {
            Ok(token) => {
                self.state().token = Some(token.clone());
                self.condition.ready();
            }
            Err(failure) => self.failed(failure, refused),
        }
        result
    }

    /// Marks the session as lost, unless there is a valid token.
    fn failed(&self, failure: &Failure, refused: Option<u64>) {
        if self.state().valid_token(refused).is_none() {
            self.condition.missing(format!("no session with the Spacelift API: {failure}"));
            self.lost.notify_one();
        }
    }

    /// Reads the secret and requests a token.
    async fn request(&self) -> Result<Token, Failure> {
        let secret = self.secret.read(&self.reader).await.map_err(Failure::Secret)?;
        self.state().secret = Some(secret.clone());
        let mutation = ApiKeyUserMutation::build(Credentials {
            id: cynic::Id::new(&self.key_id),
            secret: secret.expose(),
        });
        let body = serde_json::to_vec(&mutation).map_err(|error| Failure::Invalid(error.to_string()))?;
        let response = self.api.post(body.into(), None).await;
        let user = response
            .and_then(|body| read_data::<ApiKeyUserMutation>(&body))
            .and_then(|data| {
                data.api_key_user.ok_or_else(|| Failure::Unauthorized("unknown API key".to_owned()))
            })
            .map_err(|failure| as_refusal(failure).redacted(|text| secret.redact(text)))?;
        if user.jwt.is_empty() {
            return Err(Failure::Invalid("an empty token".to_owned()));
        }
        let mut header = HeaderValue::try_from(format!("Bearer {}", user.jwt))
            .map_err(|_| Failure::Invalid("the token cannot be sent in a header".to_owned()))?;
        header.set_sensitive(true);
        let generation = {
            let mut state = self.state();
            state.exchanges += 1;
            state.exchanges
        };
        Ok(Token { jwt: Secret::new(user.jwt), header, valid_until: user.valid_until.0, generation })
    }
}

/// Returns the timeout of an exchange.
fn exchange_timeout(scrape_timeout: Duration) -> Duration {
    MIN_EXCHANGE_TIMEOUT.max(scrape_timeout * 2)
}

#[derive(cynic::QueryVariables)]
#[cynic(schema_module = "crate::schema")]
struct Credentials<'a> {
    id: cynic::Id,
    secret: &'a str,
}

#[derive(cynic::QueryFragment)]
#[cynic(graphql_type = "Mutation", variables = "Credentials", schema_module = "crate::schema")]
struct ApiKeyUserMutation {
    #[arguments(id: $id, secret: $secret)]
    api_key_user: Option<User>,
}

#[derive(cynic::QueryFragment)]
#[cynic(schema_module = "crate::schema")]
struct User {
    jwt: String,
    valid_until: Amount,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exchange_may_take_twice_the_scrape_timeout() {
        for (scrape_timeout, exchange) in [(300, 5_000), (2_500, 5_000), (5_000, 10_000), (60_000, 120_000)] {
            let scrape_timeout = Duration::from_millis(scrape_timeout);
            assert_eq!(
                exchange_timeout(scrape_timeout),
                Duration::from_millis(exchange),
                "{scrape_timeout:?}"
            );
        }
    }
}
