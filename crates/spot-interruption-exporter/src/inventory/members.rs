//! Which instances are in which project, so that a listing of one costs what is in it, and not what is in all.

use std::collections::{BTreeSet, HashMap};

use super::{Key, Profile, ProfileId};

/// The instances of each project.
#[derive(Debug, Default)]
pub(super) struct Members {
    /// The number of each project.
    numbers: HashMap<Box<str>, usize>,
    /// By the number of a profile: the number of its project.
    by_profile: Vec<usize>,
    /// By the number of a project.
    keys: Vec<BTreeSet<Key>>,
}

impl Members {
    /// Takes note of new profiles. What is in them is added afterwards.
    pub(super) fn add_profiles(&mut self, profiles: &[Profile]) {
        for profile in &profiles[self.by_profile.len().min(profiles.len())..] {
            let number = match self.numbers.get(&profile.project) {
                Some(number) => *number,
                None => {
                    self.keys.push(BTreeSet::new());
                    self.numbers.insert(profile.project.clone(), self.keys.len() - 1);
                    self.keys.len() - 1
                }
            };
            self.by_profile.push(number);
        }
    }

    /// There is an instance of a profile.
    pub(super) fn insert(&mut self, profile: ProfileId, key: Key) {
        self.keys[self.by_profile[profile.index()]].insert(key);
    }

    /// There is no such instance any more.
    pub(super) fn remove(&mut self, profile: ProfileId, key: Key) {
        self.keys[self.by_profile[profile.index()]].remove(&key);
    }

    /// An instance turns out to be of another profile.
    pub(super) fn change(&mut self, before: ProfileId, after: ProfileId, key: Key) {
        if self.by_profile[before.index()] != self.by_profile[after.index()] {
            self.remove(before, key);
            self.insert(after, key);
        }
    }

    /// The instances of a project.
    pub(super) fn of(&self, project: &str) -> impl Iterator<Item = Key> {
        self.numbers.get(project).into_iter().flat_map(|number| self.keys[*number].iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(project: &str, pool: &str) -> Profile {
        let text = |text: &str| text.into();
        Profile {
            cluster: text("c"),
            location: text("l"),
            node_pool: text(pool),
            machine_type: text("m"),
            zone: text("z"),
            project: text(project),
        }
    }

    #[test]
    fn instances_are_found_by_project() {
        let mut members = Members::default();
        let profiles = [profile("a", "1"), profile("b", "1"), profile("a", "2")];
        members.add_profiles(&profiles[..1]);
        members.add_profiles(&profiles);
        let [first, other, second] = [0, 1, 2].map(ProfileId::of);
        members.insert(first, 7);
        members.insert(second, 3);
        members.insert(other, 5);
        let of = |members: &Members, project| members.of(project).collect::<Vec<_>>();
        assert_eq!(of(&members, "a"), [3, 7]);
        assert_eq!(of(&members, "b"), [5]);
        assert!(of(&members, "c").is_empty());
        members.change(first, second, 7);
        members.change(second, other, 3);
        members.remove(other, 5);
        assert_eq!(of(&members, "a"), [7]);
        assert_eq!(of(&members, "b"), [3]);
    }
}
