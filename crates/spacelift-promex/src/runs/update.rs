//! What a delivery says about a run.

/// A moment in microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Seconds from `earlier` to this; 0 if this is before it, as clocks of different machines can have it.
    #[must_use]
    pub fn seconds_since(self, earlier: Self) -> f64 {
        // Exact for every duration below 285 years.
        self.0.saturating_sub(earlier.0) as f64 / 1e6
    }

    /// Seconds since 1970.
    #[must_use]
    pub fn seconds(self) -> f64 {
        self.seconds_since(Self(0))
    }
}

/// The worker pool that a delivery names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkerPool {
    /// Spacelift's own.
    Public,
    /// A private one, by its name.
    Private(String),
}

/// How many resources a run has changed, or would change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ResourceChanges {
    /// Resources that are new.
    pub added: u64,
    /// Resources that are changed in place.
    pub changed: u64,
    /// Resources that are gone.
    pub deleted: u64,
    /// Resources that are deleted and created anew. Only the policy payload tells them apart.
    pub replaced: Option<u64>,
}

/// The outcome of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyReceipt {
    /// The type of the policy, such as `PLAN`.
    pub policy_type: String,
    /// What it decided, such as `allow`.
    pub outcome: String,
}

/// Time spent in one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    /// The state.
    pub state: String,
    /// Nanoseconds.
    pub nanoseconds: u64,
}

/// A run has entered a state. Where a field is `None`, the delivery does not say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunUpdate {
    /// The run's id, a ULID.
    pub run: String,
    /// The id of its stack.
    pub stack: String,
    /// The state, in upper case.
    pub state: String,
    /// Orders the states of a run, from 0.
    pub version: Option<u64>,
    /// When the run entered the state.
    pub at: Option<Timestamp>,
    /// When the run was created.
    pub created: Option<Timestamp>,
    /// The type of the run, in upper case.
    pub run_type: Option<String>,
    /// Whether the run looks for drift.
    pub drift_detection: Option<bool>,
    /// The worker pool; `None` is the public one, or not known.
    pub worker_pool: Option<WorkerPool>,
    /// The id of the stack's space. Only the policy payload has it.
    pub space: Option<String>,
    /// What the run changes.
    pub changes: Option<ResourceChanges>,
    /// Time in each state. Only the policy payload has it.
    pub timing: Vec<Timing>,
    /// What policies said. Only the policy payload has it.
    pub policies: Vec<PolicyReceipt>,
}

impl RunUpdate {
    /// Whether it has what only the policy payload has.
    pub(super) fn is_policy_payload(&self) -> bool {
        !self.policies.is_empty() || self.changes.is_some_and(|changes| changes.replaced.is_some())
    }
}

/// Every state of a run.
pub(super) const STATES: [&str; 21] = [
    "QUEUED",
    "READY",
    "PREPARING",
    "PREPARING_APPLY",
    "PREPARING_REPLAN",
    "INITIALIZING",
    "PLANNING",
    "UNCONFIRMED",
    "CONFIRMED",
    "REPLAN_REQUESTED",
    "PENDING_REVIEW",
    "PENDING",
    "APPLYING",
    "PERFORMING",
    "DESTROYING",
    "CANCELED",
    "FAILED",
    "FINISHED",
    "DISCARDED",
    "STOPPED",
    "SKIPPED",
];

/// Every type of run.
pub(super) const RUN_TYPES: [&str; 6] = ["PROPOSED", "TRACKED", "TASK", "TESTING", "DESTROY", "PARSE"];

/// The label of the public worker pool, and of a run without one.
pub(super) const PUBLIC: &str = "public";

/// States in which a run has ended.
const TERMINAL: [&str; 6] = ["CANCELED", "FAILED", "FINISHED", "DISCARDED", "STOPPED", "SKIPPED"];

/// Whether a run in this state has ended.
#[must_use]
pub(super) fn is_terminal(state: &str) -> bool {
    TERMINAL.contains(&state)
}

/// The state of a run that has done what it was to do.
pub(super) const FINISHED: &str = "FINISHED";
/// The state of a run that could not.
pub(super) const FAILED: &str = "FAILED";

/// When a run was created, by its id: a ULID begins with milliseconds since 1970 in Crockford's base 32.
/// See the [specification](https://github.com/ulid/spec).
#[must_use]
pub(super) fn created_by_id(id: &str) -> Option<Timestamp> {
    const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let id = id.as_bytes();
    let digit = |byte: &u8| ALPHABET.iter().position(|digit| *digit == byte.to_ascii_uppercase());
    if id.len() != 26 || id[0] > b'7' || !id.iter().all(|byte| digit(byte).is_some()) {
        return None;
    }
    let milliseconds = id[..10].iter().filter_map(digit).fold(0, |sum, digit| sum * 32 + digit as u64);
    Some(Timestamp(milliseconds * 1_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ulid_begins_with_its_time() {
        let id = "01EF9PFPNFFM2MQXTJKHK1B869";
        assert_eq!(created_by_id(id), Some(Timestamp(1_596_979_665_583_000)));
        for id in ["", "run", "81EF9PFPNFFM2MQXTJKHK1B869", "01EF9PFPNFFM2MQXTJKHK1B86U"] {
            assert_eq!(created_by_id(id), None, "{id}");
        }
    }

    #[test]
    fn a_duration_is_never_negative() {
        assert_eq!(Timestamp(3_500_000).seconds_since(Timestamp(1_000_000)), 2.5);
        assert_eq!(Timestamp(1_000_000).seconds_since(Timestamp(3_500_000)), 0.0);
    }
}
