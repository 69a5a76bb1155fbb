//! The scopes of listings, and the instances in no scope.

use std::borrow::Borrow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{InstanceKey, Moment, Profile};

/// How long an instance in no scope stays known after its last activity. No listing shows whether it still exists.
pub const UNLISTED_TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// Maximum number of remembered projects in no scope, each of which is reported once.
const MAX_UNLISTED: usize = 1_000;

/// What one listing covers: a project, or the part of a project in one location. The [`Profile`] of an instance contains
/// its scope.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(Arc<str>);

/// Separates project and location in the name of a scope. Ids of projects do not contain it.
const SEPARATOR: char = '/';

impl Scope {
    /// The scope of a project id.
    pub fn project(id: impl Into<Arc<str>>) -> Self {
        Self(id.into())
    }

    /// The part of a project in one location.
    #[must_use]
    pub fn part(project: &str, location: &str) -> Self {
        Self(format!("{project}{SEPARATOR}{location}").into())
    }

    /// The id of the project, followed by the location if the scope is a part of a project.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }

    /// The id of the project, and the location if the scope is a part of the project.
    #[must_use]
    pub fn project_and_location(&self) -> (&str, Option<&str>) {
        self.0.split_once(SEPARATOR).map_or((&*self.0, None), |(project, location)| (project, Some(location)))
    }

    /// Whether this is the scope of a project or of a part of it.
    #[must_use]
    pub fn is_in(&self, project: &str) -> bool {
        self.project_and_location().0 == project
    }
}

/// A scope hashes and compares like its name.
impl Borrow<str> for Scope {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The parts of a scope that could not be listed. Their instances are not considered gone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unseen {
    zones: BTreeSet<Box<str>>,
    everything: bool,
}

impl Unseen {
    /// Adds a zone, or all zones of a region.
    pub fn add_zone(&mut self, zone_or_region: &str) {
        self.zones.insert(zone_or_region.into());
    }

    /// Adds the whole scope, because the part is unknown.
    pub fn add_everything(&mut self) {
        self.everything = true;
    }

    /// Adds the parts of another page.
    pub fn extend(&mut self, other: Self) {
        self.zones.extend(other.zones);
        self.everything |= other.everything;
    }

    /// Whether the listing was complete.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.zones.is_empty() && !self.everything
    }

    pub(super) fn covers(&self, zone: &str) -> bool {
        self.everything
            || self.zones.iter().any(|unseen| {
                zone.strip_prefix(&**unseen).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
            })
    }
}

/// The scopes, their running listings, and the instances in no scope.
#[derive(Debug, Default)]
pub(super) struct Scopes {
    /// Start of the running listing of each scope.
    listings: HashMap<Scope, Option<Moment>>,
    /// By profile number: whether the profile is in a scope.
    is_listed: Vec<bool>,
    unlisted: Unlisted,
    /// Known projects in no scope.
    unlisted_projects: HashSet<Box<str>>,
    /// Those of them that were not reported yet.
    unreported: Vec<Scope>,
}

/// Instances in no scope.
#[derive(Debug, Default)]
struct Unlisted {
    last_activity: HashMap<InstanceKey, Instant>,
    by_last_activity: BTreeSet<(Instant, InstanceKey)>,
    /// Instances with activity since the last call of [`record_activity`](Scopes::record_activity).
    active: Vec<InstanceKey>,
}

impl Scopes {
    pub(super) fn new(scopes: impl IntoIterator<Item = Scope>) -> Self {
        let listings = scopes.into_iter().map(|scope| (scope, None)).collect();
        Self { listings, ..Self::default() }
    }

    /// Replaces the scopes. Running listings of remaining scopes continue.
    pub(super) fn set(&mut self, scopes: impl IntoIterator<Item = Scope>, profiles: &[Profile]) {
        let mut before = std::mem::take(&mut self.listings);
        let kept = scopes.into_iter().map(|scope| {
            let listing = before.remove(&scope).flatten();
            (scope, listing)
        });
        self.listings = kept.collect();
        self.is_listed.clear();
        self.add_profiles(profiles);
    }

    /// Adds new profiles.
    pub(super) fn add_profiles(&mut self, profiles: &[Profile]) {
        for profile in &profiles[self.is_listed.len().min(profiles.len())..] {
            let part = Scope::part(&profile.project, &profile.location);
            self.is_listed.push(self.contains(&profile.project) || self.contains(part.name()));
        }
    }

    pub(super) fn contains(&self, scope: &str) -> bool {
        self.listings.contains_key(scope)
    }

    /// Whether a project or a part of it is listed.
    fn contains_some_of(&self, project: &str) -> bool {
        self.contains(project) || self.listings.keys().any(|scope| scope.is_in(project))
    }

    /// Whether a listing covers instances of a profile. With more than one scope, the project must be known.
    pub(super) fn is_listed(&self, profile: usize, is_project_known: bool) -> bool {
        self.is_listed.get(profile).copied().unwrap_or_default()
            && (is_project_known || self.listings.len() == 1)
    }

    /// Starts the listing of a scope. Returns whether the scope exists.
    pub(super) fn begin_listing(&mut self, scope: &Scope, now: Moment) -> bool {
        self.listings.get_mut(scope).is_some_and(|listing| {
            *listing = Some(now);
            true
        })
    }

    /// Ends the listing of a scope. Returns whether one was running.
    pub(super) fn end_listing(&mut self, scope: &Scope) -> bool {
        self.listings.get_mut(scope).and_then(Option::take).is_some()
    }

    /// When the listing of a scope started.
    pub(super) fn listing_started(&self, scope: &Scope) -> Option<Moment> {
        self.listings.get(scope).copied().flatten()
    }

    /// Notes a project. If it is in no scope, it is reported once.
    pub(super) fn note_project(&mut self, project: &str) {
        if self.unlisted_projects.len() < MAX_UNLISTED
            && !self.unlisted_projects.contains(project)
            && !self.contains_some_of(project)
        {
            self.unlisted_projects.insert(project.into());
            self.unreported.push(Scope::project(project));
        }
    }

    pub(super) fn take_unlisted(&mut self) -> Vec<Scope> {
        std::mem::take(&mut self.unreported)
    }

    /// Notes activity of an instance in no scope.
    pub(super) fn note_unlisted_activity(&mut self, key: InstanceKey) {
        self.unlisted.active.push(key);
    }

    /// Sets the time of the noted activity to `now`. `describe` returns the profile number of an instance and whether
    /// its project is known, or `None` if the instance was removed.
    pub(super) fn record_activity(
        &mut self,
        now: Instant,
        describe: impl Fn(InstanceKey) -> Option<(usize, bool)>,
    ) {
        for key in std::mem::take(&mut self.unlisted.active) {
            self.forget(key);
            let Some((profile, is_project_known)) = describe(key) else { continue };
            if !self.is_listed(profile, is_project_known) {
                self.unlisted.last_activity.insert(key, now);
                self.unlisted.by_last_activity.insert((now, key));
            }
        }
    }

    /// Whether an instance was in no scope at the last call of [`record_activity`](Self::record_activity).
    pub(super) fn is_unlisted(&self, key: InstanceKey) -> bool {
        self.unlisted.last_activity.contains_key(&key)
    }

    /// Returns the next instance in no scope whose time has expired.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<InstanceKey> {
        let &(last, key) = self.unlisted.by_last_activity.first()?;
        (now.saturating_duration_since(last) >= UNLISTED_TTL).then(|| {
            self.forget(key);
            key
        })
    }

    /// When the next instance in no scope expires.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.unlisted.by_last_activity.first().map(|(last, _)| *last + UNLISTED_TTL)
    }

    /// Removes an instance that is gone or in a scope now.
    pub(super) fn forget(&mut self, key: InstanceKey) {
        if let Some(last) = self.unlisted.last_activity.remove(&key) {
            self.unlisted.by_last_activity.remove(&(last, key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn covers_a_zone_or_all_zones_of_a_region() {
        let mut unseen = Unseen::default();
        assert!(unseen.is_empty() && !unseen.covers("europe-west1-b"));
        unseen.add_zone("europe-west1-b");
        unseen.add_zone("us-central1");
        for (zone, is_unseen) in [
            ("europe-west1-b", true),
            ("europe-west1-c", false),
            ("europe-west1", false),
            ("us-central1-a", true),
            ("us-central11-a", false),
            ("", false),
        ] {
            assert_eq!(unseen.covers(zone), is_unseen, "{zone}");
        }
        unseen.add_everything();
        assert!(unseen.covers("asia-east1-a"));
    }
}
