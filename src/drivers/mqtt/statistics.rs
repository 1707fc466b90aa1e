//! What a connection counts.

use std::time::Duration;

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
    pub round_trip: RoundTrip,
}

/// Smallest, mean and largest of the durations seen, in microseconds; all 0 while `count` is 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RoundTrip {
    /// How many were seen.
    pub count: u64,
    /// The smallest.
    pub min_us: u64,
    /// The mean.
    pub mean_us: u64,
    /// The largest.
    pub max_us: u64,
    sum_us: u64,
}

impl RoundTrip {
    /// Counts one more.
    pub(super) fn record(&mut self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.min_us = if self.count == 0 { us } else { self.min_us.min(us) };
        self.max_us = self.max_us.max(us);
        self.count = self.count.saturating_add(1);
        self.sum_us = self.sum_us.saturating_add(us);
        self.mean_us = self.sum_us / self.count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_trip_has_minimum_mean_and_maximum() {
        let mut round_trip = RoundTrip::default();
        for us in [30, 10, 20] {
            round_trip.record(Duration::from_micros(us));
        }
        let RoundTrip { count, min_us, mean_us, max_us, .. } = round_trip;
        assert_eq!((count, min_us, mean_us, max_us), (3, 10, 20, 30));
    }
}
