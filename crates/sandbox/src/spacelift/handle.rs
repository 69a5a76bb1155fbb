//! A running simulated Spacelift and how to get one.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{
    Account, DEFAULT_API_KEY_ID, DEFAULT_API_KEY_SECRET, EXCHANGE, Living, Override, Recorded, Refusal,
    Scenario,
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

/// A simulated Spacelift that listens. It stops when it is dropped.
pub struct Spacelift {
    pub(super) api: Arc<Api>,
    tls: Option<Tls>,
    server: Server<Routes<Api>>,
    /// Sends deliveries.
    sender: JoinHandle<()>,
}

impl Drop for Spacelift {
    fn drop(&mut self) {
        self.sender.abort();
    }
}

/// What a [`Spacelift`] is to be; every setting has a default.
#[derive(Clone, Debug)]
pub struct Builder {
    listen: SocketAddr,
    tls: bool,
    source: Source,
    canned: bool,
    scenario: Scenario,
    token_lifetime: Duration,
    id: String,
    secret: String,
    webhook: Option<Webhook>,
}

#[derive(Clone, Debug)]
enum Source {
    Fixed(Box<Account>),
    Living { seed: u64, speed: f64 },
}

/// Why a sandbox could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken or not ours.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// There is no certificate to serve with.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            tls: false,
            source: Source::Fixed(Box::new(Account::rich())),
            canned: false,
            scenario: Scenario::Healthy,
            token_lifetime: Duration::from_secs(60),
            id: DEFAULT_API_KEY_ID.to_owned(),
            secret: DEFAULT_API_KEY_SECRET.to_owned(),
            webhook: None,
        }
    }
}

impl Builder {
    /// Where to listen; by default on a free port of 127.0.0.1.
    #[must_use]
    pub fn listen(mut self, address: impl Into<SocketAddr>) -> Self {
        self.listen = address.into();
        self
    }

    /// Serves HTTPS with a certificate of its own making instead of plain HTTP.
    #[must_use]
    pub fn tls(mut self, tls: bool) -> Self {
        self.tls = tls;
        self
    }

    /// Serves an account that does not change by itself; by default [`Account::rich`].
    #[must_use]
    pub fn account(mut self, account: Account) -> Self {
        self.source = Source::Fixed(Box::new(account));
        self
    }

    /// Serves an account that lives; `speed` is in simulated seconds per second.
    #[must_use]
    pub fn living(mut self, seed: u64, speed: f64) -> Self {
        self.source = Source::Living { seed, speed };
        self
    }

    /// Renders the answer to an operation once for as long as the account stays the same. Variables are
    /// taken to be the same every time. For benchmarks, which should not measure the sandbox.
    #[must_use]
    pub fn canned(mut self, canned: bool) -> Self {
        self.canned = canned;
        self
    }

    /// How the API behaves at first.
    #[must_use]
    pub fn scenario(mut self, scenario: Scenario) -> Self {
        self.scenario = scenario;
        self
    }

    /// How long tokens are good for, up to a second less; by default 60 s, so that a refresh can be watched.
    #[must_use]
    pub fn token_lifetime(mut self, lifetime: Duration) -> Self {
        self.token_lifetime = lifetime;
        self
    }

    /// The API key to accept instead of [`DEFAULT_API_KEY_ID`] and its secret.
    #[must_use]
    pub fn credentials(mut self, id: impl Into<String>, secret: impl Into<String>) -> Self {
        (self.id, self.secret) = (id.into(), secret.into());
        self
    }

    /// Delivers what happens to the runs of a living account.
    #[must_use]
    pub fn webhook(mut self, webhook: Webhook) -> Self {
        self.webhook = Some(webhook);
        self
    }

    /// Listens.
    ///
    /// # Errors
    ///
    /// If the address cannot be listened on, or no certificate can be made.
    pub async fn start(self) -> Result<Spacelift, StartError> {
        let tls = self.tls.then(Tls::generate).transpose()?;
        let (webhooks, outbox) = Webhooks::new(self.webhook);
        let webhooks = Arc::new(webhooks);
        let (world, seed) = match self.source {
            Source::Fixed(account) => (World::fixed(*account, self.canned, Arc::clone(&webhooks)), 0),
            Source::Living { seed, speed } => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let living = Living::new(seed, now);
                (World::living(living, speed, now, self.canned, Arc::clone(&webhooks)), seed)
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
    /// Starts with the defaults: [`Account::rich`], healthy, plain HTTP on a free port of 127.0.0.1.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The endpoint to configure, without `/graphql`.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.server.reachable())
    }

    /// The certificate to trust, in PEM, if it serves HTTPS.
    #[must_use]
    pub fn ca_pem(&self) -> Option<&str> {
        self.tls.as_ref().map(|tls| tls.ca_pem.as_str())
    }

    /// The account as it is now.
    #[must_use]
    pub fn account(&self) -> Arc<Account> {
        self.api.world.account()
    }

    /// Serves another account, which does not change by itself.
    pub fn set_account(&self, account: Account) {
        self.api.world.set_account(account);
    }

    /// Makes a living account live faster or slower, or pause at zero; in simulated seconds per second.
    pub fn set_speed(&self, speed: f64) {
        self.api.world.set_speed(speed);
    }

    /// How the API behaves.
    #[must_use]
    pub fn scenario(&self) -> Scenario {
        self.api.scenario()
    }

    /// Lets the API behave in another way, from the next request on.
    pub fn set_scenario(&self, scenario: Scenario) {
        self.api.set_scenario(scenario);
    }

    /// How tokens that are not good are refused; by default as Spacelift does it.
    pub fn set_refusal(&self, refusal: Refusal) {
        self.api.set_refusal(refusal);
    }

    /// Accepts another API key. Tokens that the old one was exchanged for stay good.
    pub fn set_credentials(&self, id: impl Into<String>, secret: impl Into<String>) {
        self.api.sessions.set_credentials(id.into(), secret.into());
    }

    /// How long tokens are good for that are issued from now on.
    pub fn set_token_lifetime(&self, lifetime: Duration) {
        self.api.sessions.set_lifetime(lifetime);
    }

    /// Makes every token unknown.
    pub fn revoke_tokens(&self) {
        self.api.sessions.revoke_all();
    }

    /// Prescribes the reply to an operation, by name, or to the token exchange with [`EXCHANGE`].
    ///
    /// Replies with a count are given first, in the order in which they were prescribed; one without a count
    /// is given for ever after and replaces the last of its kind. An override takes effect before the
    /// scenario does and before the token is looked at.
    pub fn override_reply(&self, operation: impl Into<String>, reply: impl Into<Override>) {
        self.api.add_override(operation.into(), reply.into());
    }

    /// Forgets every override. Requests that are held stay so.
    pub fn clear_overrides(&self) {
        self.api.clear_overrides();
    }

    /// The last 10,000 requests to `/graphql`, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        self.api.journal.recent()
    }

    /// How many requests there have been of each operation; those without a name are under the empty one.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.api.journal.counts()
    }

    /// How many requests there have been of one operation.
    #[must_use]
    pub fn count(&self, operation: &str) -> u64 {
        self.api.journal.count(operation)
    }

    /// How many times a token was asked for, whatever the answer.
    #[must_use]
    pub fn exchanges(&self) -> u64 {
        self.count(EXCHANGE)
    }

    /// Waits until `count` requests of an operation have arrived since the start.
    pub async fn wait_for(&self, operation: &str, count: u64) {
        self.api.journal.wait_for(operation, count).await;
    }

    /// Closes the listener and every connection, so that clients are refused. What is known stays known.
    pub async fn stop(&self) {
        self.server.stop().await;
    }

    /// Listens again on the same address, after a [`stop`](Self::stop) or instead of one.
    ///
    /// # Errors
    ///
    /// If the address has been taken by somebody else.
    pub async fn restart(&self) -> Result<(), StartError> {
        Ok(self.server.restart().await?)
    }
}
