//! The client: an operation of the API with a token, and with a fresh one if that was refused.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::access::Access;
use crate::api::Api;
use crate::collectors::{Collector, CollectorData};
use crate::failure::Failure;
use crate::round::{Outcome, QueryClient, Stage};
use crate::session::{Session, Token};
use crate::telemetry::Telemetry;

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
    ) -> Result<CollectorData, Failure> {
        self.api.check_rate_limit()?;
        let asked = Asked { operation: collector.name, since: Instant::now(), client: self, answered: false };
        let answer = self.api.post(body, Some(token.header())).await;
        let answer = answer.and_then(|body| (collector.parse)(&body));
        let answer =
            answer.map_err(|failure| failure.reworded(|words| self.session.redact(&token.redact(words))));
        asked.answered(answer.as_ref().err());
        answer
    }
}

impl QueryClient for Client {
    async fn query(
        &self,
        collector: &'static Collector,
        body: Bytes,
        stage: &Stage,
    ) -> Result<CollectorData, Failure> {
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
