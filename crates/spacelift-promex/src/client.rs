//! The client: an operation of the API with a token, and with a fresh one if that was refused.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use cynic::GraphQlResponse;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

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

/// Characters of the API's own words that a message repeats.
const LONGEST_QUOTE: usize = 300;

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
    pub(crate) async fn ask(&self, collector: &Collector, body: Bytes) -> Result<Answer, Failure> {
        let no_session = |failure| match failure {
            failure @ Failure::NoSession(_) => failure,
            failure => Failure::NoSession(Box::new(failure)),
        };
        let token = self.session.token().await.map_err(no_session)?;
        match self.attempt(collector, body.clone(), &token).await {
            Err(Failure::Unauthorized(reason)) => {
                tracing::debug!(
                    collector = collector.name,
                    reason,
                    "refused, trying again with a fresh token"
                );
                let token = self.session.renewed(&token).await.map_err(no_session)?;
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
        let answer =
            answer.and_then(|body| (collector.read)(&body)).map_err(|failure| redacted(failure, token));
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

fn redacted(failure: Failure, token: &Token) -> Failure {
    match failure {
        Failure::Unsupported(message) => Failure::Unsupported(token.redact(&message)),
        Failure::Unauthorized(message) => Failure::Unauthorized(token.redact(&message)),
        Failure::GraphQl(message) => Failure::GraphQl(token.redact(&message)),
        other => other,
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
    let says =
        |sign: &str| messages.clone().find(|message| message.to_ascii_lowercase().contains(sign)).map(quote);
    if let Some(message) = says(MACHINE_SESSION) {
        Failure::Unsupported(message)
    } else if let Some(message) = says(UNAUTHORIZED) {
        Failure::Unauthorized(message)
    } else {
        let all: Vec<&str> = messages.collect();
        Failure::GraphQl(quote(&all.join("; ")))
    }
}

/// A message of the API as part of one line.
fn quote(message: &str) -> String {
    let mut line: String = message.chars().take(LONGEST_QUOTE).collect();
    if line.len() < message.len() {
        line.push('…');
    }
    line.replace(|c: char| c.is_control(), " ")
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
