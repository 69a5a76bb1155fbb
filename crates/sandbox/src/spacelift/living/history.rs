//! What the figures about runs look back on.

use std::{collections::VecDeque, time::Duration};

use super::{run::Run, stack::Stack};
use crate::spacelift::account::MetricPoint;

/// What the figures about runs look back on.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    /// In nanoseconds.
    pub(super) durations: Window,
    /// From a run's arrival to its success, in seconds.
    pub(super) lead_times: Window,
    /// From a stack's first failure to its next success, in seconds.
    pub(super) recoveries: Window,
    /// One for a run that failed, zero for one that did not.
    pub(super) failures: Window,
    pub(super) deployments: u32,
}

/// The latest values of something.
#[derive(Clone, Debug, Default)]
pub(super) struct Window(VecDeque<f64>);

impl History {
    pub(super) fn note_deployment(&mut self, now: Duration, run: &Run, stack: &mut Stack) {
        self.deployments += 1;
        self.failures.push(0.0);
        self.lead_times.push((now - run.arrived).as_secs_f64());
        if let Some(since) = stack.failing_since.take() {
            self.recoveries.push((now - since).as_secs_f64());
        }
        stack.drifted = 0;
    }
}

impl Window {
    const CAPACITY: usize = 200;

    pub(super) fn push(&mut self, value: f64) {
        if self.0.len() == Self::CAPACITY {
            self.0.pop_front();
        }
        self.0.push_back(value);
    }

    /// No point if there is no value.
    pub(super) fn average(&self) -> Vec<MetricPoint> {
        if self.0.is_empty() {
            return Vec::new();
        }
        MetricPoint::single(self.0.iter().sum::<f64>() / self.0.len() as f64)
    }

    /// No point if there is no value.
    pub(super) fn median(&self) -> Vec<MetricPoint> {
        let mut values: Vec<f64> = self.0.iter().copied().collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().map(MetricPoint::single).unwrap_or_default()
    }
}
