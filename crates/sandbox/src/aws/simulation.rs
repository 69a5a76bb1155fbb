//! Applies the events of the world to EC2 and sends them to the queues.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, SystemTime},
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::time::{Instant, MissedTickBehavior};

use super::{
    api::Api,
    ec2::{Instance, InstanceState},
    event::Event,
    sqs::uuid,
    world::{Truth, World, WorldEvent},
};

/// The interval at which the simulation follows the clock.
const STEP: Duration = Duration::from_millis(500);
/// The maximum number of simulated seconds of one step.
const MAX_CATCH_UP: f64 = 600.0;
/// The share of events that EventBridge delivers twice.
const REPEATED: f64 = 0.02;
/// The share of warnings whose ARN has the account instead of the zone.
const ACCOUNT_RESOURCE: f64 = 0.5;

/// The world and the services that show it.
pub(super) struct Simulation {
    api: Arc<Api>,
    speed: Mutex<f64>,
    state: Mutex<State>,
}

struct State {
    world: World,
    /// Random numbers of the events, which do not change the world.
    rng: StdRng,
    /// The time up to which the world has advanced.
    advanced_to: Instant,
}

impl Simulation {
    /// Returns a simulation and adds the instances of its world to EC2.
    pub(super) fn new(api: Arc<Api>, seed: u64, scale: usize, speed: f64) -> Self {
        let world = World::with_scale(seed, api.clock.now(), scale);
        for instance in world.instances() {
            api.fleet.insert(instance.clone());
        }
        let state = State { world, rng: StdRng::seed_from_u64(seed), advanced_to: Instant::now() };
        Self { api, speed: Mutex::new(speed), state: Mutex::new(state) }
    }

    pub(super) fn speed(&self) -> f64 {
        *self.speed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_speed(&self, speed: f64) {
        *self.speed.lock().unwrap_or_else(PoisonError::into_inner) = speed;
    }

    pub(super) fn truth(&self) -> Truth {
        self.lock().world.truth()
    }

    /// Changes the world and reports its events.
    pub(super) fn apply(&self, change: impl FnOnce(&mut World) -> Vec<WorldEvent>) -> Vec<WorldEvent> {
        // Locked while events are sent, which keeps their order.
        let mut state = self.lock();
        let events = change(&mut state.world);
        for event in &events {
            self.report(event, &mut state.rng);
        }
        events
    }

    fn catch_up(&self) {
        let elapsed = {
            let mut state = self.lock();
            let elapsed = state.advanced_to.elapsed();
            state.advanced_to += elapsed;
            elapsed
        };
        let seconds = (elapsed.as_secs_f64() * self.speed()).clamp(0.0, MAX_CATCH_UP);
        // Only a speed that is NaN passes the clamp. It pauses the simulation.
        self.apply(|world| world.advance(Duration::try_from_secs_f64(seconds).unwrap_or_default()));
    }

    fn report(&self, event: &WorldEvent, rng: &mut StdRng) {
        // The simulation may run faster than real time, but instances and events have real times.
        let now = self.api.clock.now();
        let fleet = &self.api.fleet;
        match event {
            WorldEvent::Launched(instance) => {
                let instance = instance.clone().launched(now);
                if instance.lifecycle.name() == Some("spot") {
                    self.send(Event::fulfillment(&instance), now, rng);
                }
                fleet.insert(instance);
            }
            WorldEvent::RebalanceRecommended(instance) => {
                self.send(Event::rebalance_recommendation(instance), now, rng);
            }
            WorldEvent::Warned(instance) => self.send(warning(instance, rng), now, rng),
            WorldEvent::Terminated { instance, .. } => {
                let reason = instance.reason.as_ref().map(|reason| (reason.code.clone(), now));
                fleet.set_state(&instance.id, InstanceState::Terminated, reason);
                self.send(Event::state_change(instance).state("shutting-down"), now, rng);
            }
            WorldEvent::Forgotten(instance) => drop(fleet.remove(&instance.id)),
        }
    }

    fn send(&self, event: Event, now: SystemTime, rng: &mut StdRng) {
        let event = event.at(now).id(uuid(rng));
        let copies = if rng.random_bool(REPEATED) { 2 } else { 1 };
        for _ in 0..copies {
            self.api.send_body(event.region(), &event.body());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns a warning with one of the two forms of its resource.
fn warning(instance: &Instance, rng: &mut StdRng) -> Event {
    let event = Event::interruption_warning(instance);
    if rng.random_bool(ACCOUNT_RESOURCE) { event.account_resource(instance) } else { event }
}

/// Advances the simulation with the clock until it is dropped.
pub(super) async fn run_clock(simulation: Weak<Simulation>) {
    let mut interval = tokio::time::interval(STEP);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let Some(simulation) = simulation.upgrade() else { return };
        simulation.catch_up();
    }
}
