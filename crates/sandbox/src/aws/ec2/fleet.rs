//! The instances of all accounts and regions.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use rand::{SeedableRng as _, rngs::StdRng};
use tokio::time::Instant;

use super::{
    instance::{Instance, InstanceState, Reason},
    settings::Ec2Settings,
};

/// All instances, also terminated ones.
pub(in crate::aws) struct Fleet {
    state: Mutex<State>,
}

struct State {
    settings: Ec2Settings,
    instances: BTreeMap<String, Listed>,
    /// The seed of the next random order.
    seed: u64,
}

/// An instance and the times that decide how it is listed.
#[derive(Clone)]
pub(super) struct Listed {
    pub(super) instance: Instance,
    added: Instant,
    terminated: Option<Instant>,
}

impl Listed {
    /// Returns whether a request now contains the instance.
    pub(super) fn is_listed(&self, settings: &Ec2Settings) -> bool {
        self.added.elapsed() >= settings.appearance_delay
            && self.terminated.is_none_or(|terminated| terminated.elapsed() < settings.terminated_retention)
    }

    /// Returns the instance with the tags that it has now.
    pub(super) fn current(&self, settings: &Ec2Settings) -> Instance {
        let mut instance = self.instance.clone();
        if let (Some(terminated), Some(interval)) = (self.terminated, settings.tag_loss)
            && !instance.tags.is_empty()
        {
            let elapsed = terminated.elapsed().as_secs_f64();
            let lost = if interval.is_zero() { f64::INFINITY } else { elapsed / interval.as_secs_f64() };
            let left = instance.tags.iter().skip(lost as usize);
            instance.tags =
                std::sync::Arc::new(left.map(|(key, value)| (key.clone(), value.clone())).collect());
        }
        instance
    }
}

impl Fleet {
    pub(in crate::aws) fn new(seed: u64) -> Self {
        let state = State { settings: Ec2Settings::default(), instances: BTreeMap::new(), seed };
        Self { state: Mutex::new(state) }
    }

    pub(in crate::aws) fn settings(&self) -> Ec2Settings {
        self.lock().settings.clone()
    }

    pub(in crate::aws) fn change_settings(&self, change: impl FnOnce(&mut Ec2Settings)) {
        change(&mut self.lock().settings);
    }

    /// Adds an instance, or replaces the instance with the same id.
    pub(in crate::aws) fn insert(&self, instance: Instance) {
        let now = Instant::now();
        let terminated = (instance.state == InstanceState::Terminated).then_some(now);
        let listed = Listed { instance, added: now, terminated };
        self.lock().instances.insert(listed.instance.id.clone(), listed);
    }

    pub(in crate::aws) fn remove(&self, id: &str) -> Option<Instance> {
        self.lock().instances.remove(id).map(|listed| listed.instance)
    }

    pub(in crate::aws) fn clear(&self) {
        self.lock().instances.clear();
    }

    /// Returns an instance with all its tags.
    pub(in crate::aws) fn get(&self, id: &str) -> Option<Instance> {
        self.lock().instances.get(id).map(|listed| listed.instance.clone())
    }

    /// Returns all instances, sorted by id, also those that are no longer listed.
    pub(in crate::aws) fn all(&self) -> Vec<Instance> {
        self.lock().instances.values().map(|listed| listed.instance.clone()).collect()
    }

    /// Changes the state of an instance. Returns the changed instance.
    pub(in crate::aws) fn set_state(
        &self,
        id: &str,
        state: InstanceState,
        reason: Option<(String, SystemTime)>,
    ) -> Option<Instance> {
        let mut fleet = self.lock();
        let listed = fleet.instances.get_mut(id)?;
        listed.instance.state = state;
        listed.instance.reason = reason.map(|(code, at)| Reason { code, at: Some(at) });
        listed.terminated = (state == InstanceState::Terminated).then(Instant::now);
        Some(listed.instance.clone())
    }

    /// Returns the listed instances of an account and region after an id, sorted by id, and one seed for
    /// the order of elements.
    pub(super) fn select(
        &self,
        account: &str,
        region: &str,
        after: Option<&str>,
        most: usize,
        admits: impl Fn(&Instance) -> bool,
    ) -> (Vec<Instance>, bool, StdRng) {
        let mut state = self.lock();
        state.seed = state.seed.wrapping_add(1);
        let rng = StdRng::seed_from_u64(state.seed);
        let State { settings, instances, .. } = &mut *state;
        instances.retain(|_, listed| {
            // Kept for a day, so that a longer retention can be set later.
            listed.terminated.is_none_or(|at| at.elapsed().as_secs() < 24 * 60 * 60)
        });
        let mut selected = Vec::new();
        for (id, listed) in &*instances {
            if after.is_some_and(|after| id.as_str() <= after)
                || listed.instance.account != account
                || listed.instance.region() != region
                || !listed.is_listed(settings)
            {
                continue;
            }
            let instance = listed.current(settings);
            if !admits(&instance) {
                continue;
            }
            if selected.len() == most {
                return (selected, true, rng);
            }
            selected.push(instance);
        }
        (selected, false, rng)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
