//! When a document is due for a snapshot.

use crate::limits::{SNAPSHOT_ENOUGH_CHANGES, SNAPSHOT_LONG_QUIET_MS, SNAPSHOT_MAX_WAIT_MS, SNAPSHOT_QUIET_MS};
use crate::time::Now;

/// Watches how one document comes to rest. An edit costs it nothing: a timer looks from time to time how many changes
/// the document has by then.
///
/// | state | a change | timer: covered | timer: changing, or too little changed | timer: at rest, or overdue |
/// | --- | --- | --- | --- | --- |
/// | resting | watching | – | – | – |
/// | watching | watching | resting | watching | waiting for its turn |
/// | waiting for its turn | the same | resting | – | write, then watching |
///
/// _Covered_ means that the broker keeps a snapshot of everything that the document holds.
#[derive(Debug)]
pub(crate) struct Election {
    state: State,
    /// When the document was first looked at on this connection.
    pub(crate) since_ms: u64,
    /// How many changes the document had when it was last seen covered.
    covered: usize,
    /// How many changes it had when the timer last looked, and since when.
    seen: usize,
    quiet_since_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Resting,
    Watching { since_ms: u64 },
    Turn,
}

/// What to do now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Look again at this time.
    Wait(u64),
    /// The document is due: find out which peer's turn it is, and look again when it is ours.
    Rank,
    /// It is our turn.
    Write,
}

impl Election {
    pub(crate) fn new(now: Now) -> Self {
        Self { state: State::Resting, since_ms: now.elapsed_ms, covered: 0, seen: 0, quiet_since_ms: 0 }
    }

    /// The document may have changed. Returns when to look, unless that is set already.
    pub(crate) fn changed(&mut self, now: Now) -> Option<u64> {
        if self.state != State::Resting {
            return None;
        }
        self.state = State::Watching { since_ms: now.elapsed_ms };
        self.quiet_since_ms = now.elapsed_ms;
        Some(now.after(SNAPSHOT_QUIET_MS))
    }

    /// The broker keeps a snapshot of all the `changes` that the document has.
    pub(crate) fn covered(&mut self, changes: usize) {
        self.state = State::Resting;
        self.covered = changes;
    }

    /// The time to look has come, and no snapshot covers the document, which has so many `changes`.
    pub(crate) fn due(&mut self, changes: usize, now: Now) -> Verdict {
        let since_ms = match self.state {
            State::Turn => {
                self.state = State::Watching { since_ms: now.elapsed_ms };
                return Verdict::Write;
            }
            State::Watching { since_ms } => since_ms,
            State::Resting => now.elapsed_ms,
        };
        if self.seen != changes {
            self.seen = changes;
            // Seen at the end of an interval, so the document has been quiet for less than that.
            self.quiet_since_ms = now.elapsed_ms.saturating_sub(SNAPSHOT_QUIET_MS).max(since_ms);
        }
        let quiet_ms = now.elapsed_ms.saturating_sub(self.quiet_since_ms);
        let enough = changes.saturating_sub(self.covered) >= SNAPSHOT_ENOUGH_CHANGES;
        let overdue = now.elapsed_ms.saturating_sub(since_ms) >= SNAPSHOT_MAX_WAIT_MS;
        if (enough && quiet_ms > SNAPSHOT_QUIET_MS) || quiet_ms >= SNAPSHOT_LONG_QUIET_MS || overdue {
            self.state = State::Turn;
            return Verdict::Rank;
        }
        self.state = State::Watching { since_ms };
        Verdict::Wait(now.after(SNAPSHOT_QUIET_MS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(elapsed_ms: u64) -> Now {
        Now { elapsed_ms, unix_ms: 0 }
    }

    /// Looks until the document is due; `changes` says how many it has when. Returns when that was.
    fn due_ms(changes: impl Fn(u64) -> usize) -> u64 {
        let mut election = Election::new(at(0));
        election.covered(1);
        let mut now = election.changed(at(0)).unwrap();
        assert_eq!(election.changed(at(1)), None, "the timer is set already");
        while let Verdict::Wait(next) = election.due(changes(now), at(now)) {
            now = next;
        }
        assert_eq!(election.due(changes(now), at(now)), Verdict::Write);
        now
    }

    #[test]
    fn much_is_written_after_a_short_rest_and_little_after_a_long_one() {
        assert!(due_ms(|_| 1 + SNAPSHOT_ENOUGH_CHANGES) <= 2 * SNAPSHOT_QUIET_MS);
        let little = due_ms(|_| 2);
        assert!((SNAPSHOT_LONG_QUIET_MS..SNAPSHOT_MAX_WAIT_MS).contains(&little), "{little}");
    }

    #[test]
    fn what_never_rests_is_written_all_the_same() {
        let restless = due_ms(|now| usize::try_from(now).unwrap());
        assert!((SNAPSHOT_MAX_WAIT_MS..SNAPSHOT_MAX_WAIT_MS + SNAPSHOT_QUIET_MS).contains(&restless), "{restless}");
    }

    #[test]
    fn what_is_covered_rests_until_it_changes() {
        let mut election = Election::new(at(0));
        election.changed(at(0));
        election.covered(7);
        assert_eq!(election.changed(at(100)), Some(100 + SNAPSHOT_QUIET_MS));
    }
}
