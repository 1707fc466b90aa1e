//! When to announce a document's heads: the Trickle algorithm (RFC 6206).
//!
//! After a change somebody announces the heads within a second or two, so that even a lost last message is noticed; the
//! longer nothing changes, the rarer the announcements. Whoever hears its own heads from another stays silent, so the
//! traffic does not grow with the number of peers.

use rand_core::Rng;

use crate::limits::{ANNOUNCE_MAX_MS, ANNOUNCE_MIN_MS};
use crate::time::Now;

/// The Trickle timer of one document (RFC 6206, section 4.2, with redundancy constant 1).
#[derive(Debug, Default)]
pub(crate) struct AnnounceTimer {
    /// The present interval; 0 before the first.
    interval_ms: u64,
    /// When the present interval ends.
    ends_ms: u64,
    /// Whether this interval's announcement is still to come.
    pending: bool,
    /// Whether another peer announced the same heads in this interval.
    heard: bool,
}

/// What to do when the timer fires.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fired {
    /// Whether to announce.
    pub(crate) announce: bool,
    /// When to call again.
    pub(crate) next_ms: u64,
}

impl AnnounceTimer {
    /// The heads changed, or somebody was seen to have others: start at the shortest interval, unless it is running.
    /// Returns when to fire, if that changed.
    pub(crate) fn reset(&mut self, now: Now, rng: &mut dyn Rng) -> Option<u64> {
        self.heard = false;
        if self.interval_ms == ANNOUNCE_MIN_MS && self.pending {
            return None;
        }
        Some(self.begin(ANNOUNCE_MIN_MS, now, rng))
    }

    /// Another peer announced the same heads.
    pub(crate) fn heard_same(&mut self) {
        self.heard = true;
    }

    /// The deadline came.
    pub(crate) fn fire(&mut self, now: Now, rng: &mut dyn Rng) -> Fired {
        if self.pending {
            self.pending = false;
            return Fired { announce: !self.heard, next_ms: self.ends_ms.max(now.elapsed_ms) };
        }
        let doubled_ms = self.interval_ms.saturating_mul(2).clamp(ANNOUNCE_MIN_MS, ANNOUNCE_MAX_MS);
        Fired { announce: false, next_ms: self.begin(doubled_ms, now, rng) }
    }

    fn begin(&mut self, interval_ms: u64, now: Now, rng: &mut dyn Rng) -> u64 {
        self.interval_ms = interval_ms;
        self.ends_ms = now.after(interval_ms);
        self.pending = true;
        self.heard = false;
        let half_ms = interval_ms / 2;
        now.after(half_ms + rng.next_u64() % half_ms.max(1))
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    fn at(elapsed_ms: u64) -> Now {
        Now { elapsed_ms, unix_ms: 0 }
    }

    #[test]
    fn a_change_is_announced_within_the_shortest_interval_and_then_ever_more_rarely() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut timer = AnnounceTimer::default();
        let mut now = timer.reset(at(0), &mut rng).unwrap();
        assert!(now <= ANNOUNCE_MIN_MS);
        let mut announced = Vec::new();
        while now < 10 * ANNOUNCE_MAX_MS {
            let fired = timer.fire(at(now), &mut rng);
            if fired.announce {
                announced.push(now);
            }
            assert!(fired.next_ms > now || !fired.announce);
            now = fired.next_ms.max(now + 1);
        }
        assert!(announced[0] <= ANNOUNCE_MIN_MS);
        assert!(announced.len() < 25, "{announced:?}");
    }

    #[test]
    fn who_hears_its_own_heads_stays_silent() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let mut timer = AnnounceTimer::default();
        let due = timer.reset(at(0), &mut rng).unwrap();
        timer.heard_same();
        assert!(!timer.fire(at(due), &mut rng).announce);
    }

    #[test]
    fn changes_in_quick_succession_do_not_postpone_the_announcement() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut timer = AnnounceTimer::default();
        let due = timer.reset(at(0), &mut rng).unwrap();
        assert_eq!(timer.reset(at(due / 2), &mut rng), None);
        assert!(timer.fire(at(due), &mut rng).announce);
    }
}
