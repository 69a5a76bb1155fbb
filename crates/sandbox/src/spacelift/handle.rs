//! The public handle of a simulated Spacelift.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{
    Account, DEFAULT_API_KEY_ID, DEFAULT_API_KEY_SECRET, EXCHANGE, Override, Recorded, Scenario,
    SimulatedAccount, TokenRejection,
    api::Api,
    control::ControlRoutes,
    session::Sessions,
    webhook::{self, Webhook, Webhooks},
    world::World,
};
use tokio::task::JoinHandle;

use crate::{
    ListenError,
    routes::Routes,
    server::Server,
    tls::{Tls, TlsError},
};

/// A running simulated Spacelift. Dropping it stops the server.
pub struct Spacelift {
    pub(super) api: Arc<Api>,
    tls: Option<Tls>,
    server: Server<Routes<Api>>,
    /// The task that sends deliveries.
    sender: JoinHandle<()>,
}

impl Drop for Spacelift {
    fn drop(&mut self) {
        self.sender.abort();
    }
}

/// Settings of a [`Spacelift`]. All have defaults.
#[derive(Clone, Debug)]
pub struct Builder {
    listen: SocketAddr,
    tls: bool,
    source: AccountSource,
    cache_responses: bool,
    scenario: Scenario,
    token_lifetime: Duration,
    id: String,
    secret: String,
    webhook: Option<Webhook>,
}

#[derive(Clone, Debug)]
enum AccountSource {
    Fixed(Box<Account>),
    Simulated { seed: u64, speed: f64 },
}

/// Why a simulated Spacelift could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The server cannot listen on the address.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The certificate could not be generated.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            tls: false,
            source: AccountSource::Fixed(Box::new(Account::rich())),
            cache_responses: false,
            scenario: Scenario::Healthy,
            token_lifetime: Duration::from_secs(60),
            id: DEFAULT_API_KEY_ID.to_owned(),
            secret: DEFAULT_API_KEY_SECRET.to_owned(),
            webhook: None,
        }
    }
}

impl Builder {
    /// Sets the listen address. The default is a free port of 127.0.0.1.
    #[must_use]
    pub fn listen(mut self, address: impl Into<SocketAddr>) -> Self {
        self.listen = address.into();
        self
    }

    /// Serves HTTPS with a generated certificate instead of plain HTTP.
    #[must_use]
    pub fn tls(mut self, tls: bool) -> Self {
        self.tls = tls;
        self
    }

    /// Serves a fixed account. The default is [`Account::rich`].
    #[must_use]
    pub fn account(mut self, account: Account) -> Self {
        self.source = AccountSource::Fixed(Box::new(account));
        self
    }

    /// Serves a simulated account. `speed` is in simulated seconds per second.
    #[must_use]
    pub fn simulated(mut self, seed: u64, speed: f64) -> Self {
        self.source = AccountSource::Simulated { seed, speed };
        self
    }

    /// Caches the response to each operation until the account changes, whatever its variables are. For
    /// benchmarks, which should not measure the sandbox.
    #[must_use]
    pub fn cache_responses(mut self, cache: bool) -> Self {
        self.cache_responses = cache;
        self
    }

    /// Sets the initial scenario. The default is [`Scenario::Healthy`].
    #[must_use]
    pub fn scenario(mut self, scenario: Scenario) -> Self {
        self.scenario = scenario;
        self
    }

    /// Sets the lifetime of tokens, rounded down to a full second of expiry. The default is 60 s, so that
    /// refreshes happen during a demo.
    #[must_use]
    pub fn token_lifetime(mut self, lifetime: Duration) -> Self {
        self.token_lifetime = lifetime;
        self
    }

    /// Sets the accepted API key. The default is [`DEFAULT_API_KEY_ID`] with its secret.
    #[must_use]
    pub fn credentials(mut self, id: impl Into<String>, secret: impl Into<String>) -> Self {
        (self.id, self.secret) = (id.into(), secret.into());
        self
    }

    /// Sets the webhook for the runs of a simulated account.
    #[must_use]
    pub fn webhook(mut self, webhook: Webhook) -> Self {
        self.webhook = Some(webhook);
        self
    }

    /// Starts the server.
    ///
    /// # Errors
    ///
    /// Returns an error if the server cannot listen on the address or no certificate can be generated.
    pub async fn start(self) -> Result<Spacelift, StartError> {
        let tls = self.tls.then(Tls::generate).transpose()?;
        let (webhooks, outbox) = Webhooks::new(self.webhook);
        let webhooks = Arc::new(webhooks);
        let (world, seed) = match self.source {
            AccountSource::Fixed(account) => {
                (World::fixed(*account, self.cache_responses, Arc::clone(&webhooks)), 0)
            }
            AccountSource::Simulated { seed, speed } => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let account = SimulatedAccount::new(seed, now);
                (World::simulated(account, speed, now, self.cache_responses, Arc::clone(&webhooks)), seed)
            }
        };
        let world = Arc::new(world);
        let api = Arc::new(Api::new(
            Arc::clone(&world),
            Arc::clone(&webhooks),
            Sessions::new(self.id, self.secret, self.token_lifetime),
            self.scenario,
            tls.as_ref().map(|tls| tls.ca_pem.clone()),
        ));
        let acceptor = tls.as_ref().map(|tls| tls.acceptor.clone());
        let control = ControlRoutes(Arc::clone(&api));
        let routes = Arc::new(Routes::new(Arc::clone(&api), vec![Box::new(control)]));
        let server = Server::start(self.listen, acceptor, routes).await?;
        let sender = tokio::spawn(webhook::send(world, webhooks, outbox, seed));
        Ok(Spacelift { api, tls, server, sender })
    }
}

impl Spacelift {
    /// Returns a builder with the defaults: [`Account::rich`], healthy, plain HTTP on a free port of
    /// 127.0.0.1.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Returns the listen address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Returns the endpoint to configure, without `/graphql`.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.server.reachable())
    }

    /// Returns the CA certificate in PEM; `None` without TLS.
    #[must_use]
    pub fn ca_pem(&self) -> Option<&str> {
        self.tls.as_ref().map(|tls| tls.ca_pem.as_str())
    }

    /// Returns the current account.
    #[must_use]
    pub fn account(&self) -> Arc<Account> {
        self.api.world.account()
    }

    /// Serves another, fixed account.
    pub fn set_account(&self, account: Account) {
        self.api.world.set_account(account);
    }

    /// Sets the speed of a simulated account in simulated seconds per second. Zero pauses it.
    pub fn set_speed(&self, speed: f64) {
        self.api.world.set_speed(speed);
    }

    /// Returns the scenario.
    #[must_use]
    pub fn scenario(&self) -> Scenario {
        self.api.scenario()
    }

    /// Sets the scenario of the following requests.
    pub fn set_scenario(&self, scenario: Scenario) {
        self.api.set_scenario(scenario);
    }

    /// Sets the response to invalid tokens. The default is Spacelift's.
    pub fn set_token_rejection(&self, rejection: TokenRejection) {
        self.api.set_token_rejection(rejection);
    }

    /// Accepts another API key. Tokens of the previous key stay valid.
    pub fn set_credentials(&self, id: impl Into<String>, secret: impl Into<String>) {
        self.api.sessions.set_credentials(id.into(), secret.into());
    }

    /// Sets the lifetime of new tokens.
    pub fn set_token_lifetime(&self, lifetime: Duration) {
        self.api.sessions.set_lifetime(lifetime);
    }

    /// Invalidates all tokens.
    pub fn revoke_tokens(&self) {
        self.api.sessions.revoke_all();
    }

    /// Sets the reply to an operation by its name, or to the token exchange with [`EXCHANGE`].
    ///
    /// Replies with a count are used first, in the order in which they were added. A reply without a count is
    /// used after them, without limit, and replaces the previous reply without a count. Overrides take
    /// precedence over the scenario and the check of the token.
    pub fn override_reply(&self, operation: impl Into<String>, reply: impl Into<Override>) {
        self.api.add_override(operation.into(), reply.into());
    }

    /// Removes all overrides. Requests that are held stay held.
    pub fn clear_overrides(&self) {
        self.api.clear_overrides();
    }

    /// Returns the last 10,000 requests to `/graphql`, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        self.api.journal.recent()
    }

    /// Returns the number of requests by operation. Requests without an operation name have the empty name.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.api.journal.counts()
    }

    /// Returns the number of requests of an operation.
    #[must_use]
    pub fn count(&self, operation: &str) -> u64 {
        self.api.journal.count(operation)
    }

    /// Returns the number of token exchanges, successful or not.
    #[must_use]
    pub fn exchanges(&self) -> u64 {
        self.count(EXCHANGE)
    }

    /// Waits until `count` requests of an operation have arrived since the start.
    pub async fn wait_for(&self, operation: &str, count: u64) {
        self.api.journal.wait_for(operation, count).await;
    }

    /// Closes the listener and all connections. Connections are refused until a restart; the data is kept.
    pub async fn stop(&self) {
        self.server.stop().await;
    }

    /// Listens again on the same address, after [`stop`](Self::stop) or without it.
    ///
    /// # Errors
    ///
    /// Returns an error if another process uses the address.
    pub async fn restart(&self) -> Result<(), StartError> {
        Ok(self.server.restart().await?)
    }
}
