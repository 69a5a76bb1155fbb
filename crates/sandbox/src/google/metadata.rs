//! A simulated metadata server, from which programs on Google Cloud get access tokens (on GKE by Workload
//! Identity).
//!
//! The other simulated services can require its token.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::header::HeaderValue;
use hyper::{Method, Request, StatusCode, body::Incoming};
use serde_json::json;

use super::error::StartError;
use crate::http::{self, text};
use crate::journal::Journal;
use crate::reply::{Override, Overrides, Reply};
use crate::server::{Handler, Server, ServerAction};

const FLAVOR: &str = "metadata-flavor";
const TOKEN: &str = "/computeMetadata/v1/instance/service-accounts/default/token";

/// The lifetime of Google's tokens.
pub const TOKEN_LIFETIME: Duration = Duration::from_secs(3_599);

/// A running metadata server. Dropping it stops the server.
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
    /// Starts a server on a free port of 127.0.0.1. It always returns this token with this remaining
    /// lifetime.
    ///
    /// # Errors
    ///
    /// Returns an error if no port is free.
    pub async fn start(token: impl Into<String>, lifetime: Duration) -> Result<Self, StartError> {
        let (journal, overrides) = (Journal::default(), Mutex::default());
        let api = Arc::new(Api { token: token.into(), lifetime, journal, overrides });
        let server = Server::start(([127, 0, 0, 1], 0).into(), None, Arc::clone(&api)).await?;
        Ok(Self { api, server })
    }

    /// Returns the value for `GCE_METADATA_HOST`.
    #[must_use]
    pub fn host(&self) -> String {
        self.server.reachable().to_string()
    }

    /// Sets the reply to token requests, like `override_reply` of the other services.
    pub fn override_reply(&self, reply: impl Into<Override>) {
        self.api.overrides().add((), reply.into());
    }

    /// Removes all overrides.
    pub fn clear_overrides(&self) {
        self.api.overrides().clear();
    }

    /// Waits until `count` token requests have arrived since the start.
    pub async fn wait_for(&self, count: u64) {
        self.api.journal.wait_for(TOKEN, count).await;
    }

    /// Closes the listener and all connections. Connections are refused until a restart.
    pub async fn stop(&self) {
        self.server.stop().await;
    }

    /// Listens again on the same address.
    ///
    /// # Errors
    ///
    /// Returns an error if another process uses the address.
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
    async fn handle(&self, request: Request<Incoming>, _connection: u64) -> ServerAction {
        // The required header protects against requests forged by web pages.
        if request.method() != Method::GET || request.headers().get(FLAVOR).is_none_or(|it| it != "Google") {
            return ServerAction::Respond(text(
                StatusCode::FORBIDDEN,
                "Missing Metadata-Flavor:Google header.\n",
            ));
        }
        let mut response = match request.uri().path() {
            TOKEN => {
                self.journal.record(TOKEN.to_owned(), ());
                let reply = self.overrides().take(&());
                if let Some(reply) = reply
                    && let Some(action) = Reply::apply(reply).await
                {
                    return action;
                }
                let token = json!({ "access_token": self.token, "expires_in": self.lifetime.as_secs(), "token_type": "Bearer" });
                http::json(token.to_string())
            }
            _ => text(StatusCode::NOT_FOUND, "not found\n"),
        };
        response.headers_mut().insert(FLAVOR, HeaderValue::from_static("Google"));
        ServerAction::Respond(response)
    }
}
