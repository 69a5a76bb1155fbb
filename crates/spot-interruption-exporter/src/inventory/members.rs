//! The instances of each project, so that the cost of a listing depends only on the instances of its project.

use std::collections::{BTreeSet, HashMap};

use super::{InstanceKey, Profile, ProfileId};

/// The instances of each project.
#[derive(Debug, Default)]
pub(super) struct Members {
    /// Project name to project number.
    numbers: HashMap<Box<str>, usize>,
    /// Project number of each profile.
    by_profile: Vec<usize>,
    /// Instances of each project number.
    keys: Vec<BTreeSet<InstanceKey>>,
}

impl Members {
    /// Adds new profiles. Their instances are added afterwards.
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

    /// Adds an instance.
    pub(super) fn insert(&mut self, profile: ProfileId, key: InstanceKey) {
        self.keys[self.by_profile[profile.index()]].insert(key);
    }

    /// Removes an instance.
    pub(super) fn remove(&mut self, profile: ProfileId, key: InstanceKey) {
        self.keys[self.by_profile[profile.index()]].remove(&key);
    }

    /// Moves an instance to another profile.
    pub(super) fn change(&mut self, before: ProfileId, after: ProfileId, key: InstanceKey) {
        if self.by_profile[before.index()] != self.by_profile[after.index()] {
            self.remove(before, key);
            self.insert(after, key);
        }
    }

    /// The instances of a project, whatever their location.
    pub(super) fn in_project(&self, project: &str) -> impl Iterator<Item = InstanceKey> {
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
    fn finds_instances_by_project() {
        let mut members = Members::default();
        let profiles = [profile("a", "1"), profile("b", "1"), profile("a", "2")];
        members.add_profiles(&profiles[..1]);
        members.add_profiles(&profiles);
        let [first, other, second] = [0, 1, 2].map(ProfileId::of);
        members.insert(first, 7);
        members.insert(second, 3);
        members.insert(other, 5);
        let in_project = |members: &Members, project| members.in_project(project).collect::<Vec<_>>();
        assert_eq!(in_project(&members, "a"), [3, 7]);
        assert_eq!(in_project(&members, "b"), [5]);
        assert!(in_project(&members, "c").is_empty());
        members.change(first, second, 7);
        members.change(second, other, 3);
        members.remove(other, 5);
        assert_eq!(in_project(&members, "a"), [7]);
        assert_eq!(in_project(&members, "b"), [3]);
    }
}
