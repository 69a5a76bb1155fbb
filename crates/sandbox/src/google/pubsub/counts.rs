//! What is counted.

/// What has become of a subscription's messages, and how many there are now.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Messages that were published to it.
    pub published: u64,
    /// Messages that were acknowledged. Each counts once, however often it was delivered.
    pub acked: u64,
    /// Messages that are neither acknowledged nor moved to the dead letters.
    pub unacked: u64,
    /// Deliveries for which a lease runs.
    pub outstanding: u64,
    /// Deliveries so far, whatever became of them.
    pub deliveries: u64,
    /// Deliveries, of those, of a message that had been delivered before.
    pub redeliveries: u64,
    /// Leases that ended because their time was over.
    pub expired: u64,
    /// Leases that were given back.
    pub nacked: u64,
    /// Acknowledgements that were lost on purpose.
    pub lost_acks: u64,
    /// Messages that were moved to the dead letters.
    pub dead_lettered: u64,
    /// Streams that have been opened.
    pub streams_opened: u64,
    /// Streams that are open.
    pub streams: u64,
}
