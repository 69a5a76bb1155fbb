//! The session: the API key exchanged for a token, once for however many need it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cynic::MutationBuilder;
use exporter_common::backoff::Backoff;
use exporter_common::readiness::{Condition, Readiness};
use http::{HeaderValue, StatusCode};
use tokio::time::timeout;

use crate::Config;
use crate::api::Api;
use crate::client::read_data;
use crate::failure::Failure;
use crate::flight::Flight;
use crate::schema::Amount;
use crate::secret::Secret;
use crate::telemetry::{TOKEN_EXCHANGE, Telemetry};
use crate::transport::Http;

/// A token is exchanged anew this long before it ends, in seconds.
const MARGIN_SECONDS: f64 = 30.0;

/// An exchange may outlive the scrape that began it, for the sake of the next one, but not by much.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(30);

/// The API refused the credentials with which the exporter was started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the Spacelift API at {endpoint} rejects the configured credentials (api_key_id and its secret): {reason}"
)]
pub struct Rejected {
    endpoint: String,
    reason: String,
}

/// Where the secret of the API key is.
#[derive(Debug, Clone)]
pub enum SecretSource {
    /// In the configuration.
    Value(Secret),
    /// In a file that is read again for each exchange, so that a rotated secret needs no restart.
    File(PathBuf),
}

impl SecretSource {
    /// The secret as it is now; white space around a file's content does not belong to it.
    pub(crate) fn read(&self) -> Result<Secret, String> {
        match self {
            Self::Value(secret) => Ok(secret.clone()),
            Self::File(path) => {
                let text = Secret::new(
                    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?,
                );
                let trimmed = text.expose().trim();
                if trimmed.is_empty() {
                    return Err(format!("{} is empty", path.display()));
                }
                Ok(Secret::new(trimmed))
            }
        }
    }
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

    fn is_fresh(&self, now: SystemTime) -> bool {
        now.duration_since(UNIX_EPOCH).is_ok_and(|now| now.as_secs_f64() + MARGIN_SECONDS < self.valid_until)
    }
}

/// The exporter's session with the API.
#[derive(Debug)]
pub struct Session {
    exchanger: Arc<Exchanger>,
    exchange: Flight<Result<Token, Failure>>,
}

impl Session {
    /// A session that has no token yet. Its readiness is a condition of `readiness`.
    pub(crate) fn new(config: &Config, http: Http, telemetry: Telemetry, readiness: &Readiness) -> Self {
        let exchanger = Exchanger {
            api: Api::new(http, config.graphql_endpoint()),
            endpoint: config.api_endpoint.to_string(),
            key_id: config.api_key_id.clone(),
            secret: config.api_key_secret.clone(),
            telemetry,
            condition: readiness.condition("no session with the Spacelift API yet"),
            state: Mutex::default(),
        };
        Self { exchanger: Arc::new(exchanger), exchange: Flight::default() }
    }

    /// Exchanges until the API says yes, for as long as it cannot be reached.
    ///
    /// # Errors
    /// The API says no.
    pub async fn establish(self: Arc<Self>) -> Result<(), Rejected> {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));
        loop {
            match self.token().await {
                Ok(_) => return Ok(()),
                Err(Failure::Unauthorized(reason)) => {
                    return Err(Rejected { endpoint: self.exchanger.endpoint.clone(), reason });
                }
                Err(_) => tokio::time::sleep(backoff.pause()).await,
            }
        }
    }

    /// A token that is good for a while yet.
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

    async fn token_other_than(&self, refused: Option<u64>) -> Result<Token, Failure> {
        // Whether a token will do and whether an exchange is under way are looked at in one go, so that
        // nobody who comes as one ends starts another.
        let exchange = {
            let state = self.exchanger.state();
            if let Some(token) = &state.token
                && Some(token.generation) != refused
                && token.is_fresh(SystemTime::now())
            {
                return Ok(token.clone());
            }
            let exchanger = self.exchanger.clone();
            self.exchange.join(move || exchanger.exchange(), Err(Failure::Defect))
        };
        exchange.await
    }
}

/// What an exchange needs and leaves behind.
#[derive(Debug)]
struct Exchanger {
    api: Api,
    endpoint: String,
    key_id: String,
    secret: SecretSource,
    telemetry: Telemetry,
    condition: Condition,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    token: Option<Token>,
    exchanges: u64,
}

impl Exchanger {
    fn state(&self) -> MutexGuard<'_, State> {
        // A token is assigned whole or not at all.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn exchange(self: Arc<Self>) -> Result<Token, Failure> {
        let started = Instant::now();
        let answer = match timeout(EXCHANGE_TIMEOUT, self.ask()).await {
            Ok(answer) => answer,
            Err(_) => Err(Failure::Timeout(EXCHANGE_TIMEOUT)),
        };
        self.telemetry.requested(TOKEN_EXCHANGE, answer.as_ref().err(), started.elapsed());
        self.telemetry.exchanged(answer.as_ref().err());
        match &answer {
            Ok(token) => {
                self.state().token = Some(token.clone());
                self.condition.ready();
            }
            Err(failure) => self.condition.missing(format!("no session with the Spacelift API: {failure}")),
        }
        answer
    }

    async fn ask(&self) -> Result<Token, Failure> {
        let secret = self.secret.read().map_err(Failure::Secret)?;
        let mutation =
            Exchange::build(Credentials { id: cynic::Id::new(&self.key_id), secret: secret.expose() });
        let body = serde_json::to_vec(&mutation).map_err(|error| Failure::Invalid(error.to_string()))?;
        let answer = self.api.post(TOKEN_EXCHANGE, body.into(), None).await;
        let user = answer
            .and_then(|body| read_data::<Exchange>(&body))
            .and_then(|data| {
                data.api_key_user.ok_or_else(|| Failure::Unauthorized("the API knows no such key".to_owned()))
            })
            .map_err(|failure| as_refusal(failure, &secret))?;
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

/// An exchange that the API answers with a GraphQL error is a refusal of the credentials, unless the message
/// speaks of a trouble that passes. The API gives no code to tell them apart.
fn as_refusal(failure: Failure, secret: &Secret) -> Failure {
    const PASSING: [&str; 9] = [
        "internal",
        "timeout",
        "timed out",
        "temporar",
        "unavailable",
        "rate limit",
        "too many",
        "try again",
        "overload",
    ];
    match failure {
        Failure::GraphQl(message) => {
            let lower = message.to_ascii_lowercase();
            let message = secret.redact(&message);
            if PASSING.iter().any(|sign| lower.contains(sign)) {
                Failure::GraphQl(message)
            } else {
                Failure::Unauthorized(message)
            }
        }
        Failure::Unauthorized(message) | Failure::Unsupported(message) => {
            Failure::Unauthorized(secret.redact(&message))
        }
        Failure::Http(StatusCode::FORBIDDEN) => Failure::Unauthorized("HTTP 403 Forbidden".to_owned()),
        other => other,
    }
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
