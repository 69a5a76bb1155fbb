//! API keys and the short-lived tokens that they are exchanged for.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_graphql::SimpleObject;
use rand::{
    RngExt as _,
    distr::{Alphanumeric, SampleString as _},
};

/// The API key that a sandbox knows unless told otherwise.
pub const DEFAULT_API_KEY_ID: &str = "01K5SANDB0XAP1KEY000000000";
/// The secret of [`DEFAULT_API_KEY_ID`].
pub const DEFAULT_API_KEY_SECRET: &str = "sandbox-secret";

/// A session.
#[derive(SimpleObject)]
pub(super) struct User {
    pub(super) jwt: String,
    /// Unix seconds.
    pub(super) valid_until: i64,
}

/// The one API key and the tokens that were issued for it.
pub(super) struct Sessions(Mutex<State>);

struct State {
    id: String,
    secret: String,
    lifetime: Duration,
    /// The end of each token, in Unix seconds.
    tokens: HashMap<String, u64>,
}

impl Sessions {
    pub(super) fn new(id: String, secret: String, lifetime: Duration) -> Self {
        Self(Mutex::new(State { id, secret, lifetime, tokens: HashMap::new() }))
    }

    /// A new token, if the key is the right one.
    pub(super) fn exchange(&self, id: &str, secret: &str) -> Option<User> {
        let mut state = self.state();
        if id != state.id || secret != state.secret {
            return None;
        }
        let now = since_epoch();
        // Rounded down, so that no token outlives what was configured; a lifetime of zero is over at once.
        let valid_until = (now + state.lifetime).as_secs();
        let jwt = random_jwt();
        state.tokens.retain(|_, end| *end > now.as_secs());
        state.tokens.insert(jwt.clone(), valid_until);
        Some(User { jwt, valid_until: i64::try_from(valid_until).unwrap_or(i64::MAX) })
    }

    pub(super) fn accepts(&self, token: &str) -> bool {
        self.state().tokens.get(token).is_some_and(|end| *end > since_epoch().as_secs())
    }

    pub(super) fn revoke_all(&self) {
        self.state().tokens.clear();
    }

    pub(super) fn set_credentials(&self, id: String, secret: String) {
        let mut state = self.state();
        (state.id, state.secret) = (id, secret);
    }

    pub(super) fn set_lifetime(&self, lifetime: Duration) {
        self.state().lifetime = lifetime;
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Something that looks like a JWT to whoever does not look inside, as a client should not.
fn random_jwt() -> String {
    const HEADER: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";
    let mut rng = rand::rng();
    let length = rng.random_range(120..180);
    let claims = Alphanumeric.sample_string(&mut rng, length);
    let signature = Alphanumeric.sample_string(&mut rng, 43);
    format!("{HEADER}.{claims}.{signature}")
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
