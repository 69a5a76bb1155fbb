//! Which part of the world a listing covers, and what becomes of instances in no such part.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Key, Moment, Profile};

/// How long an instance in no scope is kept after the last sign of it: no listing tells whether it still exists.
pub const UNLISTED_TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// Names of projects in no scope that are remembered, so that each is reported once.
const MOST_UNLISTED: usize = 1_000;

/// What one listing covers: a project. An instance is in the scope that its [`Profile`] says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(Arc<str>);

impl Scope {
    /// The project of that id.
    pub fn project(id: impl Into<Arc<str>>) -> Self {
        Self(id.into())
    }

    /// The id of the project.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The parts of a scope that a listing could not see. What is in them is not taken for gone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unseen {
    zones: BTreeSet<Box<str>>,
    everything: bool,
}

impl Unseen {
    /// A zone, or all zones of a region.
    pub fn add_zone(&mut self, zone_or_region: &str) {
        self.zones.insert(zone_or_region.into());
    }

    /// Nobody knows which part.
    pub fn add_everything(&mut self) {
        self.everything = true;
    }

    /// Adds the parts that another page of the listing could not see.
    pub fn extend(&mut self, other: Self) {
        self.zones.extend(other.zones);
        self.everything |= other.everything;
    }

    /// Whether the listing has seen all there is.
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

/// The scopes, with the resyncs that run and the instances that are in none.
#[derive(Debug, Default)]
pub(super) struct Scopes {
    /// When the resync of each scope that runs began.
    resyncs: HashMap<Scope, Option<Moment>>,
    /// By the number of a profile: whether it is in a scope.
    is_listed: Vec<bool>,
    unlisted: Unlisted,
    /// Projects in no scope that were met.
    projects_met: HashSet<Box<str>>,
    /// Those of them that were not reported yet.
    news: Vec<Scope>,
}

/// Instances in no scope.
#[derive(Debug, Default)]
struct Unlisted {
    last_signs: HashMap<Key, Instant>,
    by_last_sign: BTreeSet<(Instant, Key)>,
    /// Of these there was a sign since the time was last told.
    signs: Vec<Key>,
}

impl Scopes {
    pub(super) fn one(project: &str) -> Self {
        let resyncs = HashMap::from([(Scope::project(project), None)]);
        Self { resyncs, ..Self::default() }
    }

    /// Replaces the scopes. The resyncs of those that stay go on.
    pub(super) fn set(&mut self, scopes: impl IntoIterator<Item = Scope>, profiles: &[Profile]) {
        let mut before = std::mem::take(&mut self.resyncs);
        let kept = scopes.into_iter().map(|scope| {
            let resync = before.remove(&scope).flatten();
            (scope, resync)
        });
        self.resyncs = kept.collect();
        self.is_listed.clear();
        self.add_profiles(profiles);
    }

    /// Takes note of new profiles.
    pub(super) fn add_profiles(&mut self, profiles: &[Profile]) {
        for profile in &profiles[self.is_listed.len().min(profiles.len())..] {
            self.is_listed.push(self.contains(&profile.project));
        }
    }

    pub(super) fn contains(&self, project: &str) -> bool {
        // A map of scopes can be asked only by a scope; there are few, and fewer new profiles.
        self.resyncs.keys().any(|scope| scope.name() == project)
    }

    /// Whether a listing tells of instances of a profile. With more than one scope, it takes to know the project.
    pub(super) fn is_listed(&self, profile: usize, is_project_known: bool) -> bool {
        self.is_listed.get(profile).copied().unwrap_or_default()
            && (is_project_known || self.resyncs.len() == 1)
    }

    /// The resync of a scope begins. Says whether there is such a scope.
    pub(super) fn begin(&mut self, scope: &Scope, now: Moment) -> bool {
        self.resyncs.get_mut(scope).is_some_and(|resync| {
            *resync = Some(now);
            true
        })
    }

    /// The resync of a scope ends. Says whether one had begun.
    pub(super) fn end(&mut self, scope: &Scope) -> bool {
        self.resyncs.get_mut(scope).and_then(Option::take).is_some()
    }

    /// When the resync of a scope began.
    pub(super) fn begun(&self, scope: &Scope) -> Option<Moment> {
        self.resyncs.get(scope).copied().flatten()
    }

    /// Remembers a project in no scope, to be reported once.
    pub(super) fn meet(&mut self, project: &str) {
        if self.projects_met.len() < MOST_UNLISTED
            && !self.projects_met.contains(project)
            && !self.contains(project)
        {
            self.projects_met.insert(project.into());
            self.news.push(Scope::project(project));
        }
    }

    pub(super) fn take_news(&mut self) -> Vec<Scope> {
        std::mem::take(&mut self.news)
    }

    /// There is a sign of an instance in no scope.
    pub(super) fn sign_of_unlisted(&mut self, key: Key) {
        self.unlisted.signs.push(key);
    }

    /// Stamps the signs since it was last told the time with that time. `describe` gives the number of an instance's
    /// profile and whether its project is known, while the instance is there.
    pub(super) fn stamp(&mut self, now: Instant, describe: impl Fn(Key) -> Option<(usize, bool)>) {
        for key in std::mem::take(&mut self.unlisted.signs) {
            self.forget(key);
            let Some((profile, is_project_known)) = describe(key) else { continue };
            if !self.is_listed(profile, is_project_known) {
                self.unlisted.last_signs.insert(key, now);
                self.unlisted.by_last_sign.insert((now, key));
            }
        }
    }

    /// Whether an instance was in no scope when the time was last told.
    pub(super) fn is_unlisted(&self, key: Key) -> bool {
        self.unlisted.last_signs.contains_key(&key)
    }

    /// The next instance in no scope of which there was no sign for long.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Key> {
        let &(sign, key) = self.unlisted.by_last_sign.first()?;
        (now.saturating_duration_since(sign) >= UNLISTED_TTL).then(|| {
            self.forget(key);
            key
        })
    }

    /// When [`pop_due`](Self::pop_due) has something to tell.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.unlisted.by_last_sign.first().map(|(sign, _)| *sign + UNLISTED_TTL)
    }

    /// An instance is gone, or in a scope now.
    pub(super) fn forget(&mut self, key: Key) {
        if let Some(sign) = self.unlisted.last_signs.remove(&key) {
            self.unlisted.by_last_sign.remove(&(sign, key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_or_its_region_is_unseen() {
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
