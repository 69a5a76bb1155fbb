//! What can be made to go wrong.

use std::time::Duration;

use tonic::Code;

/// How a server, or one of its subscriptions, misbehaves; by default not at all.
///
/// ```
/// use sandbox::google::pubsub::Faults;
///
/// let faults = Faults { duplicates: 0.1, reorder: 100, ..Faults::default() };
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    /// The share of messages that are delivered once more although they were acknowledged.
    pub duplicates: f64,
    /// Messages are delivered in an order that is shuffled among this many.
    pub reorder: usize,
    /// The share of acknowledgements that are answered as if all were well and have no effect.
    pub lost_acks: f64,
    /// How late `Acknowledge` is answered. The acknowledgement itself takes effect at once.
    pub slow_acks: Duration,
    /// Each stream ends with `UNAVAILABLE` when it is this old.
    pub reset_every: Option<Duration>,
    /// Leases last no longer than this, whatever was asked for. Google promises at least ten seconds; a test
    /// that kills a subscriber may not want to wait for that long.
    pub max_lease: Option<Duration>,
    /// Every call is answered with this code, and streams that are open end with it.
    pub refuse: Option<Code>,
    /// `GetSubscription` is answered with this code, as for a client that may consume but not look.
    pub refuse_get: Option<Code>,
    /// Streams and connections stay as they are, but nothing is delivered and nothing is answered.
    pub freeze: bool,
}
