//! What is kept of one instance.

use std::num::NonZeroI64;
use std::sync::Arc;

use super::ProfileId;
use crate::instance::{InstanceId, InstanceRef};

/// One instance, in forty bytes and its name.
#[derive(Debug)]
pub(super) struct Tracked {
    /// Given by the provider; hand-made events do without.
    pub(super) id: Option<InstanceId>,
    /// Empty when only the id is known.
    pub(super) name: Arc<str>,
    /// In microseconds since 1970.
    pub(super) created_at: Option<NonZeroI64>,
    pub(super) profile: ProfileId,
    pub(super) state: State,
    pub(super) sighting: Sighting,
    pub(super) spot: bool,
    /// Whether its source told the project's id. If not, the project is compatible with any.
    pub(super) is_project_known: bool,
}

/// What is known of an instance's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// As far as is known.
    Running,
    /// Terminated, or succeeded by another instance of its name.
    Stopped,
    /// A tombstone.
    Interrupted,
}

/// What the resyncs say about an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sighting {
    /// Seen, or heard of, since the last resync began.
    Recent,
    /// Not yet seen by the resync that runs.
    Outstanding,
    /// Not seen by the last complete one.
    Missed,
    /// Not heard of since it was read from a record, which may be old.
    Recorded,
}

impl Tracked {
    pub(super) fn is_running_spot(&self) -> bool {
        self.spot && self.state == State::Running
    }

    /// What changes and is written down, but for the names.
    pub(super) fn written(&self) -> (Option<NonZeroI64>, ProfileId, State, bool, bool) {
        (self.created_at, self.profile, self.state, self.spot, self.is_project_known)
    }

    pub(super) fn has_same_id(&self, instance: &InstanceRef<'_>) -> bool {
        self.id.is_some() && self.id == instance.id
    }

    /// As far as one can tell: hand-made events have no time.
    pub(super) fn is_newer_than(&self, created_at: Option<NonZeroI64>) -> bool {
        self.created_at.zip(created_at).is_some_and(|(own, other)| own > other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hundred thousand instances have to fit into 40 MiB together with everything else.
    #[test]
    fn an_instance_takes_forty_bytes_and_its_name() {
        assert_eq!(size_of::<Tracked>(), 40);
    }
}
