//! Stacks. Their number is bounded, and stacks without deliveries are removed after a time.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::names::OTHER;
use super::update::Timestamp;

/// A stack that deliveries named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stack {
    /// The time of the last delivery.
    #[serde(rename = "heard")]
    pub(super) last_delivery: Timestamp,
    /// The id of the stack's space, if a delivery named it.
    pub(super) space: Option<Box<str>>,
    /// The last ended run of each run type.
    pub(super) last: BTreeMap<Box<str>, LastRun>,
}

/// The last ended run of a stack and run type.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LastRun {
    // The derived order depends on the order of the fields: runs are ordered by the time of their end.
    pub(super) ended: Timestamp,
    pub(super) run: Box<str>,
    pub(super) final_state: Box<str>,
}

/// All stacks.
#[derive(Debug)]
pub(super) struct Stacks {
    stacks: BTreeMap<Box<str>, Stack>,
    max: usize,
    ttl: Duration,
    /// The ids of the stacks that changed since the last call of `take_changes`.
    changed: BTreeSet<Box<str>>,
}

impl Stacks {
    pub(super) fn new(stacks: BTreeMap<Box<str>, Stack>, max: usize, ttl: Duration) -> Self {
        Self { stacks, max, ttl, changed: BTreeSet::new() }
    }

    /// Notes a delivery about a stack, and returns the label of the stack: its id, or [`OTHER`] for a new stack beyond
    /// the bound.
    pub(super) fn note_delivery<'a>(&mut self, id: &'a str, space: Option<&str>, now: Timestamp) -> &'a str {
        if !self.stacks.contains_key(id) && self.stacks.len() >= self.max {
            return OTHER;
        }
        let stack = self.stacks.entry(id.into()).or_insert_with(|| Stack {
            last_delivery: now,
            space: None,
            last: BTreeMap::new(),
        });
        stack.last_delivery = stack.last_delivery.max(now);
        if let Some(space) = space {
            stack.space = Some(space.into());
        }
        self.changed.insert(id.into());
        id
    }

    /// Returns the space of a stack.
    pub(super) fn space(&self, id: &str) -> Option<&str> {
        self.stacks.get(id)?.space.as_deref()
    }

    /// Notes the end of a run.
    pub(super) fn note_end(&mut self, id: &str, run_type: &str, last: LastRun) {
        let Some(stack) = self.stacks.get_mut(id) else { return };
        match stack.last.get_mut(run_type) {
            Some(known) if *known >= last => {}
            Some(known) => *known = last,
            None => {
                stack.last.insert(run_type.into(), last);
            }
        }
        self.changed.insert(id.into());
    }

    /// Removes the stacks without a delivery for longer than the TTL, and returns their ids. Stacks with active runs are
    /// kept.
    pub(super) fn expire<'a>(
        &mut self,
        now: Timestamp,
        active: impl FnOnce() -> HashSet<&'a str>,
    ) -> Vec<Box<str>> {
        let ttl = self.ttl.as_secs_f64();
        let is_old = |stack: &Stack| now.seconds_since(stack.last_delivery) > ttl;
        if !self.stacks.values().any(is_old) {
            return Vec::new();
        }
        let active = active();
        let removed = self.stacks.extract_if(.., |id, stack| is_old(stack) && !active.contains(&**id));
        let removed: Vec<Box<str>> = removed.map(|(id, _)| id).collect();
        self.changed.extend(removed.iter().cloned());
        removed
    }

    /// Returns the last run of each stack and run type.
    pub(super) fn last_runs(&self) -> impl Iterator<Item = (&str, &str, &LastRun)> {
        self.stacks
            .iter()
            .flat_map(|(id, stack)| stack.last.iter().map(move |(run_type, last)| (&**id, &**run_type, last)))
    }

    /// Returns the stacks that changed since the last call; `None` for a stack that was removed.
    pub(super) fn take_changes(&mut self) -> Vec<(Box<str>, Option<Stack>)> {
        let changed = std::mem::take(&mut self.changed);
        changed
            .into_iter()
            .map(|id| (self.stacks.get(&id).cloned(), id))
            .map(|(stack, id)| (id, stack))
            .collect()
    }
}
