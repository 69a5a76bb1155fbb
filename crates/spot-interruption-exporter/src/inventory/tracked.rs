//! Data of one instance.

use std::num::NonZeroI64;
use std::sync::Arc;

use super::ProfileId;
use crate::instance::{InstanceId, InstanceRef};

/// One instance: forty bytes, plus its name.
#[derive(Debug)]
pub(super) struct Tracked {
    /// The provider's id. Hand-made events have none.
    pub(super) id: Option<InstanceId>,
    /// Empty when only the id is known.
    pub(super) name: Arc<str>,
    /// Microseconds since 1970.
    pub(super) created_at: Option<NonZeroI64>,
    pub(super) profile: ProfileId,
    pub(super) state: InstanceState,
    pub(super) listing_status: ListingStatus,
    pub(super) spot: bool,
    /// Whether the project's id is from the source. If not, the instance matches every project.
    pub(super) is_project_known: bool,
}

/// State of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstanceState {
    /// Running, as far as is known.
    Running,
    /// Terminated, or superseded by another instance with its name.
    Stopped,
    /// Interrupted: a tombstone.
    Interrupted,
}

/// Whether listings contain an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ListingStatus {
    /// Listed, or reported by an event, since the last listing started.
    Seen,
    /// Not contained in the running listing so far.
    Pending,
    /// Not contained in the last complete listing.
    Missed,
    /// Restored from the durable state, which may be old, and not seen since.
    Restored,
}

impl Tracked {
    pub(super) fn is_running_spot(&self) -> bool {
        self.spot && self.state == InstanceState::Running
    }

    /// The stored fields that can change, except the name.
    pub(super) fn written(&self) -> (Option<NonZeroI64>, ProfileId, InstanceState, bool, bool) {
        (self.created_at, self.profile, self.state, self.spot, self.is_project_known)
    }

    pub(super) fn has_same_id(&self, instance: &InstanceRef<'_>) -> bool {
        self.id.is_some() && self.id == instance.id
    }

    /// Whether this instance is newer. `false` if a creation time is unknown, as for hand-made events.
    pub(super) fn is_newer_than(&self, created_at: Option<NonZeroI64>) -> bool {
        self.created_at.zip(created_at).is_some_and(|(own, other)| own > other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 100,000 instances must fit into 40 MiB, everything else included.
    #[test]
    fn instance_takes_forty_bytes_plus_its_name() {
        assert_eq!(size_of::<Tracked>(), 40);
    }
}
