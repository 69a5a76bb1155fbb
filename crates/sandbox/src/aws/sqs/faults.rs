//! Injected faults of a queue.

/// Deviations of a queue from the usual behaviour, all allowed by SQS's delivery semantics. The default is no
/// deviation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueueFaults {
    /// The probability from 0 to 1 that a sent body arrives twice, with two message ids.
    pub duplicate_sends: f64,
    /// The probability from 0 to 1 that a message is received again while it is in flight.
    pub duplicate_receives: f64,
    /// The probability from 0 to 1 that a successful deletion has no effect: the message becomes visible again.
    pub lost_deletes: f64,
    /// The number of visible messages from which the next one is chosen at random. Up to 1 keeps the order.
    pub reorder: usize,
    /// What deletions and visibility changes with the receipt handle of an earlier receive do.
    pub stale_receipts: StaleReceipts,
    /// The number of entries of the next batch requests that fail, inside of a response with status 200.
    pub failed_entries: u64,
    /// The code of failed entries; empty for `InternalError`.
    pub failed_entries_code: String,
}

/// The treatment of a receipt handle of an earlier receive, after the message has been received again.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum StaleReceipts {
    /// The handle works like the newest one, as SQS mostly behaves.
    #[default]
    Accept,
    /// The request succeeds without effect, as SQS's documentation allows.
    Ignore,
    /// The request fails with `ReceiptHandleIsInvalid`.
    Reject,
}
