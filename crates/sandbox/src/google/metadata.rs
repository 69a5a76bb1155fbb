//! A simulated metadata server: where a program on Google Cloud gets its access tokens, on GKE by Workload Identity.
//!
//! The other services can be told to admit only those who name such a token.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::header::HeaderValue;
use hyper::{Method, Request, StatusCode, body::Incoming};
use serde_json::json;

use super::error::StartError;
use crate::http::{self, text};
use crate::journal::Journal;
use crate::reply::{Override, Overrides, Reply};
use crate::server::{Answer, Handler, Server};

const FLAVOR: &str = "metadata-flavor";
const TOKEN: &str = "/computeMetadata/v1/instance/service-accounts/default/token";

/// How long a token is good for, as Google has it.
pub const TOKEN_LIFETIME: Duration = Duration::from_secs(3_599);

/// A metadata server that listens. It stops when it is dropped.
pub struct Metadata {
    api: Arc<Api>,
    server: Server<Api>,
}

struct Api {
    token: String,
    lifetime: Duration,
    journal: Journal<()>,
    overrides: Mutex<Overrides<()>>,
}

impl Metadata {
    /// Starts on a free port of 127.0.0.1, and hands out this token, always with so much time left.
    ///
    /// # Errors
    ///
    /// If there is no port.
    pub async fn start(token: impl Into<String>, lifetime: Duration) -> Result<Self, StartError> {
        let (journal, overrides) = (Journal::default(), Mutex::default());
        let api = Arc::new(Api { token: token.into(), lifetime, journal, overrides });
        let server = Server::start(([127, 0, 0, 1], 0).into(), None, Arc::clone(&api)).await?;
        Ok(Self { api, server })
    }

    /// The value of `GCE_METADATA_HOST`.
    #[must_use]
    pub fn host(&self) -> String {
        self.server.reachable().to_string()
    }

    /// Prescribes the answer to those who ask for a token, as other services' `override_reply` does.
    pub fn override_reply(&self, reply: impl Into<Override>) {
        self.api.overrides().add((), reply.into());
    }

    /// Forgets every override.
    pub fn clear_overrides(&self) {
        self.api.overrides().clear();
    }

    /// Waits until the token has been asked for so many times since the start.
    pub async fn wait_for(&self, count: u64) {
        self.api.journal.wait_for(TOKEN, count).await;
    }

    /// Closes the listener and every connection, so that clients are refused.
    pub async fn stop(&self) {
        self.server.stop().await;
    }

    /// Listens again on the same address.
    ///
    /// # Errors
    ///
    /// If the address has been taken by somebody else.
    pub async fn restart(&self) -> Result<(), StartError> {
        Ok(self.server.restart().await?)
    }
}

impl Api {
    fn overrides(&self) -> std::sync::MutexGuard<'_, Overrides<()>> {
        self.overrides.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handler for Api {
    async fn answer(&self, request: Request<Incoming>, _connection: u64) -> Answer {
        // Without the header a web page could be made to ask.
        if request.method() != Method::GET || request.headers().get(FLAVOR).is_none_or(|it| it != "Google") {
            return Answer::Response(text(StatusCode::FORBIDDEN, "Missing Metadata-Flavor:Google header.\n"));
        }
        let mut response = match request.uri().path() {
            TOKEN => {
                self.journal.record(TOKEN.to_owned(), ());
                let reply = self.overrides().take(&());
                if let Some(reply) = reply
                    && let Some(answer) = Reply::give(reply).await
                {
                    return answer;
                }
                let token = json!({ "access_token": self.token, "expires_in": self.lifetime.as_secs(), "token_type": "Bearer" });
                http::json(token.to_string())
            }
            _ => text(StatusCode::NOT_FOUND, "not found\n"),
        };
        response.headers_mut().insert(FLAVOR, HeaderValue::from_static("Google"));
        Answer::Response(response)
    }
}
