//! Basic authentication: who a request comes from, by a bcrypt hash that is computed once.
//!
//! A check of a password takes a core for tens of milliseconds. So it runs beside the server's thread, one at a
//! time, and its outcome is remembered. A scrape with known credentials costs one HMAC.

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

/// Checks that may wait for their turn. Whoever tries one password after the other takes a share of these, so
/// that others get their turn soon.
const WAITING: usize = 64;

/// Outcomes of each kind that are remembered.
const REMEMBERED: usize = 256;

/// What becomes of a request, by its credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Accepted,
    Refused,
    /// Too many others wait to be checked.
    Busy,
}

/// The turns of passwords to be checked. They outlive a reload.
#[derive(Debug, Clone)]
pub(super) struct Checks {
    turns: Arc<Semaphore>,
    waiting: Quota,
    pub(super) count: Counter,
}

impl Default for Checks {
    fn default() -> Self {
        Self { turns: Arc::new(Semaphore::new(1)), waiting: Quota::default(), count: Counter::default() }
    }
}

/// The users of one web configuration, and the outcomes of checks against them.
#[derive(Debug)]
pub(super) struct Users {
    hashes: BTreeMap<String, Secret>,
    /// Of this process only: what is remembered cannot be used elsewhere, nor tried outside.
    key: hmac::Key,
    remembered: Mutex<Remembered>,
}

/// Tags of credentials. Refused ones are kept apart, so that no number of them drives an accepted one out.
#[derive(Debug, Default)]
struct Remembered {
    accepted: HashSet<Tag>,
    refused: HashSet<Tag>,
}

type Tag = [u8; 32];

/// A user's name and password as they were sent.
struct Credentials(Zeroizing<Vec<u8>>);

impl Credentials {
    /// Reads the value of an `Authorization` header.
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
        Ok(Self { hashes, key, remembered: Mutex::default() })
    }

    pub(super) fn are(&self, hashes: &BTreeMap<String, Secret>) -> bool {
        self.hashes == *hashes
    }

    /// Whose request it is, as far as that matters.
    pub(super) async fn check(
        self: &Arc<Self>,
        authorization: Option<&[u8]>,
        client: IpAddr,
        checks: &Checks,
    ) -> Verdict {
        let Some(credentials) = authorization.and_then(Credentials::parse) else { return Verdict::Refused };
        let tag = self.tag(&credentials.0);
        if let Some(verdict) = self.remembered().verdict(&tag) {
            return verdict;
        }
        let Some(place) = checks.waiting.enter(client, WAITING) else { return Verdict::Busy };
        // It is never closed.
        let Ok(turn) = checks.turns.clone().acquire_owned().await else { return Verdict::Busy };
        if let Some(verdict) = self.remembered().verdict(&tag) {
            return verdict;
        }
        checks.count.inc();
        let users = self.clone();
        // It is remembered over there, so that a client whose patience ends before finds its answer next time.
        let checked = tokio::task::spawn_blocking(move || {
            let verdict = users.verify(&credentials);
            users.remembered().remember(tag, verdict);
            drop((turn, place));
            verdict
        });
        checked.await.unwrap_or(Verdict::Refused)
    }

    /// Compares with the user's hash. For an unknown user it is the hash of a known one, always the same, so that
    /// nobody learns who is known from the time that it takes.
    fn verify(&self, credentials: &Credentials) -> Verdict {
        let known = std::str::from_utf8(credentials.name()).ok().and_then(|name| self.hashes.get(name));
        let Some(hash) = known.or_else(|| self.decoy(credentials.name())) else { return Verdict::Refused };
        let is_equal = bcrypt::verify(credentials.password(), hash.expose()).unwrap_or(false);
        if is_equal && known.is_some() { Verdict::Accepted } else { Verdict::Refused }
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

    fn remembered(&self) -> MutexGuard<'_, Remembered> {
        // A set of tags is whole after each of its operations.
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Remembered {
    fn verdict(&self, tag: &Tag) -> Option<Verdict> {
        if self.accepted.contains(tag) {
            Some(Verdict::Accepted)
        } else {
            self.refused.contains(tag).then_some(Verdict::Refused)
        }
    }

    fn remember(&mut self, tag: Tag, verdict: Verdict) {
        let set = if verdict == Verdict::Accepted { &mut self.accepted } else { &mut self.refused };
        if set.len() >= REMEMBERED {
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
    async fn a_check_is_made_once() {
        let (users, checks) = (users(), Checks::default());
        for (credentials, verdict) in [
            ("alice:secret", Verdict::Accepted),
            ("bob:a:b", Verdict::Accepted),
            ("alice:wrong", Verdict::Refused),
            ("alice:", Verdict::Refused),
            ("nobody:secret", Verdict::Refused),
            (":secret", Verdict::Refused),
        ] {
            let before = checks.count.get();
            for _ in 0..3 {
                let authorization = header(credentials);
                let checked = users.check(Some(authorization.as_bytes()), CLIENT, &checks).await;
                assert_eq!(checked, verdict, "{credentials}");
            }
            assert_eq!(checks.count.get() - before, 1, "{credentials}");
        }
    }

    #[tokio::test]
    async fn those_that_wait_with_the_same_credentials_share_one_check() {
        let (users, checks) = (users(), Checks::default());
        let turn = checks.turns.clone().acquire_owned().await.unwrap();
        let attempt = || {
            let (users, checks) = (users.clone(), checks.clone());
            tokio::spawn(async move {
                let authorization = header("alice:secret");
                users.check(Some(authorization.as_bytes()), CLIENT, &checks).await
            })
        };
        let attempts: Vec<_> = (0..5).map(|_| attempt()).collect();
        // Each has seen that nothing is known of it yet, and waits for its turn.
        while checks.waiting.of(CLIENT) < attempts.len() {
            tokio::task::yield_now().await;
        }
        drop(turn);
        for attempt in attempts {
            assert_eq!(attempt.await.unwrap(), Verdict::Accepted);
        }
        assert_eq!(checks.count.get(), 1, "what was found out meanwhile is not looked at");
    }

    #[tokio::test]
    async fn what_is_no_basic_authentication_costs_no_check() {
        let (users, checks) = (users(), Checks::default());
        let without_colon = header("alice");
        for authorization in ["", "Basic", "Basic ", "Basic *", "Bearer YTpi", &without_colon] {
            let verdict = users.check(Some(authorization.as_bytes()), CLIENT, &checks).await;
            assert_eq!(verdict, Verdict::Refused, "{authorization:?}");
        }
        assert_eq!(users.check(None, CLIENT, &checks).await, Verdict::Refused);
        let scheme = header("alice:secret").replace("Basic", "bASIC");
        assert_eq!(users.check(Some(scheme.as_bytes()), CLIENT, &checks).await, Verdict::Accepted);
        assert_eq!(checks.count.get(), 1);
    }

    #[tokio::test]
    async fn refusals_are_bounded_and_drive_no_one_out() {
        let (users, checks) = (users(), Checks::default());
        let alice = header("alice:secret");
        users.check(Some(alice.as_bytes()), CLIENT, &checks).await;
        for number in 0..REMEMBERED + 10 {
            let wrong = header(&format!("alice:{number}"));
            users.check(Some(wrong.as_bytes()), CLIENT, &checks).await;
        }
        assert!(users.remembered().refused.len() <= REMEMBERED);
        let before = checks.count.get();
        assert_eq!(users.check(Some(alice.as_bytes()), CLIENT, &checks).await, Verdict::Accepted);
        assert_eq!(checks.count.get(), before);
    }

    #[tokio::test]
    async fn one_client_cannot_take_every_turn() {
        let (users, checks) = (users(), Checks::default());
        let turn = checks.turns.clone().acquire_owned().await.unwrap();
        let attempt = |number: usize, client: IpAddr| {
            let (users, checks) = (users.clone(), checks.clone());
            async move {
                let wrong = header(&format!("alice:{number}"));
                users.check(Some(wrong.as_bytes()), client, &checks).await
            }
        };
        let mut flood: Vec<_> = (0..WAITING).map(|number| tokio::spawn(attempt(number, CLIENT))).collect();
        while checks.waiting.enter(CLIENT, WAITING).is_some() {
            tokio::task::yield_now().await;
        }
        let other = tokio::spawn(attempt(WAITING, IpAddr::from([10, 0, 0, 1])));
        tokio::task::yield_now().await;
        drop(turn);
        assert_eq!(other.await.unwrap(), Verdict::Refused, "another client is not served");
        let mut busy = 0;
        for attempt in flood.drain(..) {
            busy += usize::from(attempt.await.unwrap() == Verdict::Busy);
        }
        assert_eq!(busy, WAITING - WAITING / 4);
    }

    #[test]
    fn an_unknown_name_always_has_the_same_known_hash() {
        let users = users();
        let decoys: HashSet<String> = (0..64)
            .map(|number| {
                let name = format!("user{number}");
                let decoy = users.decoy(name.as_bytes()).unwrap().expose().to_owned();
                assert_eq!(users.decoy(name.as_bytes()).unwrap().expose(), decoy);
                decoy
            })
            .collect();
        assert_eq!(decoys.len(), users.hashes.len(), "some costs are never an unknown user's");
    }

    #[test]
    fn nothing_of_a_user_is_shown() {
        let shown = format!("{:?}", users());
        assert!(!shown.contains("$2"), "{shown}");
    }
}
