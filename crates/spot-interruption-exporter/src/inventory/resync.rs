//! Scopes and their resyncs: who is gone.

use super::{Inventory, Key, Moment, Scope, Sighting, State, Unseen};

impl Inventory {
    /// Replaces the scopes. An instance in none of them is dropped [some time](super::UNLISTED_TTL) after the last sign of it.
    pub fn set_scopes(&mut self, scopes: impl IntoIterator<Item = Scope>) {
        self.scopes.set(scopes, self.profiles.all());
        for (key, tracked) in &mut self.tracked {
            let key = key as Key;
            let was_unlisted = self.scopes.is_unlisted(key);
            if !self.scopes.is_listed(tracked.profile.index(), tracked.is_project_known) {
                if !was_unlisted {
                    self.scopes.sign_of_unlisted(key);
                }
                self.scopes.meet(&self.profiles.get(tracked.profile).project);
            } else if was_unlisted {
                // No listing was asked for it so far.
                self.scopes.forget(key);
                tracked.sighting = Sighting::Recent;
            }
        }
    }

    /// Whether there is such a scope.
    #[must_use]
    pub fn is_scope(&self, scope: &Scope) -> bool {
        self.scopes.contains(scope.name())
    }

    /// Takes note that an event is about a project, which may be in no scope.
    pub fn meet(&mut self, project: &str) {
        self.scopes.meet(project);
    }

    /// The projects in no scope that were met since this was last asked.
    pub fn take_unlisted(&mut self) -> Vec<Scope> {
        self.scopes.take_news()
    }

    /// A resync of a scope begins: what exists in it is about to be [listed](Self::list). One that was begun before and
    /// not finished is void.
    pub fn begin_resync(&mut self, scope: &Scope, now: Moment) {
        if !self.scopes.begin(scope, now) {
            return;
        }
        for key in self.members.of(scope.name()) {
            let tracked = &mut self.tracked[key as usize];
            if tracked.sighting == Sighting::Recent
                && self.scopes.is_listed(tracked.profile.index(), tracked.is_project_known)
            {
                tracked.sighting = Sighting::Outstanding;
            }
        }
    }

    /// Everything in a scope has been observed, except for what could not be seen. Drops the instances of the scope that
    /// neither this resync nor the one before it met, and says how many those were.
    pub fn finish_resync(&mut self, scope: &Scope, unseen: &Unseen) -> usize {
        if !self.scopes.end(scope) {
            return 0;
        }
        let mut gone = Vec::new();
        let mut stale = Vec::new();
        for key in self.members.of(scope.name()) {
            let tracked = &mut self.tracked[key as usize];
            if !self.scopes.is_listed(tracked.profile.index(), tracked.is_project_known)
                || unseen.covers(&self.profiles.get(tracked.profile).zone)
            {
                continue;
            }
            match tracked.sighting {
                _ if tracked.state == State::Interrupted => {}
                Sighting::Recent => {}
                Sighting::Outstanding => tracked.sighting = Sighting::Missed,
                Sighting::Missed => gone.push(key),
                Sighting::Recorded => {
                    tracked.sighting = Sighting::Missed;
                    stale.push(key);
                }
            }
        }
        for &key in &gone {
            self.remove(key);
        }
        // It went while nobody looked. Why, an event may yet tell, which finds it for one resync more.
        for key in stale {
            self.stop(key);
        }
        gone.len()
    }

    /// An instance in no scope shows that it exists.
    pub(super) fn note_sign(&mut self, key: Key) {
        let tracked = self.at(key);
        if !self.scopes.is_listed(tracked.profile.index(), tracked.is_project_known) {
            self.scopes.sign_of_unlisted(key);
        }
    }
}
