//! The simulated world of the simulated AWS.

use std::time::Duration;

use super::Aws;
use crate::aws::world::{Truth, WorldEvent};

/// The world. Without [`Builder::simulated`](super::Builder::simulated) it is empty.
impl Aws {
    /// Advances the world and sends its events, which it returns.
    pub fn advance(&self, elapsed: Duration) -> Vec<WorldEvent> {
        let simulation = self.simulation.as_ref();
        simulation.map(|simulation| simulation.apply(|world| world.advance(elapsed))).unwrap_or_default()
    }

    /// Interrupts each running spot instance of the world with this probability. Returns the events.
    pub fn burst(&self, share: f64) -> Vec<WorldEvent> {
        let simulation = self.simulation.as_ref();
        simulation.map(|simulation| simulation.apply(|world| world.burst(share))).unwrap_or_default()
    }

    /// Sets the speed in simulated seconds per second. Zero pauses the world.
    pub fn set_speed(&self, speed: f64) {
        if let Some(simulation) = &self.simulation {
            simulation.set_speed(speed);
        }
    }

    /// Returns the expected results of an exporter, by the events of the world. Events that a test sends itself
    /// are not included.
    #[must_use]
    pub fn truth(&self) -> Truth {
        self.simulation.as_ref().map(|simulation| simulation.truth()).unwrap_or_default()
    }
}
