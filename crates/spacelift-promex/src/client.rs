//! The client: an operation of the API with a token, and with a fresh one if that was refused.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use cynic::GraphQlResponse;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::access::Access;
use crate::api::Api;
use crate::collectors::{Answer, Collector};
use crate::failure::Failure;
use crate::json;
use crate::round::{Ask, Outcome, Stage};
use crate::session::{Session, Token};
use crate::telemetry::Telemetry;

/// What the API says where a field is closed to the key's kind of session. There is no code to go by.
const MACHINE_SESSION: &str = "not available for machine sessions";

/// What the API says of a token that it does not take (any more), and also of missing access.
const UNAUTHORIZED: &str = "unauthorized";

/// Asks the API's operations.
#[derive(Debug)]
pub struct Client {
    api: Arc<Api>,
    session: Arc<Session>,
    telemetry: Telemetry,
    access: Access,
}

impl Client {
    pub(crate) fn new(api: Arc<Api>, session: Arc<Session>, telemetry: Telemetry) -> Self {
        Self { api, session, telemetry, access: Access::default() }
    }

    async fn attempt(
        &self,
        collector: &'static Collector,
        body: Bytes,
        token: &Token,
    ) -> Result<Answer, Failure> {
        self.api.check_rate_limit()?;
        let asked = Asked { operation: collector.name, since: Instant::now(), client: self, answered: false };
        let answer = self.api.post(body, Some(token.header())).await;
        let answer = answer.and_then(|body| (collector.read)(&body));
        let answer =
            answer.map_err(|failure| failure.reworded(|words| self.session.redact(&token.redact(words))));
        asked.answered(answer.as_ref().err());
        answer
    }
}

impl Ask for Client {
    async fn ask(
        &self,
        collector: &'static Collector,
        body: Bytes,
        stage: &Stage,
    ) -> Result<Answer, Failure> {
        let no_session = |failure| Failure::NoSession(Box::new(failure));
        let token = stage.session(self.session.token()).await.map_err(no_session)?;
        let reason = match self.attempt(collector, body.clone(), &token).await {
            Err(Failure::Unauthorized(reason)) => reason,
            answer => return answer,
        };
        if self.access.is_missing(collector.name) {
            return Err(Failure::Unauthorized(reason));
        }
        tracing::debug!(collector = collector.name, reason, "refused, trying again with a fresh token");
        let token = stage.session(self.session.renewed(&token)).await.map_err(no_session)?;
        let answer = self.attempt(collector, body, &token).await;
        if matches!(answer, Err(Failure::Unauthorized(_))) {
            self.access.fresh_token_refused(collector.name);
        }
        answer
    }

    fn completed(&self, outcomes: &[Outcome]) {
        for outcome in outcomes {
            self.telemetry.completed(outcome);
        }
    }
}

/// Counts a request however it ends: a request that the scrape's deadline cut off is dropped, not answered.
struct Asked<'a> {
    operation: &'static str,
    since: Instant,
    client: &'a Client,
    answered: bool,
}

impl Asked<'_> {
    fn answered(mut self, failure: Option<&Failure>) {
        self.answered = true;
        self.ended(failure);
    }

    fn ended(&self, failure: Option<&Failure>) {
        match failure {
            None | Some(Failure::Unsupported(_)) => self.client.access.succeeded(self.operation),
            // Whether access is missing is found out with a fresh token.
            Some(Failure::Unauthorized(_)) => {}
            Some(_) => self.client.access.failed(self.operation),
        }
        self.client.telemetry.requested(self.operation, failure, self.since.elapsed());
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.ended(Some(&Failure::Timeout(self.since.elapsed())));
        }
    }
}

/// Reads a GraphQL answer that holds `Q` and no error.
pub(crate) fn read_data<Q: DeserializeOwned>(body: &[u8]) -> Result<Q, Failure> {
    match json::from_slice::<GraphQlResponse<Q>>(body) {
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

    let errors = json::from_slice::<Envelope>(body).ok()?.errors.filter(|errors| !errors.is_empty())?;
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
