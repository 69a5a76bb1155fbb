//! API keys and the tokens they are exchanged for.

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

/// The id of the default API key.
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

/// The API key and its tokens.
pub(super) struct Sessions(Mutex<SessionStore>);

struct SessionStore {
    id: String,
    secret: String,
    lifetime: Duration,
    /// The expiry of each token, in Unix seconds.
    tokens: HashMap<String, u64>,
}

impl Sessions {
    pub(super) fn new(id: String, secret: String, lifetime: Duration) -> Self {
        Self(Mutex::new(SessionStore { id, secret, lifetime, tokens: HashMap::new() }))
    }

    /// Returns a new token, or `None` for a wrong key.
    pub(super) fn exchange(&self, id: &str, secret: &str) -> Option<User> {
        let mut store = self.store();
        if id != store.id || secret != store.secret {
            return None;
        }
        let now = since_epoch();
        // Rounded down, so that no token outlives the configured lifetime. A lifetime of zero expires
        // immediately.
        let valid_until = (now + store.lifetime).as_secs();
        let jwt = random_jwt();
        store.tokens.retain(|_, end| *end > now.as_secs());
        store.tokens.insert(jwt.clone(), valid_until);
        Some(User { jwt, valid_until: i64::try_from(valid_until).unwrap_or(i64::MAX) })
    }

    pub(super) fn accepts(&self, token: &str) -> bool {
        self.store().tokens.get(token).is_some_and(|end| *end > since_epoch().as_secs())
    }

    pub(super) fn revoke_all(&self) {
        self.store().tokens.clear();
    }

    pub(super) fn set_credentials(&self, id: String, secret: String) {
        let mut store = self.store();
        (store.id, store.secret) = (id, secret);
    }

    pub(super) fn set_lifetime(&self, lifetime: Duration) {
        self.store().lifetime = lifetime;
    }

    fn store(&self) -> std::sync::MutexGuard<'_, SessionStore> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns random text in the format of a JWT. Clients should not decode tokens.
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
