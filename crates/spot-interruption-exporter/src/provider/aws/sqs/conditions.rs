//! The readiness condition of all queues.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use exporter_common::readiness::Condition;

/// A use of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum QueueUse {
    /// Messages are received.
    Receive,
    /// Processed messages are deleted. Others are delivered again and again.
    Delete,
}

/// One condition for all queues: it is met when messages can be received from each of them and deleted.
#[derive(Debug, Clone)]
pub(in crate::provider::aws) struct QueueConditions {
    condition: Condition,
    /// By index of the queue and by use: why it does not work.
    missing: Arc<Mutex<BTreeMap<(usize, QueueUse), String>>>,
    names: Arc<[String]>,
}

impl QueueConditions {
    /// Creates the conditions for queues with these names.
    pub(in crate::provider::aws) fn new(condition: Condition, names: Vec<String>) -> Self {
        let not_yet = |index| ((index, QueueUse::Receive), "nothing received yet".to_owned());
        let missing = (0..names.len()).map(not_yet).collect();
        let conditions = Self { condition, missing: Arc::new(Mutex::new(missing)), names: names.into() };
        conditions.change(|_| {});
        conditions
    }

    /// Notes that a use of a queue works.
    pub(super) fn ready(&self, index: usize, queue_use: QueueUse) {
        self.change(|missing| {
            missing.remove(&(index, queue_use));
        });
    }

    /// Notes that a use of a queue does not work.
    pub(super) fn missing(&self, index: usize, queue_use: QueueUse, reason: &str) {
        let reason = match queue_use {
            QueueUse::Receive => reason.to_owned(),
            QueueUse::Delete => format!("processed messages cannot be deleted: {reason}"),
        };
        self.change(|missing| {
            missing.insert((index, queue_use), reason);
        });
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<(usize, QueueUse), String>)) {
        // A poisoned lock is safe to use: each update is one operation on the map.
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut missing);
        if missing.is_empty() {
            return self.condition.ready();
        }
        let name = |index: usize| self.names.get(index).map_or("", String::as_str);
        let reasons: Vec<String> = missing
            .iter()
            .map(|((index, _), reason)| format!("SQS queue {}: {reason}", name(*index)))
            .collect();
        self.condition.missing(reasons.join("; "));
    }
}
