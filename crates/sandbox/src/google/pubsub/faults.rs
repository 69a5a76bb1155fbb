//! Fault injection.

use std::time::Duration;

use tonic::Code;

/// Faults of a server or of a subscription. By default there are none.
///
/// ```
/// use sandbox::google::pubsub::Faults;
///
/// let faults = Faults { duplicates: 0.1, reorder: 100, ..Faults::default() };
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    /// The share of messages that are delivered again after their acknowledgement.
    pub duplicates: f64,
    /// The size of the window in which the order of messages is shuffled.
    pub reorder: usize,
    /// The share of acknowledgements that succeed without effect.
    pub lost_acks: f64,
    /// The delay of responses to `Acknowledge`. The acknowledgement takes effect immediately.
    pub slow_acks: Duration,
    /// Closes each stream with `UNAVAILABLE` at this age.
    pub reset_every: Option<Duration>,
    /// The maximum lease, shorter than Google's minimum of ten seconds. Tests that kill a subscriber use it
    /// to wait less.
    pub max_lease: Option<Duration>,
    /// Fails all calls with this code and closes open streams with it.
    pub refuse: Option<Code>,
    /// Fails `GetSubscription` with this code, as for a client that may consume but not view the
    /// subscription.
    pub refuse_get: Option<Code>,
    /// Keeps streams and connections open but delivers nothing and sends no responses.
    pub freeze: bool,
}
