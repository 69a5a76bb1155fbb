//! Project ids and numbers.

/// A project by id and number.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Project {
    pub(super) id: String,
    pub(super) number: u64,
}

impl Project {
    /// Returns whether a name is the id or the number of this project.
    pub(super) fn is_named(&self, name: &str) -> bool {
        name == self.id || name.parse() == Ok(self.number)
    }
}
