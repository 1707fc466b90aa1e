//! What a connection counts.

use crate::histogram::Histogram;

/// A connection's counters since it was started, and its state now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConnectionStatistics {
    /// Whether there is a connection now.
    pub connected: bool,
    /// How many times a broker accepted the connection.
    pub connects: u64,
    /// Messages that arrived and were handed on.
    pub messages_in: u64,
    /// Their payload bytes.
    pub bytes_in: u64,
    /// Publishes handed to the socket.
    pub messages_out: u64,
    /// Their payload bytes.
    pub bytes_out: u64,
    /// Messages that arrived, were larger than accepted and were dropped.
    pub oversized_dropped: u64,
    /// Publishes that wait for room now.
    pub queued_messages: usize,
    /// Their payload bytes.
    pub queued_bytes: usize,
    /// Publishes handed to the socket and not acknowledged now.
    pub in_flight_messages: usize,
    /// Their payload bytes.
    pub in_flight_bytes: usize,
    /// Why the last connection ended or the last attempt failed, if one has.
    pub last_error: Option<String>,
    /// Time from handing a QoS 1 publish to the socket until its acknowledgement.
    pub round_trip: Histogram,
}
