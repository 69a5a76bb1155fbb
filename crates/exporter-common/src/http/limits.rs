//! Limits on what clients can use of the server.

use std::time::Duration;

use crate::metrics::max_open_files;

/// Limits of the server. Durations and sizes in bytes apply to every client alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Open connections. At this limit, each new connection closes the one that has waited longest for its client.
    pub connections: usize,
    /// Scrapes that are running, or whose responses are not sent completely. One client can have a quarter of them.
    pub in_flight: usize,
    /// Bytes of scrape responses that are not sent yet. One client can have a quarter of them.
    pub unsent_bytes: usize,
    /// Concurrent requests on one HTTP/2 connection.
    pub streams: u32,
    /// Bytes of a request head.
    pub head_bytes: usize,
    /// Bytes of all request bodies that are being received or processed.
    pub body_bytes: usize,
    /// Time from the end of a request head to the end of its body.
    pub body_time: Duration,
    /// Time from the first byte of a request to the end of its head. For the first request it starts with the
    /// connection and includes the TLS handshake.
    pub head_time: Duration,
    /// Time between a response and the next request on the same connection.
    pub idle_time: Duration,
    /// Time that a response can wait for a client that does not read.
    pub stall_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            in_flight: 1_024,
            unsent_bytes: 128 * 1024 * 1024,
            streams: 16,
            head_bytes: 16 * 1024,
            body_bytes: 64 * 1024 * 1024,
            body_time: Duration::from_secs(30),
            head_time: Duration::from_secs(10),
            // Longer than any usual scrape interval, so that Prometheus keeps its connection.
            idle_time: Duration::from_secs(300),
            stall_time: Duration::from_secs(30),
        }
    }
}

/// File descriptors that are reserved for the exporter itself: its log, its files and its own connections.
const RESERVED_DESCRIPTORS: u64 = 64;

impl Limits {
    /// The defaults, with no more connections than this process can have file descriptors for. Without a free
    /// descriptor, a new connection would have to wait until an idle one is closed.
    pub fn of_process() -> Self {
        let limits = Self::default();
        let possible = max_open_files().map_or(usize::MAX, connections_within);
        Self { connections: limits.connections.min(possible), ..limits }
    }
}

/// The number of connections that a number of file descriptors is enough for. Of a small number, half is reserved for
/// the exporter itself.
fn connections_within(descriptors: u64) -> usize {
    let reserved = RESERVED_DESCRIPTORS.min(descriptors / 2);
    usize::try_from(descriptors - reserved).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserves_descriptors_for_the_exporter() {
        for (descriptors, connections) in
            [(0, 1), (1, 1), (64, 32), (128, 64), (256, 192), (1_024, 960), (1 << 20, (1 << 20) - 64)]
        {
            assert_eq!(connections_within(descriptors), connections, "{descriptors} descriptors");
        }
        assert!(Limits::of_process().connections <= Limits::default().connections);
    }
}
