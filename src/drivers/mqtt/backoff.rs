//! When to connect again: exponential backoff with full jitter, so that a thousand peers that lose one broker do not come
//! back in one moment (Marc Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015).

use crate::limits::{RECONNECT_BASE_MS, RECONNECT_MAX_MS};

/// Counts failures in a row and computes the pause after each.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Failures in a row so far.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// Starts again from the shortest pause.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// Counts a failure; the pause in ms, uniform in `0..=ceiling`, by the given random number.
    pub(super) fn failed(&mut self, random: u64) -> u64 {
        let ceiling = RECONNECT_BASE_MS.saturating_mul(1 << self.failures.min(20)).min(RECONNECT_MAX_MS);
        self.failures = self.failures.saturating_add(1);
        random % (ceiling + 1)
    }

    /// Counts a refusal, which will hardly change soon; the pause in ms, in the upper half of the range.
    pub(super) fn refused(&mut self, random: u64) -> u64 {
        self.failures = self.failures.saturating_add(1);
        RECONNECT_MAX_MS / 2 + random % (RECONNECT_MAX_MS / 2 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_doubles_up_to_the_maximum_and_falls_back_on_reset() {
        let mut backoff = Backoff::default();
        // The longest pause that any random number gives.
        let ceiling = |backoff: &mut Backoff| {
            let failures = backoff.failures;
            let mut most = 0;
            for random in 0..=RECONNECT_MAX_MS {
                backoff.failures = failures;
                most = most.max(backoff.failed(random));
            }
            most
        };
        assert_eq!(ceiling(&mut backoff), RECONNECT_BASE_MS);
        assert_eq!(ceiling(&mut backoff), 2 * RECONNECT_BASE_MS);
        assert_eq!(ceiling(&mut backoff), 4 * RECONNECT_BASE_MS);
        for _ in 0..100 {
            backoff.failed(7);
        }
        assert_eq!(ceiling(&mut backoff), RECONNECT_MAX_MS);
        backoff.reset();
        assert_eq!(ceiling(&mut backoff), RECONNECT_BASE_MS);
    }

    #[test]
    fn a_refusal_pauses_long_at_once() {
        for random in [0, 1, u64::MAX] {
            let pause_ms = Backoff::default().refused(random);
            assert!((RECONNECT_MAX_MS / 2..=RECONNECT_MAX_MS).contains(&pause_ms), "{pause_ms}");
        }
    }
}
