//! Scopes and their listings: which instances are gone.

use super::{InstanceKey, InstanceState, Inventory, ListingStatus, Moment, Scope, Unseen};

impl Inventory {
    /// Replaces the scopes. An instance in no scope is removed [a day](super::UNLISTED_TTL) after its last activity.
    pub fn set_scopes(&mut self, scopes: impl IntoIterator<Item = Scope>) {
        self.scopes.set(scopes, self.profiles.all());
        for (key, tracked) in &mut self.tracked {
            let key = key as InstanceKey;
            let was_unlisted = self.scopes.is_unlisted(key);
            if !self.scopes.is_listed(tracked.profile.index(), tracked.is_project_known) {
                if !was_unlisted {
                    self.scopes.note_unlisted_activity(key);
                }
                self.scopes.note_project(&self.profiles.get(tracked.profile).project);
            } else if was_unlisted {
                // No listing has covered the instance so far.
                self.scopes.forget(key);
                tracked.listing_status = ListingStatus::Seen;
            }
        }
    }

    /// Whether the scope is listed.
    #[must_use]
    pub fn is_scope(&self, scope: &Scope) -> bool {
        self.scopes.contains(scope.name())
    }

    /// Notes that an event is about a project, which may be in no scope.
    pub fn note_project(&mut self, project: &str) {
        self.scopes.note_project(project);
    }

    /// Returns the projects in no scope noted since the last call.
    pub fn take_unlisted(&mut self) -> Vec<Scope> {
        self.scopes.take_unlisted()
    }

    /// Starts a listing of a scope. An unfinished previous listing is discarded.
    pub fn begin_listing(&mut self, scope: &Scope, now: Moment) {
        if !self.scopes.begin_listing(scope, now) {
            return;
        }
        let (project, location) = scope.project_and_location();
        for key in self.members.in_project(project) {
            let tracked = &mut self.tracked[key as usize];
            if tracked.listing_status == ListingStatus::Seen
                && self.scopes.is_listed(tracked.profile.index(), tracked.is_project_known)
                && location.is_none_or(|location| *self.profiles.get(tracked.profile).location == *location)
            {
                tracked.listing_status = ListingStatus::Pending;
            }
        }
    }

    /// Finishes the listing of a scope, except for the parts that could not be listed. Removes the instances of the
    /// scope that neither this listing nor the previous one contained, and returns their number.
    pub fn finish_listing(&mut self, scope: &Scope, unseen: &Unseen) -> usize {
        if !self.scopes.end_listing(scope) {
            return 0;
        }
        let mut gone = Vec::new();
        let mut stale = Vec::new();
        let (project, location) = scope.project_and_location();
        for key in self.members.in_project(project) {
            let tracked = &mut self.tracked[key as usize];
            if !self.scopes.is_listed(tracked.profile.index(), tracked.is_project_known)
                || location.is_some_and(|location| *self.profiles.get(tracked.profile).location != *location)
                || unseen.covers(&self.profiles.get(tracked.profile).zone)
            {
                continue;
            }
            match tracked.listing_status {
                _ if tracked.state == InstanceState::Interrupted => {}
                ListingStatus::Seen => {}
                ListingStatus::Pending => tracked.listing_status = ListingStatus::Missed,
                ListingStatus::Missed => gone.push(key),
                ListingStatus::Restored => {
                    tracked.listing_status = ListingStatus::Missed;
                    stale.push(key);
                }
            }
        }
        for &key in &gone {
            self.remove(key);
        }
        // The instance was deleted while the exporter was not running. An event may still report an interruption, so
        // the instance stays known for one more listing.
        for key in stale {
            self.mark_stopped(key);
        }
        gone.len()
    }

    /// Notes activity of an instance, if it is in no scope.
    pub(super) fn note_activity(&mut self, key: InstanceKey) {
        let tracked = self.at(key);
        if !self.scopes.is_listed(tracked.profile.index(), tracked.is_project_known) {
            self.scopes.note_unlisted_activity(key);
        }
    }
}
