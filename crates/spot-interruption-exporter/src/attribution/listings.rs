//! Listings: which scopes exist, which instances they contain, and which instances are gone.

use std::collections::HashSet;
use std::time::Instant;

use super::Attribution;
use crate::instance::Instance;
use crate::inventory::{Moment, Scope, Unseen};

impl<T> Attribution<T> {
    /// Replaces the scopes, except the fixed ones. Initially the other scope is the configured project.
    /// `are_more_pending` is true while a search for further scopes is running.
    pub fn set_scopes(
        &mut self,
        scopes: impl IntoIterator<Item = Scope>,
        are_more_pending: bool,
        now: Instant,
    ) {
        self.tick(now);
        let fixed = self.settings.fixed_scopes.iter().cloned();
        let scopes: HashSet<Scope> = scopes.into_iter().chain(fixed).collect();
        let is_first = !self.is_initial_listing_done;
        self.not_yet_tried.retain(|scope| scopes.contains(scope));
        if is_first {
            self.not_yet_tried.extend(scopes.iter().filter(|scope| !self.inventory.is_scope(scope)).cloned());
        }
        self.is_discovery_pending = are_more_pending;
        self.inventory.set_scopes(scopes);
        self.inventory.expire(now);
        self.update_initial_listing();
    }

    /// Starts a listing of a scope. Every instance of the scope is then passed to [`list`](Self::list). An unfinished
    /// previous listing is discarded; the instances that it listed stay known.
    pub fn begin_listing(&mut self, scope: &Scope, now: Moment) {
        self.tick(now.instant);
        self.inventory.begin_listing(scope, now);
    }

    /// Adds an instance from the listing of a scope.
    pub fn list(&mut self, scope: &Scope, instance: &Instance<'_>, now: Instant) {
        self.tick(now);
        self.inventory.list(scope, instance);
        self.resolve_held(&instance.instance, now);
    }

    /// Finishes the listing of a scope, except for the parts that could not be listed. Returns the number of instances
    /// that were removed because neither this listing nor the previous one contained them.
    pub fn finish_listing(&mut self, scope: &Scope, unseen: &Unseen, now: Instant) -> usize {
        self.tick(now);
        self.not_yet_tried.remove(scope);
        self.update_initial_listing();
        self.inventory.finish_listing(scope, unseen)
    }

    /// Notes that the listing of a scope has failed.
    pub fn fail_listing(&mut self, scope: &Scope) {
        self.not_yet_tried.remove(scope);
        self.update_initial_listing();
    }

    fn update_initial_listing(&mut self) {
        self.is_initial_listing_done |= self.not_yet_tried.is_empty() && !self.is_discovery_pending;
    }

    /// Returns new projects that events name and that are in no scope.
    pub fn take_unlisted(&mut self) -> Vec<Scope> {
        self.inventory.take_unlisted()
    }
}
