//! A delivery about a run, as parsed from its payload.

/// A time in microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Returns the seconds since `earlier`, or 0 if `earlier` is later: the clocks of two machines may differ.
    #[must_use]
    pub fn seconds_since(self, earlier: Self) -> f64 {
        // An `f64` is exact for durations below 285 years.
        self.0.saturating_sub(earlier.0) as f64 / 1e6
    }

    /// Returns the seconds since 1970.
    #[must_use]
    pub fn seconds(self) -> f64 {
        self.seconds_since(Self(0))
    }
}

/// The worker pool of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkerPool {
    /// The public pool, run by Spacelift.
    Public,
    /// A private pool, by name.
    Private(String),
}

/// Numbers of resources that a run changed, or would change if it only planned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ResourceChanges {
    /// Created resources.
    pub added: u64,
    /// Resources changed in place.
    pub changed: u64,
    /// Deleted resources.
    pub deleted: u64,
    /// Resources that were deleted and created again. `None` in the default payload, which does not report them separately.
    pub replaced: Option<u64>,
}

/// The outcome of a policy evaluation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyReceipt {
    /// The type of the policy, such as `PLAN`.
    pub policy_type: String,
    /// The decision, such as `allow`.
    pub outcome: String,
}

/// Time that a run spent in one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    /// The state.
    pub state: String,
    /// The time in nanoseconds.
    pub nanoseconds: u64,
}

/// A delivery: a run entered a state. A field is `None` if the payload lacks it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunUpdate {
    /// The run's id, a ULID.
    pub run: String,
    /// The id of its stack.
    pub stack: String,
    /// The state, in upper case.
    pub state: String,
    /// The number of the state change within the run, from 0.
    pub version: Option<u64>,
    /// When the run entered the state.
    pub at: Option<Timestamp>,
    /// When the run was created.
    pub created: Option<Timestamp>,
    /// The type of the run, in upper case.
    pub run_type: Option<String>,
    /// Whether the run detects drift.
    pub drift_detection: Option<bool>,
    /// The worker pool; `None` if it is public or unknown.
    pub worker_pool: Option<WorkerPool>,
    /// The id of the stack's space; only in the policy payload.
    pub space: Option<String>,
    /// The resource changes.
    pub changes: Option<ResourceChanges>,
    /// The time in each state; only in the policy payload.
    pub timing: Vec<Timing>,
    /// The outcomes of policies; only in the policy payload.
    pub policies: Vec<PolicyReceipt>,
}

impl RunUpdate {
    /// Returns whether the delivery has fields that only the policy payload has.
    pub(super) fn is_policy_payload(&self) -> bool {
        !self.policies.is_empty() || self.changes.is_some_and(|changes| changes.replaced.is_some())
    }
}

/// All states of runs.
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

/// All run types.
pub(super) const RUN_TYPES: [&str; 6] = ["PROPOSED", "TRACKED", "TASK", "TESTING", "DESTROY", "PARSE"];

/// The label of the public worker pool, also used for runs whose pool is unknown.
pub(super) const PUBLIC: &str = "public";

/// The final states of runs.
const TERMINAL: [&str; 6] = ["CANCELED", "FAILED", "FINISHED", "DISCARDED", "STOPPED", "SKIPPED"];

/// Returns whether a state is final.
#[must_use]
pub(super) fn is_terminal(state: &str) -> bool {
    TERMINAL.contains(&state)
}

/// The final state of a successful run.
pub(super) const FINISHED: &str = "FINISHED";
/// The final state of a failed run.
pub(super) const FAILED: &str = "FAILED";

/// Returns the creation time that a run's id contains, or `None` if the id is not a ULID. A
/// [ULID](https://github.com/ulid/spec) starts with the milliseconds since 1970 in Crockford's base 32.
#[must_use]
pub(super) fn creation_time_of_id(id: &str) -> Option<Timestamp> {
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
    fn reads_the_creation_time_of_a_ulid() {
        let id = "01EF9PFPNFFM2MQXTJKHK1B869";
        assert_eq!(creation_time_of_id(id), Some(Timestamp(1_596_979_665_583_000)));
        for id in ["", "run", "81EF9PFPNFFM2MQXTJKHK1B869", "01EF9PFPNFFM2MQXTJKHK1B86U"] {
            assert_eq!(creation_time_of_id(id), None, "{id}");
        }
    }

    #[test]
    fn a_duration_is_never_negative() {
        assert_eq!(Timestamp(3_500_000).seconds_since(Timestamp(1_000_000)), 2.5);
        assert_eq!(Timestamp(1_000_000).seconds_since(Timestamp(3_500_000)), 0.0);
    }
}
