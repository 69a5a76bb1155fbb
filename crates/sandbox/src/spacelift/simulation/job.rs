//! A worker and its run.

use std::time::Duration;

use rand::rngs::StdRng;

use super::run::{Next, Run, RunState, Transition};
use crate::spacelift::{account::ID, ulid::ulid};

#[derive(Clone, Debug)]
pub(super) struct Machine {
    pub(super) id: ID,
    /// Since when it has been drained.
    pub(super) drained: Option<Duration>,
    pub(super) job: Option<Job>,
}

#[derive(Clone, Debug)]
pub(super) struct Job {
    run: Run,
    /// The end of the current state.
    until: Duration,
}

impl Machine {
    pub(super) fn new(rng: &mut StdRng) -> Self {
        Self { id: ulid(rng), drained: None, job: None }
    }

    pub(super) fn is_free(&self) -> bool {
        self.drained.is_none() && self.job.is_none()
    }

    /// Starts a run.
    pub(super) fn start(&mut self, mut run: Run, now: Duration, log: &mut Vec<Transition>) {
        let step = run.first_step();
        enter(&mut run, step, now, log);
        let until = now + run.step();
        self.job = Some(Job { run, until });
    }

    /// Advances the run to `now`. Returns the run if it no longer needs this worker.
    pub(super) fn work(&mut self, now: Duration, log: &mut Vec<Transition>) -> Option<Run> {
        let job = self.job.as_mut()?;
        while job.until <= now {
            match job.run.next() {
                Next::Work(state) => {
                    enter(&mut job.run, state, job.until, log);
                    job.until += job.run.step();
                }
                Next::Leave(state) => {
                    let Job { mut run, until } = self.job.take()?;
                    enter(&mut run, state, until, log);
                    return Some(run);
                }
            }
        }
        None
    }
}

/// Changes the state of a run and records the transition.
pub(super) fn enter(run: &mut Run, state: RunState, at: Duration, log: &mut Vec<Transition>) {
    run.state = state;
    log.push(Transition { run: run.clone(), at });
}
