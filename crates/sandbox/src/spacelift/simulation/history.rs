//! The history behind the statistics of runs.

use std::{collections::VecDeque, time::Duration};

use super::{run::Run, stack::Stack};
use crate::spacelift::account::MetricPoint;

/// The history behind the statistics of runs.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    /// In nanoseconds.
    pub(super) durations: Window,
    /// From the arrival of a run to its success, in seconds.
    pub(super) lead_times: Window,
    /// From the first failure of a stack to its next success, in seconds.
    pub(super) recoveries: Window,
    /// One for each failed run, zero for each other run.
    pub(super) failures: Window,
    pub(super) deployments: u32,
}

/// The latest values of a statistic.
#[derive(Clone, Debug, Default)]
pub(super) struct Window(VecDeque<f64>);

impl History {
    pub(super) fn record_deployment(&mut self, now: Duration, run: &Run, stack: &mut Stack) {
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

    /// Returns no point without values.
    pub(super) fn average(&self) -> Vec<MetricPoint> {
        if self.0.is_empty() {
            return Vec::new();
        }
        MetricPoint::single(self.0.iter().sum::<f64>() / self.0.len() as f64)
    }

    /// Returns no point without values.
    pub(super) fn median(&self) -> Vec<MetricPoint> {
        let mut values: Vec<f64> = self.0.iter().copied().collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().map(MetricPoint::single).unwrap_or_default()
    }
}
