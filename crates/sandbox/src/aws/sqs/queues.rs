//! All queues, and how requests name them.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use super::queue::Queue;
use crate::aws::time::ServiceClock;

/// The queues of all accounts and regions.
pub(in crate::aws) struct Queues {
    queues: RwLock<Vec<Queue>>,
    base: Arc<OnceLock<String>>,
    clock: Arc<ServiceClock>,
    seed: u64,
}

impl Queues {
    /// Returns a service without queues. `base` is set to the URL of the server when it is known.
    pub(in crate::aws) fn new(base: Arc<OnceLock<String>>, clock: Arc<ServiceClock>, seed: u64) -> Self {
        Self { queues: RwLock::default(), base, clock, seed }
    }

    /// Adds a queue, or returns the existing one.
    pub(in crate::aws) fn add(&self, account: &str, region: &str, name: &str) -> Queue {
        let mut queues = self.queues.write().unwrap_or_else(PoisonError::into_inner);
        let existing = queues.iter().find(|queue| is_named(queue, account, name) && queue.region() == region);
        if let Some(queue) = existing {
            return queue.clone();
        }
        let seed = self.seed.wrapping_add(queues.len() as u64);
        let (base, clock) = (Arc::clone(&self.base), Arc::clone(&self.clock));
        let queue = Queue::new(account, region, name, base, clock, seed);
        queues.push(queue.clone());
        queue
    }

    pub(in crate::aws) fn all(&self) -> Vec<Queue> {
        self.queues.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the queue of an account.
    pub(in crate::aws) fn find(&self, account: &str, region: &str, name: &str) -> Option<Queue> {
        let queues = self.queues.read().unwrap_or_else(PoisonError::into_inner);
        queues.iter().find(|queue| is_named(queue, account, name) && queue.region() == region).cloned()
    }

    /// Returns the queue that a URL names. The region is that of the request, from its signature.
    pub(super) fn find_by_url(&self, url: &str, region: &str) -> Option<Queue> {
        let path = match url.split_once("://") {
            Some((_, rest)) => rest.split_once('/')?.1,
            None => url.trim_start_matches('/'),
        };
        let (account, name) = path.split_once('/')?;
        self.find(account, region, name)
    }
}

fn is_named(queue: &Queue, account: &str, name: &str) -> bool {
    queue.account() == account && queue.name() == name
}
