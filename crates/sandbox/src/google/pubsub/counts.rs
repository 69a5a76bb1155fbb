//! Counts of messages, deliveries and streams.

/// Counts of a subscription.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Published messages.
    pub published: u64,
    /// Acknowledged messages. Redeliveries are not counted again.
    pub acked: u64,
    /// Messages that are neither acknowledged nor dead letters.
    pub unacked: u64,
    /// Deliveries with an active lease.
    pub outstanding: u64,
    /// All deliveries.
    pub deliveries: u64,
    /// Deliveries of messages that had been delivered before.
    pub redeliveries: u64,
    /// Leases that expired.
    pub expired: u64,
    /// Leases that were released by a negative acknowledgement.
    pub nacked: u64,
    /// Acknowledgements that were dropped by fault injection.
    pub lost_acks: u64,
    /// Messages that became dead letters.
    pub dead_lettered: u64,
    /// Streams opened so far.
    pub streams_opened: u64,
    /// Open streams.
    pub streams: u64,
}
