//! Where the account comes from: fixed, or alive and as old as the clock says.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    Account, Living,
    living::Transition,
    webhook::{RunBook, Runs, Webhooks},
};

/// How many simulated seconds a request may have to catch up on after nobody has asked for long.
const MAX_CATCH_UP: f64 = 3600.0;

/// The account and, on request, the answers that were rendered from it.
pub(super) struct World {
    state: Mutex<State>,
    webhooks: Arc<Webhooks>,
}

struct State {
    account: Arc<Account>,
    life: Option<Life>,
    /// Rendered answers of the present account by operation name, if they are to be kept.
    canned: Option<HashMap<String, Canned>>,
    runs: RunBook,
}

struct Life {
    living: Living,
    /// Simulated seconds in a second.
    speed: f64,
    /// Up to when the account has lived.
    at: Instant,
    /// What the wall clock said then.
    wall: Duration,
}

struct Canned {
    query: String,
    answer: Bytes,
}

impl World {
    pub(super) fn fixed(account: Account, canned: bool, webhooks: Arc<Webhooks>) -> Self {
        Self::new(account, None, RunBook::default(), canned, webhooks)
    }

    /// A living account; `wall` is what the wall clock says, from which on it lives.
    pub(super) fn living(
        mut living: Living,
        speed: f64,
        wall: Duration,
        canned: bool,
        webhooks: Arc<Webhooks>,
    ) -> Self {
        let account = living.snapshot();
        let mut runs = RunBook::default();
        let now = living.now();
        for Transition { run, at } in living.take_transitions() {
            // Before the start, time has passed as on the wall clock.
            runs.enter(&run.info, run.state.name(), wall.saturating_sub(now - at), false);
        }
        runs.reset();
        Self::new(account, Some(Life { living, speed, at: Instant::now(), wall }), runs, canned, webhooks)
    }

    fn new(
        account: Account,
        life: Option<Life>,
        runs: RunBook,
        canned: bool,
        webhooks: Arc<Webhooks>,
    ) -> Self {
        let canned = canned.then(HashMap::new);
        Self { state: Mutex::new(State { account: Arc::new(account), life, canned, runs }), webhooks }
    }

    /// The account as it is now.
    pub(super) fn account(&self) -> Arc<Account> {
        Arc::clone(&self.state().account)
    }

    /// Replaces the account by one that does not change.
    pub(super) fn set_account(&self, account: Account) {
        let mut state = self.state();
        state.life = None;
        state.runs = RunBook::default();
        state.replace(account);
    }

    /// Whether the account lives.
    pub(super) fn is_living(&self) -> bool {
        self.lock().life.is_some()
    }

    /// Lets a living account live up to now, and hands what happened to its runs to the webhook.
    pub(super) fn catch_up(&self) {
        drop(self.state());
    }

    /// What has become of the runs of a living account.
    pub(super) fn runs(&self) -> Runs {
        self.state().runs.runs()
    }

    /// Forgets the runs that ended.
    pub(super) fn reset_runs(&self) {
        self.state().runs.reset();
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
        let mut state = self.lock();
        state.catch_up(&self.webhooks);
        state
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn catch_up(&mut self, webhooks: &Webhooks) {
        let Some(life) = &mut self.life else { return };
        let elapsed = life.at.elapsed();
        life.at += elapsed;
        life.wall += elapsed;
        let seconds = (elapsed.as_secs_f64() * life.speed).clamp(0.0, MAX_CATCH_UP);
        // Only a speed that is no number gets past the clamp, and time stands still then.
        let simulated = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        if !life.living.advance(simulated) {
            return;
        }
        let (now, is_told) = (life.living.now(), webhooks.is_set());
        for Transition { run, at } in life.living.take_transitions() {
            let ago = Duration::try_from_secs_f64((now - at).as_secs_f64() / life.speed).unwrap_or_default();
            let delivery =
                self.runs.enter(&run.info, run.state.name(), life.wall.saturating_sub(ago), is_told);
            if is_told {
                webhooks.deliver(delivery);
            }
        }
        let account = life.living.snapshot();
        self.replace(account);
    }

    fn replace(&mut self, account: Account) {
        self.account = Arc::new(account);
        if let Some(canned) = &mut self.canned {
            canned.clear();
        }
    }
}
