//! What resyncs say: which scopes there are, which instances exist in them, and which do not any more.

use std::collections::HashSet;
use std::time::Instant;

use super::Attribution;
use crate::instance::Instance;
use crate::inventory::{Moment, Scope, Unseen};

impl<T> Attribution<T> {
    /// Replaces the scopes, which are the configured project until then. `are_more_pending` says that others are being
    /// searched for.
    pub fn set_scopes(
        &mut self,
        scopes: impl IntoIterator<Item = Scope>,
        are_more_pending: bool,
        now: Instant,
    ) {
        self.tick(now);
        let scopes: HashSet<Scope> = scopes.into_iter().collect();
        let is_first = !self.is_seeded;
        self.untried.retain(|scope| scopes.contains(scope));
        if is_first {
            self.untried.extend(scopes.iter().filter(|scope| !self.inventory.is_scope(scope)).cloned());
        }
        self.are_scopes_pending = are_more_pending;
        self.inventory.set_scopes(scopes);
        self.inventory.expire(now);
        self.note_seeded();
    }

    /// A resync of a scope begins: every instance that exists in it is about to be [listed](Self::list). One that was
    /// begun before and broke off is forgotten; what it has listed stays.
    pub fn begin_resync(&mut self, scope: &Scope, now: Moment) {
        self.tick(now.instant);
        self.inventory.begin_resync(scope, now);
    }

    /// Takes an instance that the resync of a scope has listed.
    pub fn list(&mut self, scope: &Scope, instance: &Instance<'_>, now: Instant) {
        self.tick(now);
        self.inventory.list(scope, instance);
        self.settle_waiting(&instance.instance, now);
    }

    /// The resync of a scope is complete, but for what could not be seen. Says how many instances were dropped because
    /// neither it nor the one before it has listed them.
    pub fn finish_resync(&mut self, scope: &Scope, unseen: &Unseen, now: Instant) -> usize {
        self.tick(now);
        self.untried.remove(scope);
        self.note_seeded();
        self.inventory.finish_resync(scope, unseen)
    }

    /// The resync of a scope has failed.
    pub fn fail_resync(&mut self, scope: &Scope) {
        self.untried.remove(scope);
        self.note_seeded();
    }

    fn note_seeded(&mut self) {
        self.is_seeded |= self.untried.is_empty() && !self.are_scopes_pending;
    }

    /// The projects in no scope that events are about and that were not reported before.
    pub fn take_unlisted(&mut self) -> Vec<Scope> {
        self.inventory.take_unlisted()
    }
}
