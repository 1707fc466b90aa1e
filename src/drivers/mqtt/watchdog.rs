//! Decides when a connection that stopped making progress is rebuilt.

use std::time::{Duration, Instant};

use crate::limits::{ACKNOWLEDGE_TIMEOUT_MS, WATCHDOG_TIMEOUT_MS};

/// Remembers when something was last heard. What is unanswered is told to it at each look.
#[derive(Debug)]
pub(super) struct Watchdog {
    /// When anything last arrived.
    arrived: Instant,
    /// When a PUBACK last arrived.
    acknowledged: Instant,
    /// Since when a ping has been unanswered.
    ping: Option<Instant>,
    /// Factor of both times.
    patience: u32,
}

impl Watchdog {
    /// Starts with the CONNACK, and multiplies its times by `patience`.
    pub(super) fn new(now: Instant, patience: u32) -> Self {
        Self { arrived: now, acknowledged: now, ping: None, patience }
    }

    /// A packet arrived.
    pub(super) fn arrived(&mut self, now: Instant) {
        self.arrived = now;
    }

    /// A PUBACK arrived.
    pub(super) fn acknowledged(&mut self, now: Instant) {
        self.acknowledged = now;
    }

    /// A ping left.
    pub(super) fn pinged(&mut self, now: Instant) {
        self.ping.get_or_insert(now);
    }

    /// The answer to the ping arrived.
    pub(super) fn ponged(&mut self) {
        self.ping = None;
    }

    /// Why the connection must be rebuilt, if it must, given since when the oldest request and the oldest publish that
    /// have no answer have been waiting.
    pub(super) fn verdict(
        &self,
        now: Instant,
        request: Option<Instant>,
        publish: Option<Instant>,
    ) -> Option<&'static str> {
        let overdue = |since: Instant, heard: Instant, timeout_ms| {
            now.saturating_duration_since(since.max(heard)) >= Duration::from_millis(timeout_ms) * self.patience
        };
        let oldest = [request, publish, self.ping].into_iter().flatten().min();
        if oldest.is_some_and(|since| overdue(since, self.arrived, WATCHDOG_TIMEOUT_MS)) {
            return Some("the broker answers nothing any more");
        }
        if publish.is_some_and(|since| overdue(since, self.acknowledged, ACKNOWLEDGE_TIMEOUT_MS)) {
            return Some("the broker acknowledges no publish any more");
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_fine_while_nothing_is_unanswered() {
        let start = Instant::now();
        let watchdog = Watchdog::new(start, 1);
        assert_eq!(watchdog.verdict(start + Duration::from_hours(1), None, None), None);
    }

    #[test]
    fn an_unanswered_request_publish_or_ping_is_overdue_after_the_timeout() {
        let start = Instant::now();
        let asked = start + Duration::from_secs(100);
        let just_before = asked + Duration::from_millis(WATCHDOG_TIMEOUT_MS - 1);
        let just_after = asked + Duration::from_millis(WATCHDOG_TIMEOUT_MS);
        let mut pinged = Watchdog::new(start, 1);
        pinged.pinged(asked);
        for (watchdog, request, publish) in [
            (Watchdog::new(start, 1), Some(asked), None),
            (Watchdog::new(start, 1), None, Some(asked)),
            (pinged, None, None),
        ] {
            assert_eq!(watchdog.verdict(just_before, request, publish), None);
            assert!(watchdog.verdict(just_after, request, publish).is_some());
        }
    }

    #[test]
    fn anything_that_arrives_gives_more_time_but_not_for_ever() {
        let start = Instant::now();
        let mut watchdog = Watchdog::new(start, 1);
        let late = start + Duration::from_millis(ACKNOWLEDGE_TIMEOUT_MS - 1);
        watchdog.arrived(late);
        assert_eq!(watchdog.verdict(late, Some(start), Some(start)), None);
        let later = start + Duration::from_millis(ACKNOWLEDGE_TIMEOUT_MS);
        assert!(watchdog.verdict(later, None, Some(start)).is_some());
        watchdog.acknowledged(late);
        assert_eq!(watchdog.verdict(later, None, Some(start)), None);
    }

    #[test]
    fn patience_multiplies_the_times() {
        let start = Instant::now();
        let watchdog = Watchdog::new(start, 4);
        let timeout = Duration::from_millis(WATCHDOG_TIMEOUT_MS);
        assert_eq!(watchdog.verdict(start + timeout * 3, Some(start), None), None);
        assert!(watchdog.verdict(start + timeout * 4, Some(start), None).is_some());
    }

    #[test]
    fn a_pong_ends_the_wait() {
        let start = Instant::now();
        let mut watchdog = Watchdog::new(start, 1);
        watchdog.pinged(start);
        watchdog.ponged();
        assert_eq!(watchdog.verdict(start + Duration::from_hours(1), None, None), None);
    }
}
