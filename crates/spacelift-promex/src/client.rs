//! The client: an operation of the API with a token, and with a fresh one if that was refused.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cynic::GraphQlResponse;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use tokio::time::timeout_at;

use crate::Config;
use crate::api::Api;
use crate::collectors::{Answer, Collector};
use crate::failure::Failure;
use crate::session::{Session, Token};
use crate::telemetry::Telemetry;
use crate::transport::Http;

/// What the API says where a field is closed to the key's kind of session. There is no code to go by.
const MACHINE_SESSION: &str = "not available for machine sessions";

/// What the API says of a token that it does not take (any more), and also of missing access.
const UNAUTHORIZED: &str = "unauthorized";

/// Asks the API's operations.
#[derive(Debug)]
pub struct Client {
    api: Api,
    session: Arc<Session>,
    telemetry: Telemetry,
}

impl Client {
    pub(crate) fn new(config: &Config, http: Http, session: Arc<Session>, telemetry: Telemetry) -> Self {
        Self { api: Api::new(http, config.graphql_endpoint()), session, telemetry }
    }

    /// Asks the collector's question and reads the answer.
    ///
    /// # Errors
    /// See [`Failure`].
    pub(crate) async fn ask(
        &self,
        collector: &Collector,
        body: Bytes,
        deadline: Deadline,
    ) -> Result<Answer, Failure> {
        if let Some(failure) = self.api.still_quiet(collector.name) {
            return Err(failure);
        }
        let token = deadline.session(self.session.token()).await?;
        match self.attempt(collector, body.clone(), &token).await {
            Err(Failure::Unauthorized(reason)) => {
                tracing::debug!(
                    collector = collector.name,
                    reason,
                    "refused, trying again with a fresh token"
                );
                let token = deadline.session(self.session.renewed(&token)).await?;
                self.attempt(collector, body, &token).await
            }
            answer => answer,
        }
    }

    async fn attempt(&self, collector: &Collector, body: Bytes, token: &Token) -> Result<Answer, Failure> {
        let asked = Asked {
            operation: collector.name,
            since: Instant::now(),
            telemetry: &self.telemetry,
            answered: false,
        };
        let answer = self.api.post(collector.name, body, Some(token.header())).await;
        let answer = answer.and_then(|body| (collector.read)(&body));
        let answer =
            answer.map_err(|failure| failure.reworded(|words| self.session.redact(&token.redact(words))));
        asked.answered(answer.as_ref().err());
        answer
    }
}

/// Counts a request however it ends: a request that the scrape's deadline cut off is dropped, not answered.
struct Asked<'a> {
    operation: &'static str,
    since: Instant,
    telemetry: &'a Telemetry,
    answered: bool,
}

impl Asked<'_> {
    fn answered(mut self, failure: Option<&Failure>) {
        self.answered = true;
        self.telemetry.requested(self.operation, failure, self.since.elapsed());
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if !self.answered {
            let elapsed = self.since.elapsed();
            self.telemetry.requested(self.operation, Some(&Failure::Timeout(elapsed)), elapsed);
        }
    }
}

/// The moment by which a scrape is to be answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    pub(crate) at: tokio::time::Instant,
    /// How long before it the scrape began.
    pub(crate) timeout: Duration,
}

impl Deadline {
    /// Waits for a token; without one in time, or at all, there is no session to ask in.
    async fn session(self, token: impl Future<Output = Result<Token, Failure>>) -> Result<Token, Failure> {
        let token = timeout_at(self.at, token).await.unwrap_or(Err(Failure::Timeout(self.timeout)));
        token.map_err(|failure| Failure::NoSession(Box::new(failure)))
    }
}

/// Reads a GraphQL answer that holds `Q` and no error.
pub(crate) fn read_data<Q: DeserializeOwned>(body: &[u8]) -> Result<Q, Failure> {
    match serde_json::from_slice::<GraphQlResponse<Q>>(body) {
        Ok(GraphQlResponse { errors: Some(errors), .. }) if !errors.is_empty() => {
            Err(classify(errors.iter().map(|error| error.message.as_str())))
        }
        Ok(GraphQlResponse { data: Some(data), .. }) => Ok(data),
        Ok(GraphQlResponse { data: None, .. }) => Err(Failure::Invalid("neither data nor errors".to_owned())),
        // A field that failed may be null where the schema knows no null; the error says more than that.
        Err(error) => Err(errors_of(body).unwrap_or_else(|| not_readable(&error))),
    }
}

/// The GraphQL errors of a body, whatever else it holds; `None` where there are none.
pub(crate) fn errors_of(body: &[u8]) -> Option<Failure> {
    #[derive(Deserialize)]
    struct Envelope {
        errors: Option<Vec<Message>>,
        #[serde(rename = "data")]
        _data: Option<IgnoredAny>,
    }

    #[derive(Deserialize)]
    struct Message {
        #[serde(default)]
        message: String,
    }

    let errors = serde_json::from_slice::<Envelope>(body).ok()?.errors.filter(|errors| !errors.is_empty())?;
    Some(classify(errors.iter().map(|error| error.message.as_str())))
}

fn classify<'a>(messages: impl Iterator<Item = &'a str> + Clone) -> Failure {
    let says = |sign: &str| {
        messages.clone().find(|message| message.to_ascii_lowercase().contains(sign)).map(str::to_owned)
    };
    if let Some(message) = says(MACHINE_SESSION) {
        Failure::Unsupported(message)
    } else if let Some(message) = says(UNAUTHORIZED) {
        Failure::Unauthorized(message)
    } else {
        let all: Vec<&str> = messages.collect();
        Failure::GraphQl(all.join("; "))
    }
}

/// Says where the answer stopped making sense, never what it held there.
fn not_readable(error: &serde_json::Error) -> Failure {
    let what = match error.classify() {
        serde_json::error::Category::Io | serde_json::error::Category::Syntax => "not JSON",
        serde_json::error::Category::Eof => "JSON that ends too early",
        serde_json::error::Category::Data => "JSON that does not match the schema",
    };
    Failure::Invalid(format!("{what}, at line {} column {}", error.line(), error.column()))
}
