//! The API client: sends a query with a token, and again with a new token if it was refused.

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

/// Sends the queries of collectors to the API.
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
        let request = RequestGuard {
            operation: collector.name,
            started: Instant::now(),
            client: self,
            completed: false,
        };
        let answer = self.api.post(body, Some(token.header())).await;
        let answer = answer.and_then(|body| (collector.parse)(&body));
        let answer =
            answer.map_err(|failure| failure.redacted(|text| self.session.redact(&token.redact(text))));
        request.complete(answer.as_ref().err());
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
        tracing::debug!(collector = collector.name, reason, "the token was refused; retrying with a new one");
        let token = stage.session(self.session.renew(&token)).await.map_err(no_session)?;
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

/// A running request, which is counted when it completes, or when it is dropped at the scrape's deadline.
struct RequestGuard<'a> {
    operation: &'static str,
    started: Instant,
    client: &'a Client,
    completed: bool,
}

impl RequestGuard<'_> {
    fn complete(mut self, failure: Option<&Failure>) {
        self.completed = true;
        self.record(failure);
    }

    /// Counts the request, and notes its result for [`Access`].
    fn record(&self, failure: Option<&Failure>) {
        match failure {
            None | Some(Failure::Unsupported(_)) => self.client.access.succeeded(self.operation),
            // Only a refused new token shows that access is missing; see `Client::ask`.
            Some(Failure::Unauthorized(_)) => {}
            Some(_) => self.client.access.failed(self.operation),
        }
        self.client.telemetry.requested(self.operation, failure, self.started.elapsed());
    }
}

impl Drop for RequestGuard<'_> {
    fn drop(&mut self) {
        if !self.completed {
            self.record(Some(&Failure::Timeout(self.started.elapsed())));
        }
    }
}
