//! What is known of stacks: their number is bounded, and those of which nothing is heard leave.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::names::OTHER;
use super::update::Timestamp;

/// A stack that deliveries were about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stack {
    /// When the last delivery came.
    pub(super) heard: Timestamp,
    /// The id of its space, if a delivery has ever named it.
    pub(super) space: Option<Box<str>>,
    /// By type of run: the last one that ended.
    pub(super) last: BTreeMap<Box<str>, LastRun>,
}

/// A run that ended as the last one of its stack and type.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LastRun {
    // The order of the fields is that of the runs.
    pub(super) ended: Timestamp,
    pub(super) run: Box<str>,
    pub(super) final_state: Box<str>,
}

/// Every known stack.
#[derive(Debug)]
pub(super) struct Stacks {
    stacks: BTreeMap<Box<str>, Stack>,
    max: usize,
    ttl: Duration,
    /// Those that are not as they were written down last.
    changed: BTreeSet<Box<str>>,
}

impl Stacks {
    pub(super) fn new(stacks: BTreeMap<Box<str>, Stack>, max: usize, ttl: Duration) -> Self {
        Self { stacks, max, ttl, changed: BTreeSet::new() }
    }

    /// The label of a stack of which something was heard. A new one beyond the bound is one of many.
    pub(super) fn heard<'a>(&mut self, id: &'a str, space: Option<&str>, now: Timestamp) -> &'a str {
        if !self.stacks.contains_key(id) && self.stacks.len() >= self.max {
            return OTHER;
        }
        let stack = self.stacks.entry(id.into()).or_insert_with(|| Stack {
            heard: now,
            space: None,
            last: BTreeMap::new(),
        });
        stack.heard = stack.heard.max(now);
        if let Some(space) = space {
            stack.space = Some(space.into());
        }
        self.changed.insert(id.into());
        id
    }

    /// The space of a stack.
    pub(super) fn space(&self, id: &str) -> Option<&str> {
        self.stacks.get(id)?.space.as_deref()
    }

    /// A run of a stack has ended.
    pub(super) fn ended(&mut self, id: &str, run_type: &str, last: LastRun) {
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

    /// Removes the stacks of which nothing was heard for too long, and returns them. Those with runs that have not ended
    /// stay.
    pub(super) fn expire<'a>(
        &mut self,
        now: Timestamp,
        active: impl FnOnce() -> HashSet<&'a str>,
    ) -> Vec<Box<str>> {
        let ttl = self.ttl.as_secs_f64();
        let is_old = |stack: &Stack| now.seconds_since(stack.heard) > ttl;
        if !self.stacks.values().any(is_old) {
            return Vec::new();
        }
        let active = active();
        let gone = self.stacks.extract_if(.., |id, stack| is_old(stack) && !active.contains(&**id));
        let gone: Vec<Box<str>> = gone.map(|(id, _)| id).collect();
        self.changed.extend(gone.iter().cloned());
        gone
    }

    /// Each type of run of each stack, and its last run.
    pub(super) fn last_runs(&self) -> impl Iterator<Item = (&str, &str, &LastRun)> {
        self.stacks
            .iter()
            .flat_map(|(id, stack)| stack.last.iter().map(move |(run_type, last)| (&**id, &**run_type, last)))
    }

    /// Those that have changed since the last time that this was asked; `None` where one is gone.
    pub(super) fn take_changes(&mut self) -> Vec<(Box<str>, Option<Stack>)> {
        let changed = std::mem::take(&mut self.changed);
        changed
            .into_iter()
            .map(|id| (self.stacks.get(&id).cloned(), id))
            .map(|(stack, id)| (id, stack))
            .collect()
    }
}
