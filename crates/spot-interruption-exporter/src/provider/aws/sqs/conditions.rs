//! The readiness condition of all queues.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use exporter_common::readiness::Condition;

/// One condition for all queues: it is met when messages can be received from each of them.
#[derive(Debug, Clone)]
pub(in crate::provider::aws) struct QueueConditions {
    condition: Condition,
    /// By index of the queue: why nothing can be received.
    missing: Arc<Mutex<BTreeMap<usize, String>>>,
    names: Arc<[String]>,
}

impl QueueConditions {
    /// Creates the conditions for queues with these names.
    pub(in crate::provider::aws) fn new(condition: Condition, names: Vec<String>) -> Self {
        let missing = (0..names.len()).map(|index| (index, "nothing received yet".to_owned())).collect();
        let conditions = Self { condition, missing: Arc::new(Mutex::new(missing)), names: names.into() };
        conditions.change(|_| {});
        conditions
    }

    /// Notes that messages can be received from a queue.
    pub(super) fn ready(&self, index: usize) {
        self.change(|missing| {
            missing.remove(&index);
        });
    }

    /// Notes that nothing can be received from a queue.
    pub(super) fn missing(&self, index: usize, reason: &str) {
        self.change(|missing| {
            missing.insert(index, reason.to_owned());
        });
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<usize, String>)) {
        // A poisoned lock is safe to use: each update is one operation on the map.
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut missing);
        if missing.is_empty() {
            return self.condition.ready();
        }
        let name = |index: usize| self.names.get(index).map_or("", String::as_str);
        let reasons: Vec<String> =
            missing.iter().map(|(index, reason)| format!("SQS queue {}: {reason}", name(*index))).collect();
        self.condition.missing(reasons.join("; "));
    }
}
