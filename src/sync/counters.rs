//! Message counters: ours for what we send, and those of others, whose gaps show that the broker dropped something.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{PeerId, Session};
use crate::limits::MAX_COUNTER_STREAMS;

/// The next counter of each topic on which this session sends.
#[derive(Debug, Default)]
pub(crate) struct OutgoingCounters {
    next: BTreeMap<String, u64>,
    /// Where topics begin.
    first: u64,
}

impl OutgoingCounters {
    /// The counter to stamp on the topic's next message; the caller moves it on.
    ///
    /// At the bound all are forgotten, and go on from where the highest was: receivers see a gap, and take no message for an old
    /// one.
    pub(crate) fn of(&mut self, topic: &str) -> &mut u64 {
        if self.next.len() >= MAX_COUNTER_STREAMS && !self.next.contains_key(topic) {
            self.first = self.next.values().copied().max().unwrap_or_default();
            self.next.clear();
        }
        self.next.entry(topic.to_owned()).or_insert(self.first)
    }
}

/// One sender's messages on one topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Stream {
    topic: String,
    sender: PeerId,
    session: Session,
}

/// The counters seen from others. Counters run per session and topic on topics of QoS 1 that are not retained, so a gap
/// means that a message was lost (or overtaken, which a repair does not hurt).
#[derive(Debug, Default)]
pub(crate) struct IncomingCounters {
    last: BTreeMap<Stream, Seen>,
    by_age: BTreeSet<(u64, Stream)>,
    clock: u64,
}

#[derive(Debug)]
struct Seen {
    counter: u64,
    age: u64,
}

impl IncomingCounters {
    /// Notes a counter, and says whether messages before it are missing.
    pub(crate) fn note(&mut self, topic: &str, sender: PeerId, session: Session, counter: u64) -> bool {
        let stream = Stream { topic: topic.to_owned(), sender, session };
        self.clock += 1;
        let age = self.clock;
        if let Some(seen) = self.last.get_mut(&stream) {
            let gap = counter > seen.counter.saturating_add(1);
            seen.counter = seen.counter.max(counter);
            let old_age = std::mem::replace(&mut seen.age, age);
            self.by_age.remove(&(old_age, stream.clone()));
            self.by_age.insert((age, stream));
            return gap;
        }
        self.evict();
        self.last.insert(stream.clone(), Seen { counter, age });
        self.by_age.insert((age, stream));
        // The first message seen of a session tells nothing: we may have joined later.
        false
    }

    /// Whether a counter is higher than those seen of its stream.
    pub(crate) fn is_news(&self, topic: &str, sender: PeerId, session: Session, counter: u64) -> bool {
        let stream = Stream { topic: topic.to_owned(), sender, session };
        self.last.get(&stream).is_none_or(|seen| counter > seen.counter)
    }

    /// A subscription began anew: what was sent meanwhile is no gap, since catching up is under way anyway.
    pub(crate) fn clear(&mut self) {
        self.last.clear();
        self.by_age.clear();
    }

    /// At the bound the stream that was silent for longest is forgotten; a gap in it would go unnoticed until its
    /// sender's heads are announced.
    fn evict(&mut self) {
        while self.last.len() >= MAX_COUNTER_STREAMS
            && let Some((_, stream)) = self.by_age.pop_first()
        {
            self.last.remove(&stream);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENDER: PeerId = PeerId([1; 32]);

    #[test]
    fn a_gap_is_noticed_and_a_duplicate_or_straggler_is_none() {
        let mut counters = IncomingCounters::default();
        let mut note = |counter| counters.note("t", SENDER, Session(1), counter);
        assert!(!note(5), "the first tells nothing");
        assert!(!note(6));
        assert!(!note(6));
        assert!(note(8));
        assert!(!note(7), "the straggler");
        assert!(!note(9));
    }

    #[test]
    fn topics_and_sessions_count_apart() {
        let mut counters = IncomingCounters::default();
        assert!(!counters.note("t", SENDER, Session(1), 0));
        assert!(!counters.note("u", SENDER, Session(1), 7));
        assert!(!counters.note("t", SENDER, Session(2), 7));
        assert!(counters.note("t", SENDER, Session(1), 2));
    }

    #[test]
    fn the_number_of_streams_is_bounded() {
        let mut counters = IncomingCounters::default();
        for session in 0..MAX_COUNTER_STREAMS as u64 + 10 {
            counters.note("t", SENDER, Session(session), 0);
        }
        assert_eq!(counters.last.len(), MAX_COUNTER_STREAMS);
        assert_eq!(counters.by_age.len(), MAX_COUNTER_STREAMS);
    }

    #[test]
    fn outgoing_counters_run_per_topic() {
        let mut counters = OutgoingCounters::default();
        *counters.of("t") += 1;
        assert_eq!((*counters.of("t"), *counters.of("u")), (1, 0));
        *counters.of("t") = 7;
        for n in 0..MAX_COUNTER_STREAMS {
            counters.of(&format!("t{n}"));
        }
        assert_eq!(*counters.of("t"), 7, "none goes back");
    }
}
