//! Basic authentication with bcrypt hashes.
//!
//! Checking a password takes tens of milliseconds of CPU. So checks run one at a time, on a thread beside the server's,
//! and their outcomes are cached. A request with known credentials costs one HMAC.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prometheus_client::metrics::counter::Counter;
use ring::hmac;
use ring::rand::SystemRandom;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::http::quota::Quota;
use crate::secret::Secret;

/// Checks that can wait for their turn. One client can have only a quarter of them, so that clients that guess
/// passwords do not delay others for long.
const MAX_WAITING: usize = 64;

/// Cached outcomes of each kind.
const MAX_CACHED: usize = 256;

/// The result of checking the credentials of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AuthResult {
    Accepted,
    Rejected,
    /// Too many other checks are waiting.
    Busy,
}

/// The queue of password checks. It is kept when the configuration is reloaded.
#[derive(Debug, Clone)]
pub(super) struct PasswordChecks {
    /// One permit: the running check.
    turns: Arc<Semaphore>,
    waiting: Quota,
    pub(super) count: Counter,
}

impl Default for PasswordChecks {
    fn default() -> Self {
        Self { turns: Arc::new(Semaphore::new(1)), waiting: Quota::default(), count: Counter::default() }
    }
}

/// The users of one web configuration, and the cached outcomes of checks.
#[derive(Debug)]
pub(super) struct Users {
    hashes: BTreeMap<String, Secret>,
    /// A random key of this process, so that cached tags are useless outside of it.
    key: hmac::Key,
    cache: Mutex<OutcomeCache>,
}

/// Tags of credentials by outcome. The sets are separate so that rejected credentials cannot evict accepted ones.
#[derive(Debug, Default)]
struct OutcomeCache {
    accepted: HashSet<Tag>,
    rejected: HashSet<Tag>,
}

type Tag = [u8; 32];

/// A user name and password, separated by a colon, as the client sent them.
struct Credentials(Zeroizing<Vec<u8>>);

impl Credentials {
    /// Parses the value of an `Authorization` header; `None` if it is not basic authentication.
    fn parse(authorization: &[u8]) -> Option<Self> {
        let (scheme, rest) = authorization.split_at_checked(BASIC.len())?;
        if !scheme.eq_ignore_ascii_case(BASIC) {
            return None;
        }
        let decoded = Zeroizing::new(STANDARD.decode(rest).ok()?);
        decoded.contains(&b':').then_some(Self(decoded))
    }

    fn name(&self) -> &[u8] {
        self.0.split(|byte| *byte == b':').next().unwrap_or_default()
    }

    fn password(&self) -> &[u8] {
        self.0.get(self.name().len() + 1..).unwrap_or_default()
    }
}

const BASIC: &[u8] = b"Basic ";

impl Users {
    pub(super) fn new(hashes: BTreeMap<String, Secret>) -> Result<Self, ring::error::Unspecified> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())?;
        Ok(Self { hashes, key, cache: Mutex::default() })
    }

    pub(super) fn have_hashes(&self, hashes: &BTreeMap<String, Secret>) -> bool {
        self.hashes == *hashes
    }

    /// Checks the credentials of a request.
    pub(super) async fn check(
        self: &Arc<Self>,
        authorization: Option<&[u8]>,
        client: IpAddr,
        checks: &PasswordChecks,
    ) -> AuthResult {
        let Some(credentials) = authorization.and_then(Credentials::parse) else {
            return AuthResult::Rejected;
        };
        let tag = self.tag(&credentials.0);
        if let Some(result) = self.cache().get(&tag) {
            return result;
        }
        let Some(permit) = checks.waiting.try_acquire(client, MAX_WAITING) else { return AuthResult::Busy };
        // The semaphore is never closed.
        let Ok(turn) = checks.turns.clone().acquire_owned().await else { return AuthResult::Busy };
        // Another request with the same credentials may have been checked in the meantime.
        if let Some(result) = self.cache().get(&tag) {
            return result;
        }
        checks.count.inc();
        let users = self.clone();
        // The blocking task fills the cache, so that the outcome is kept if the client disconnects during the check.
        let checked = tokio::task::spawn_blocking(move || {
            let result = users.verify(&credentials);
            users.cache().insert(tag, result);
            drop((turn, permit));
            result
        });
        checked.await.unwrap_or(AuthResult::Rejected)
    }

    /// Compares the password with the user's hash. For an unknown user it uses the hash of a known user, always the
    /// same, so that the time of a check does not reveal which users exist.
    fn verify(&self, credentials: &Credentials) -> AuthResult {
        let known = std::str::from_utf8(credentials.name()).ok().and_then(|name| self.hashes.get(name));
        let Some(hash) = known.or_else(|| self.decoy(credentials.name())) else {
            return AuthResult::Rejected;
        };
        let is_equal = bcrypt::verify(credentials.password(), hash.expose()).unwrap_or(false);
        if is_equal && known.is_some() { AuthResult::Accepted } else { AuthResult::Rejected }
    }

    fn decoy(&self, name: &[u8]) -> Option<&Secret> {
        let number =
            self.tag(name).into_iter().fold(0, |number: usize, byte| number << 8 | usize::from(byte));
        self.hashes.values().nth(number.checked_rem(self.hashes.len())?)
    }

    fn tag(&self, bytes: &[u8]) -> Tag {
        let mut tag = Tag::default();
        tag.copy_from_slice(hmac::sign(&self.key, bytes).as_ref());
        tag
    }

    fn cache(&self) -> MutexGuard<'_, OutcomeCache> {
        // A set of tags is consistent after each of its operations.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OutcomeCache {
    fn get(&self, tag: &Tag) -> Option<AuthResult> {
        if self.accepted.contains(tag) {
            Some(AuthResult::Accepted)
        } else {
            self.rejected.contains(tag).then_some(AuthResult::Rejected)
        }
    }

    fn insert(&mut self, tag: Tag, result: AuthResult) {
        let set = if result == AuthResult::Accepted { &mut self.accepted } else { &mut self.rejected };
        if set.len() >= MAX_CACHED {
            set.clear();
        }
        set.insert(tag);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users() -> Arc<Users> {
        let hashes = [("alice", "secret", 4), ("bob", "a:b", 5)].map(|(name, password, cost)| {
            (
                name.to_owned(),
                Secret::new(bcrypt::hash_with_salt(password, cost, [7; 16]).unwrap().to_string()),
            )
        });
        Arc::new(Users::new(hashes.into()).unwrap())
    }

    fn header(credentials: &str) -> String {
        format!("Basic {}", STANDARD.encode(credentials))
    }

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[tokio::test]
    async fn checks_each_password_once() {
        let (users, checks) = (users(), PasswordChecks::default());
        for (credentials, expected) in [
            ("alice:secret", AuthResult::Accepted),
            ("bob:a:b", AuthResult::Accepted),
            ("alice:wrong", AuthResult::Rejected),
            ("alice:", AuthResult::Rejected),
            ("nobody:secret", AuthResult::Rejected),
            (":secret", AuthResult::Rejected),
        ] {
            let before = checks.count.get();
            for _ in 0..3 {
                let authorization = header(credentials);
                let checked = users.check(Some(authorization.as_bytes()), CLIENT, &checks).await;
                assert_eq!(checked, expected, "{credentials}");
            }
            assert_eq!(checks.count.get() - before, 1, "{credentials}");
        }
    }

    #[tokio::test]
    async fn waiting_requests_with_the_same_credentials_share_one_check() {
        let (users, checks) = (users(), PasswordChecks::default());
        let turn = checks.turns.clone().acquire_owned().await.unwrap();
        let attempt = || {
            let (users, checks) = (users.clone(), checks.clone());
            tokio::spawn(async move {
                let authorization = header("alice:secret");
                users.check(Some(authorization.as_bytes()), CLIENT, &checks).await
            })
        };
        let attempts: Vec<_> = (0..5).map(|_| attempt()).collect();
        // Each attempt has found nothing in the cache and waits for its turn.
        while checks.waiting.used_by(CLIENT) < attempts.len() {
            tokio::task::yield_now().await;
        }
        drop(turn);
        for attempt in attempts {
            assert_eq!(attempt.await.unwrap(), AuthResult::Accepted);
        }
        assert_eq!(checks.count.get(), 1, "waiting requests do not use the cached outcome");
    }

    #[tokio::test]
    async fn rejects_other_schemes_without_a_check() {
        let (users, checks) = (users(), PasswordChecks::default());
        let without_colon = header("alice");
        for authorization in ["", "Basic", "Basic ", "Basic *", "Bearer YTpi", &without_colon] {
            let result = users.check(Some(authorization.as_bytes()), CLIENT, &checks).await;
            assert_eq!(result, AuthResult::Rejected, "{authorization:?}");
        }
        assert_eq!(users.check(None, CLIENT, &checks).await, AuthResult::Rejected);
        let scheme = header("alice:secret").replace("Basic", "bASIC");
        assert_eq!(users.check(Some(scheme.as_bytes()), CLIENT, &checks).await, AuthResult::Accepted);
        assert_eq!(checks.count.get(), 1);
    }

    #[tokio::test]
    async fn rejected_credentials_do_not_evict_accepted_ones() {
        let (users, checks) = (users(), PasswordChecks::default());
        let alice = header("alice:secret");
        users.check(Some(alice.as_bytes()), CLIENT, &checks).await;
        for number in 0..MAX_CACHED + 10 {
            let wrong = header(&format!("alice:{number}"));
            users.check(Some(wrong.as_bytes()), CLIENT, &checks).await;
        }
        assert!(users.cache().rejected.len() <= MAX_CACHED);
        let before = checks.count.get();
        assert_eq!(users.check(Some(alice.as_bytes()), CLIENT, &checks).await, AuthResult::Accepted);
        assert_eq!(checks.count.get(), before);
    }

    #[tokio::test]
    async fn one_client_cannot_fill_the_queue() {
        let (users, checks) = (users(), PasswordChecks::default());
        let turn = checks.turns.clone().acquire_owned().await.unwrap();
        let attempt = |number: usize, client: IpAddr| {
            let (users, checks) = (users.clone(), checks.clone());
            async move {
                let wrong = header(&format!("alice:{number}"));
                users.check(Some(wrong.as_bytes()), client, &checks).await
            }
        };
        let mut flood: Vec<_> =
            (0..MAX_WAITING).map(|number| tokio::spawn(attempt(number, CLIENT))).collect();
        while checks.waiting.try_acquire(CLIENT, MAX_WAITING).is_some() {
            tokio::task::yield_now().await;
        }
        let other = tokio::spawn(attempt(MAX_WAITING, IpAddr::from([10, 0, 0, 1])));
        tokio::task::yield_now().await;
        drop(turn);
        assert_eq!(other.await.unwrap(), AuthResult::Rejected, "the other client is not served");
        let mut busy = 0;
        for attempt in flood.drain(..) {
            busy += usize::from(attempt.await.unwrap() == AuthResult::Busy);
        }
        assert_eq!(busy, MAX_WAITING - MAX_WAITING / 4);
    }

    #[test]
    fn an_unknown_user_is_always_compared_with_the_same_hash() {
        let users = users();
        let decoys: HashSet<String> = (0..64)
            .map(|number| {
                let name = format!("user{number}");
                let decoy = users.decoy(name.as_bytes()).unwrap().expose().to_owned();
                assert_eq!(users.decoy(name.as_bytes()).unwrap().expose(), decoy);
                decoy
            })
            .collect();
        assert_eq!(decoys.len(), users.hashes.len(), "some hashes are never used for unknown users");
    }

    #[test]
    fn debug_output_contains_no_hash() {
        let shown = format!("{:?}", users());
        assert!(!shown.contains("$2"), "{shown}");
    }
}
