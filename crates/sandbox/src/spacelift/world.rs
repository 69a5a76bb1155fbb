//! Where the account comes from: fixed, or alive and as old as the clock says.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::Instant;

use super::{Account, Living};

/// How many simulated seconds a request may have to catch up on after nobody has asked for long.
const MAX_CATCH_UP: f64 = 3600.0;

/// The account and, on request, the answers that were rendered from it.
pub(super) struct World(Mutex<State>);

struct State {
    account: Arc<Account>,
    life: Option<Life>,
    /// Rendered answers of the present account by operation name, if they are to be kept.
    canned: Option<HashMap<String, Canned>>,
}

struct Life {
    living: Living,
    /// Simulated seconds in a second.
    speed: f64,
    /// Up to when the account has lived.
    at: Instant,
}

struct Canned {
    query: String,
    answer: Bytes,
}

impl World {
    pub(super) fn fixed(account: Account, canned: bool) -> Self {
        Self::new(account, None, canned)
    }

    pub(super) fn living(living: Living, speed: f64, canned: bool) -> Self {
        let account = living.snapshot();
        Self::new(account, Some(Life { living, speed, at: Instant::now() }), canned)
    }

    fn new(account: Account, life: Option<Life>, canned: bool) -> Self {
        let canned = canned.then(HashMap::new);
        Self(Mutex::new(State { account: Arc::new(account), life, canned }))
    }

    /// The account as it is now.
    pub(super) fn account(&self) -> Arc<Account> {
        Arc::clone(&self.state().account)
    }

    /// Replaces the account by one that does not change.
    pub(super) fn set_account(&self, account: Account) {
        let mut state = self.state();
        state.life = None;
        state.replace(account);
    }

    /// Simulated seconds in a second; zero for an account that does not change.
    pub(super) fn speed(&self) -> f64 {
        self.state().life.as_ref().map_or(0.0, |life| life.speed)
    }

    /// Makes a living account live faster or slower, or pause at zero. A fixed one stays fixed.
    pub(super) fn set_speed(&self, speed: f64) {
        if let Some(life) = &mut self.state().life {
            life.speed = speed;
        }
    }

    /// The answer kept for an operation, provided that it asked the very same.
    pub(super) fn canned(&self, operation: &str, query: &str) -> Option<Bytes> {
        let state = self.state();
        let canned = state.canned.as_ref()?.get(operation)?;
        (canned.query == query).then(|| canned.answer.clone())
    }

    /// Keeps an answer that was rendered from `account`, unless there is another account by now.
    pub(super) fn can(&self, account: &Arc<Account>, operation: String, query: String, answer: Bytes) {
        let mut state = self.state();
        if !Arc::ptr_eq(&state.account, account) {
            return;
        }
        if let Some(canned) = &mut state.canned {
            canned.insert(operation, Canned { query, answer });
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.catch_up();
        state
    }
}

impl State {
    fn catch_up(&mut self) {
        let Some(life) = &mut self.life else { return };
        let elapsed = life.at.elapsed();
        life.at += elapsed;
        let seconds = (elapsed.as_secs_f64() * life.speed).clamp(0.0, MAX_CATCH_UP);
        // Only a speed that is no number gets past the clamp, and time stands still then.
        let simulated = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        if life.living.advance(simulated) {
            let account = life.living.snapshot();
            self.replace(account);
        }
    }

    fn replace(&mut self, account: Account) {
        self.account = Arc::new(account);
        if let Some(canned) = &mut self.canned {
            canned.clear();
        }
    }
}
