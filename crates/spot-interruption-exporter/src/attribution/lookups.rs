//! Which instances to look up, and the effect of the results.

use std::time::Instant;

use super::held::GroupId;
use super::{Attribution, Lookup, UnattributedCause};
use crate::instance::Instance;

/// Identifies a lookup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LookupId(GroupId);

impl<T> Attribution<T> {
    /// Returns the next instance to look up, if one is due. Each instance is returned once. The caller decides whether
    /// to retry after an error, until the deadline.
    ///
    /// Before the initial listing is complete, a lookup waits until half of the grace is over, because the listing is
    /// likely to contain the instance.
    pub fn poll_lookup(&mut self, now: Instant) -> Option<Lookup> {
        loop {
            let (group, deadline) = self.held.next_lookup(now, self.is_initial_listing_done)?;
            let Some(instance) = self.held.instance(group) else { continue };
            // An instance without a zone, or without name and id, cannot be looked up. It was not queued.
            let name = instance.name.map(String::from).or(instance.id.map(|id| id.to_string()));
            let (Some(zone), Some(name)) = (instance.zone, name) else { continue };
            return Some(Lookup {
                id: LookupId(group),
                project: instance.project.as_deref().unwrap_or(&self.settings.project).to_owned(),
                zone: zone.into(),
                instance: name,
                deadline,
            });
        }
    }

    /// Whether the result of a lookup is still needed: the instance may have become known in another way.
    #[must_use]
    pub fn is_wanted(&self, lookup: LookupId) -> bool {
        self.held.is_open(lookup.0)
    }

    /// Whether [`poll_lookup`](Self::poll_lookup) may return a lookup.
    #[must_use]
    pub fn has_lookups(&self, now: Instant) -> bool {
        self.held.next_lookup_deadline().is_some_and(|by| self.is_initial_listing_done || by <= now)
    }

    /// Notes that a looked-up instance does not exist. Its creation event may still arrive, so the message stays held.
    pub fn not_found(&mut self, lookup: LookupId) {
        self.held.note_not_found(lookup.0);
    }

    /// Adds an instance that was looked up, running or not.
    pub fn found(&mut self, lookup: LookupId, found: &Instance<'_>, now: Instant) {
        self.tick(now);
        self.inventory.observe(found);
        self.resolve_held(&found.instance, now);

        // An instance outside any cluster does not join one later. But the requested name may now belong to another
        // instance.
        let ids = (found.instance.id, self.held.instance(lookup.0).and_then(|requested| requested.id));
        let is_the_same = !matches!(ids, (Some(found), Some(requested)) if found != requested);
        if found.cluster.is_none() && is_the_same {
            for held in self.held.close(lookup.0).map(|(_, messages)| messages).unwrap_or_default() {
                let outcome =
                    self.outcome_without_cluster(&held.message, UnattributedCause::NotKubernetes, now);
                self.finish(held, outcome);
            }
        }
    }
}
