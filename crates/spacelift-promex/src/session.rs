//! The session: the API key exchanged for a token, once for however many need it.

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

/// A token is exchanged anew this long before it ends, in seconds.
const MARGIN_SECONDS: f64 = 30.0;

/// An exchange may outlive the scrape that began it, for the sake of the next one, but not by much: whoever comes
/// meanwhile waits for this one.
const LEAST_EXCHANGE_TIMEOUT: Duration = Duration::from_secs(5);

/// The time from one exchange that the API refuses at start to the next: three of them take a bit more than ten seconds.
const REFUSAL_INTERVAL: Duration = Duration::from_millis(5_200);

/// The pauses between exchanges that fail.
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

/// A token of the API.
#[derive(Debug, Clone)]
pub struct Token {
    jwt: Secret,
    /// `Bearer <jwt>`, marked sensitive.
    header: HeaderValue,
    /// Unix seconds.
    valid_until: f64,
    /// Which exchange it came from.
    generation: u64,
}

impl Token {
    pub(crate) fn header(&self) -> &HeaderValue {
        &self.header
    }

    /// `text` without this token.
    pub(crate) fn redact(&self, text: &str) -> String {
        self.jwt.redact(text)
    }

    /// Whether it is good for a while yet.
    fn is_fresh(&self, now: SystemTime) -> bool {
        self.outlasts(now, MARGIN_SECONDS)
    }

    fn outlasts(&self, now: SystemTime, seconds: f64) -> bool {
        now.duration_since(UNIX_EPOCH).is_ok_and(|now| now.as_secs_f64() + seconds < self.valid_until)
    }
}

/// The exporter's session with the API.
#[derive(Debug)]
pub struct Session {
    exchanger: Arc<Exchanger>,
    exchange: SingleFlight<Result<Token, Failure>>,
}

impl Session {
    /// A session that has no token yet. Its readiness is a condition of `readiness`.
    pub(crate) fn new(config: &Config, api: Arc<Api>, telemetry: Telemetry, readiness: &Readiness) -> Self {
        let exchanger = Exchanger {
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
        Self { exchanger: Arc::new(exchanger), exchange: SingleFlight::default() }
    }

    /// Keeps the session alive for as long as the exporter runs: exchanges until the API says yes, and again
    /// whenever the session is lost, so that readiness recovers without a scrape. Ends only with a clear and repeated
    /// refusal of the credentials that the exporter was started with.
    pub(crate) async fn keep(self: Arc<Self>) -> Rejected {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        let mut established = false;
        loop {
            let began = Instant::now();
            let pause = match self.token().await {
                Ok(_) => {
                    established = true;
                    backoff.reset();
                    self.exchanger.lost.notified().await;
                    backoff.pause()
                }
                Err(_) if !established && self.exchanger.state().refusals.is_refused() => {
                    if let Some(reason) = self.exchanger.state().refusals.last_word(Instant::now()) {
                        let endpoint = self.exchanger.endpoint.clone();
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

    /// A token that is good for a while yet, or at least still good if there is no other to be had.
    ///
    /// # Errors
    /// The exchange failed.
    pub async fn token(&self) -> Result<Token, Failure> {
        self.token_other_than(None).await
    }

    /// A token other than the one that was just refused.
    ///
    /// # Errors
    /// The exchange failed.
    pub(crate) async fn renewed(&self, refused: &Token) -> Result<Token, Failure> {
        self.token_other_than(Some(refused.generation)).await
    }

    /// `text` without the secret of the API key.
    pub(crate) fn redact(&self, text: &str) -> String {
        match &self.exchanger.state().secret {
            Some(secret) => secret.redact(text),
            None => text.to_owned(),
        }
    }

    async fn token_other_than(&self, refused: Option<u64>) -> Result<Token, Failure> {
        // Whether a token will do and whether an exchange is under way are looked at in one go, so that
        // nobody who comes as one ends starts another.
        let exchange = {
            let state = self.exchanger.state();
            if let Some(token) = state.token_other_than(refused)
                && token.is_fresh(SystemTime::now())
            {
                return Ok(token.clone());
            }
            let exchanger = self.exchanger.clone();
            self.exchange.call(move || exchanger.exchange(refused), Err(Failure::Defect))
        };
        exchange.await.or_else(|failure| {
            let token = self.exchanger.state().good_token(refused).cloned();
            token.ok_or_else(|| {
                // The last token may have ended since the exchange failed.
                self.exchanger.failed(&failure, refused);
                failure
            })
        })
    }
}

/// What an exchange needs and leaves behind.
#[derive(Debug)]
struct Exchanger {
    api: Arc<Api>,
    endpoint: String,
    key_id: String,
    secret: SecretSource,
    reader: Reader,
    timeout: Duration,
    telemetry: Telemetry,
    condition: Condition,
    /// Told when there is no good token any more.
    lost: Notify,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    token: Option<Token>,
    /// The secret of the last exchange, to keep out of messages.
    secret: Option<Secret>,
    exchanges: u64,
    refusals: Refusals,
}

impl State {
    fn token_other_than(&self, refused: Option<u64>) -> Option<&Token> {
        self.token.as_ref().filter(|token| Some(token.generation) != refused)
    }

    /// A token that is neither refused nor over.
    fn good_token(&self, refused: Option<u64>) -> Option<&Token> {
        self.token_other_than(refused).filter(|token| token.outlasts(SystemTime::now(), 0.0))
    }
}

impl Exchanger {
    fn state(&self) -> MutexGuard<'_, State> {
        // A token is assigned whole or not at all.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn exchange(self: Arc<Self>, refused: Option<u64>) -> Result<Token, Failure> {
        if let Err(failure) = self.api.check_rate_limit() {
            self.failed(&failure, refused);
            return Err(failure);
        }
        let started = Instant::now();
        let answer = match timeout(self.timeout, self.ask()).await {
            Ok(answer) => answer,
            Err(_) => Err(Failure::Timeout(self.timeout)),
        };
        self.telemetry.requested(TOKEN_EXCHANGE, answer.as_ref().err(), started.elapsed());
        self.telemetry.exchanged(answer.as_ref().err());
        self.state().refusals.note(answer.as_ref().err().and_then(clear_refusal), Instant::now());
        match &answer {
            Ok(token) => {
                self.state().token = Some(token.clone());
                self.condition.ready();
            }
            Err(failure) => self.failed(failure, refused),
        }
        answer
    }

    /// The session is lost, unless there is a token that is still good.
    fn failed(&self, failure: &Failure, refused: Option<u64>) {
        if self.state().good_token(refused).is_none() {
            self.condition.missing(format!("no session with the Spacelift API: {failure}"));
            self.lost.notify_one();
        }
    }

    async fn ask(&self) -> Result<Token, Failure> {
        let secret = self.secret.read(&self.reader).await.map_err(Failure::Secret)?;
        self.state().secret = Some(secret.clone());
        let mutation =
            Exchange::build(Credentials { id: cynic::Id::new(&self.key_id), secret: secret.expose() });
        let body = serde_json::to_vec(&mutation).map_err(|error| Failure::Invalid(error.to_string()))?;
        let answer = self.api.post(body.into(), None).await;
        let user = answer
            .and_then(|body| read_data::<Exchange>(&body))
            .and_then(|data| {
                data.api_key_user.ok_or_else(|| Failure::Unauthorized("the API knows no such key".to_owned()))
            })
            .map_err(|failure| as_refusal(failure).reworded(|words| secret.redact(words)))?;
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

fn exchange_timeout(scrape_timeout: Duration) -> Duration {
    LEAST_EXCHANGE_TIMEOUT.max(scrape_timeout * 2)
}

#[derive(cynic::QueryVariables)]
#[cynic(schema_module = "crate::schema")]
struct Credentials<'a> {
    id: cynic::Id,
    secret: &'a str,
}

#[derive(cynic::QueryFragment)]
#[cynic(graphql_type = "Mutation", variables = "Credentials", schema_module = "crate::schema")]
struct Exchange {
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
    fn an_exchange_may_outlive_the_scrape_that_began_it() {
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
