//! The deadlines of one repository.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{DocumentId, Nonce, PeerId, RepositoryName};

/// What a deadline is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// Our next heartbeat.
    Heartbeat,
    /// The next look for peers that have not been heard for too long, and for unfinished fragments.
    Expiry,
    /// Our turn to answer a newcomer's hello.
    HelloAnswer(PeerId),
    /// Our turn to answer a request, should nobody have done so.
    Answer(Nonce),
    /// A document's request is due or overdue.
    CatchUp(DocumentId),
    /// A document's heads are due for announcement.
    Announce(DocumentId),
    /// A document's first echo on this connection is overdue.
    Echo(DocumentId),
    /// A publish that the driver could not take is to be tried again.
    Retry(DocumentId),
    /// Automerge is to take in what it was spared of a document.
    Merge(DocumentId),
    /// Storage may be tried again, or is to learn of what the broker has.
    Save,
    /// The heads of documents that are asleep are due for announcement.
    AnnounceAsleep,
    /// The time has come to look whether a document needs a snapshot.
    Snapshot(DocumentId),
    /// The broker has not delivered the next part of a document's snapshot.
    Fetch(DocumentId),
    /// What the broker keeps of a deleted canvas is to be cleared.
    Clear(DocumentId),
    /// What the broker had kept has arrived, as far as it will.
    Manifests,
    /// Snapshots that could not be written yet are to be tried again.
    Write,
    /// Our turn to say which key we use.
    KeyNotice,
    /// We stand by what documents hold of those who are no writers any more, unless others did.
    StandBy,
    /// What was dropped because somebody sent too much is to be caught up with.
    Throttle,
    /// Others use another key, and have had the time to hand it over.
    OtherKey,
    /// Our turn to tell what began this epoch of a repository.
    Epoch(RepositoryName, u64),
    /// Keys of shared canvases that somebody has who should not any more are to be replaced, unless others did.
    Shares,
    /// Others are to be told of the parties to shared canvases, unless somebody did.
    Parties,
    /// An application's call has waited long enough.
    Call(u64),
}

impl Timer {
    /// All that belong to one document while it is in memory.
    pub(crate) fn of_document(id: &DocumentId) -> [Self; 6] {
        [Self::CatchUp, Self::Announce, Self::Echo, Self::Retry, Self::Fetch, Self::Merge]
            .map(|timer| timer(id.clone()))
    }
}

/// A set of deadlines, at most one for each [`Timer`].
#[derive(Debug, Default)]
pub(crate) struct Timers {
    by_time: BTreeSet<(u64, Timer)>,
    by_timer: BTreeMap<Timer, u64>,
}

impl Timers {
    /// Sets or moves a deadline.
    pub(crate) fn set(&mut self, timer: Timer, at_ms: u64) {
        self.clear(&timer);
        self.by_time.insert((at_ms, timer.clone()));
        self.by_timer.insert(timer, at_ms);
    }

    /// Sets a deadline, or moves it to an earlier time, never to a later one.
    pub(crate) fn set_no_later(&mut self, timer: Timer, at_ms: u64) {
        if self.by_timer.get(&timer).is_none_or(|set_ms| at_ms < *set_ms) {
            self.set(timer, at_ms);
        }
    }

    /// Removes a deadline, if it is set.
    pub(crate) fn clear(&mut self, timer: &Timer) {
        if let Some((timer, at_ms)) = self.by_timer.remove_entry(timer) {
            self.by_time.remove(&(at_ms, timer));
        }
    }

    /// The earliest deadline.
    pub(crate) fn next_ms(&self) -> Option<u64> {
        self.by_time.first().map(|(at_ms, _)| *at_ms)
    }

    /// Takes out the earliest deadline that has come.
    pub(crate) fn pop_due(&mut self, elapsed_ms: u64) -> Option<Timer> {
        if self.next_ms()? > elapsed_ms {
            return None;
        }
        let (_, timer) = self.by_time.pop_first()?;
        self.by_timer.remove(&timer);
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_come_in_the_order_of_time_and_once() {
        let mut timers = Timers::default();
        timers.set(Timer::Heartbeat, 30);
        timers.set(Timer::Expiry, 10);
        timers.set(Timer::Heartbeat, 20);
        assert_eq!(timers.next_ms(), Some(10));
        assert_eq!(timers.pop_due(9), None);
        assert_eq!(timers.pop_due(25), Some(Timer::Expiry));
        assert_eq!(timers.pop_due(25), Some(Timer::Heartbeat));
        assert_eq!(timers.pop_due(99), None);
    }

    #[test]
    fn no_later_keeps_the_earlier_deadline() {
        let mut timers = Timers::default();
        timers.set_no_later(Timer::Expiry, 10);
        timers.set_no_later(Timer::Expiry, 20);
        assert_eq!(timers.next_ms(), Some(10));
        timers.set_no_later(Timer::Expiry, 5);
        assert_eq!(timers.next_ms(), Some(5));
        timers.clear(&Timer::Expiry);
        assert_eq!(timers.next_ms(), None);
    }
}
