//! Which instances are wanted to be looked up, and what the answers do.

use std::time::Instant;

use super::waiting::CaseId;
use super::{Attribution, Lookup, Why};
use crate::instance::Instance;

/// Tells which look-up has found an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LookupId(CaseId);

impl<T> Attribution<T> {
    /// The next instance to look up, if one is wanted now. Each is asked for once; whether to try again after an
    /// error, until its deadline, is the caller's affair.
    ///
    /// Before each scope was listed once there is no hurry, for it is likely to answer most questions at once.
    pub fn poll_lookup(&mut self, now: Instant) -> Option<Lookup> {
        loop {
            let (case, deadline) = self.waiting.next_lookup(now, self.is_seeded)?;
            let Some(instance) = self.waiting.instance(case) else { continue };
            // What has neither name nor id, or no zone, cannot be asked for, and was not queued.
            let name = instance.name.map(String::from).or(instance.id.map(|id| id.to_string()));
            let (Some(zone), Some(name)) = (instance.zone, name) else { continue };
            return Some(Lookup {
                id: LookupId(case),
                project: instance.project.as_deref().unwrap_or(&self.settings.project).to_owned(),
                zone: zone.into(),
                instance: name,
                deadline,
            });
        }
    }

    /// Whether a look-up is still wanted: the answer may have come in another way.
    #[must_use]
    pub fn wants(&self, lookup: LookupId) -> bool {
        self.waiting.is_open(lookup.0)
    }

    /// Whether [`poll_lookup`](Self::poll_lookup) may have something to say.
    #[must_use]
    pub fn has_lookups(&self, now: Instant) -> bool {
        self.waiting.next_lookup_by().is_some_and(|by| self.is_seeded || by <= now)
    }

    /// Notes that there is no instance of that name. Its creation event may still be on its way, so the grace goes on.
    pub fn not_found(&mut self, lookup: LookupId) {
        self.waiting.note_missing(lookup.0);
    }

    /// Takes an instance that was looked up and found, running or not. One that cannot be asked for is not reported:
    /// the grace goes on.
    pub fn found(&mut self, lookup: LookupId, found: &Instance<'_>, now: Instant) {
        self.tick(now);
        self.inventory.observe(found);
        self.settle_waiting(&found.instance, now);

        // An instance that belongs to no cluster will not come to belong to one. But the name that was asked for
        // may meanwhile be another instance's.
        let ids = (found.instance.id, self.waiting.instance(lookup.0).and_then(|asked| asked.id));
        let is_the_same = !matches!(ids, (Some(found), Some(asked)) if found != asked);
        if found.cluster.is_none() && is_the_same {
            for held in self.waiting.close(lookup.0).map(|(_, messages)| messages).unwrap_or_default() {
                let outcome = self.outcome_without_cluster(&held.message, Why::NotKubernetes, now);
                self.finish(held, outcome);
            }
        }
    }
}
