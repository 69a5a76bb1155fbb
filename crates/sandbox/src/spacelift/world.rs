//! The served account: fixed, or simulated with the clock.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    Account, SimulatedAccount,
    simulation::Transition,
    webhook::{RunLog, Runs, Webhooks},
};

/// The maximum number of simulated seconds of one step, after a long time without requests.
const MAX_CATCH_UP: f64 = 3600.0;

/// The account and optionally its cached responses.
pub(super) struct World {
    state: Mutex<AccountState>,
    webhooks: Arc<Webhooks>,
}

struct AccountState {
    account: Arc<Account>,
    simulation: Option<RunningSimulation>,
    /// Cached responses of the current account by operation name; `None` without caching.
    cached: Option<HashMap<String, CachedResponse>>,
    runs: RunLog,
}

struct RunningSimulation {
    account: SimulatedAccount,
    /// Simulated seconds per second.
    speed: f64,
    /// The time up to which the account is simulated.
    at: Instant,
    /// The real time at that moment.
    wall: Duration,
}

struct CachedResponse {
    query: String,
    response: Bytes,
}

impl World {
    pub(super) fn fixed(account: Account, cached: bool, webhooks: Arc<Webhooks>) -> Self {
        Self::new(account, None, RunLog::default(), cached, webhooks)
    }

    /// Returns a simulated account that starts at the real time `wall`.
    pub(super) fn simulated(
        mut simulated: SimulatedAccount,
        speed: f64,
        wall: Duration,
        cached: bool,
        webhooks: Arc<Webhooks>,
    ) -> Self {
        let account = simulated.snapshot();
        let mut runs = RunLog::default();
        let now = simulated.now();
        for Transition { run, at } in simulated.take_transitions() {
            // Before the start, simulated time equals real time.
            runs.enter(&run.info, run.state.name(), wall.saturating_sub(now - at), false);
        }
        runs.reset();
        Self::new(
            account,
            Some(RunningSimulation { account: simulated, speed, at: Instant::now(), wall }),
            runs,
            cached,
            webhooks,
        )
    }

    fn new(
        account: Account,
        simulation: Option<RunningSimulation>,
        runs: RunLog,
        cached: bool,
        webhooks: Arc<Webhooks>,
    ) -> Self {
        let cached = cached.then(HashMap::new);
        Self {
            state: Mutex::new(AccountState { account: Arc::new(account), simulation, cached, runs }),
            webhooks,
        }
    }

    /// Returns the current account.
    pub(super) fn account(&self) -> Arc<Account> {
        Arc::clone(&self.state().account)
    }

    /// Replaces the account by a fixed one.
    pub(super) fn set_account(&self, account: Account) {
        let mut state = self.state();
        state.simulation = None;
        state.runs = RunLog::default();
        state.replace(account);
    }

    /// Returns whether the account is simulated.
    pub(super) fn is_simulated(&self) -> bool {
        self.lock().simulation.is_some()
    }

    /// Advances a simulated account to now and delivers the state changes of its runs.
    pub(super) fn catch_up(&self) {
        drop(self.state());
    }

    /// Returns the runs of a simulated account.
    pub(super) fn runs(&self) -> Runs {
        self.state().runs.runs()
    }

    /// Removes the ended runs.
    pub(super) fn reset_runs(&self) {
        self.state().runs.reset();
    }

    /// Returns the speed in simulated seconds per second; zero for a fixed account.
    pub(super) fn speed(&self) -> f64 {
        self.state().simulation.as_ref().map_or(0.0, |simulation| simulation.speed)
    }

    /// Sets the speed of a simulated account. Zero pauses it. Fixed accounts are not affected.
    pub(super) fn set_speed(&self, speed: f64) {
        if let Some(simulation) = &mut self.state().simulation {
            simulation.speed = speed;
        }
    }

    /// Returns the cached response to an operation if its query is the same.
    pub(super) fn cached(&self, operation: &str, query: &str) -> Option<Bytes> {
        let state = self.state();
        let cached = state.cached.as_ref()?.get(operation)?;
        (cached.query == query).then(|| cached.response.clone())
    }

    /// Caches a response rendered from `account`, unless the account has changed since.
    pub(super) fn cache(&self, account: &Arc<Account>, operation: String, query: String, response: Bytes) {
        let mut state = self.state();
        if !Arc::ptr_eq(&state.account, account) {
            return;
        }
        if let Some(cached) = &mut state.cached {
            cached.insert(operation, CachedResponse { query, response });
        }
    }

    fn state(&self) -> MutexGuard<'_, AccountState> {
        let mut state = self.lock();
        state.catch_up(&self.webhooks);
        state
    }

    fn lock(&self) -> MutexGuard<'_, AccountState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AccountState {
    fn catch_up(&mut self, webhooks: &Webhooks) {
        let Some(simulation) = &mut self.simulation else { return };
        let elapsed = simulation.at.elapsed();
        simulation.at += elapsed;
        simulation.wall += elapsed;
        let seconds = (elapsed.as_secs_f64() * simulation.speed).clamp(0.0, MAX_CATCH_UP);
        // Only a speed that is NaN passes the clamp. It pauses the simulation.
        let simulated = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        if !simulation.account.advance(simulated) {
            return;
        }
        let (now, is_delivered) = (simulation.account.now(), webhooks.is_set());
        for Transition { run, at } in simulation.account.take_transitions() {
            let ago =
                Duration::try_from_secs_f64((now - at).as_secs_f64() / simulation.speed).unwrap_or_default();
            let delivery = self.runs.enter(
                &run.info,
                run.state.name(),
                simulation.wall.saturating_sub(ago),
                is_delivered,
            );
            if is_delivered {
                webhooks.deliver(delivery);
            }
        }
        let account = simulation.account.snapshot();
        self.replace(account);
    }

    fn replace(&mut self, account: Account) {
        self.account = Arc::new(account);
        if let Some(cached) = &mut self.cached {
            cached.clear();
        }
    }
}
