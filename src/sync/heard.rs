//! Which messages of others were heard already: whoever records what goes over a broker cannot have it believed again.
//!
//! For each peer the newest start of its process that was heard of, and for each stream of that start (session and topic) a
//! sliding window of counters, as in RFC 4303 (section 3.4.3). What an older start sent is old. Storage keeps the
//! highest counters, so that a new process does not believe yesterday's recording either.
//!
//! Changes need none of this: a change that is there already is nothing new. Of manifests, which come again with every
//! subscription, it is only remembered which was the newest.

use std::collections::BTreeMap;

use minicbor::bytes::ByteArray;
use sha2::{Digest, Sha256};

use crate::ids::{PeerId, Session};
use crate::limits::{MAX_HEARD_MANIFESTS, MAX_HEARD_PEERS, MAX_HEARD_STREAMS};

/// Counters before the highest one that may still come, once each.
const WINDOW: u64 = 64;

/// The first bytes of SHA-256 of a topic.
type TopicDigest = [u8; 16];

/// What was heard of everybody. Bounded by [`MAX_HEARD_PEERS`], [`MAX_HEARD_STREAMS`] and [`MAX_HEARD_MANIFESTS`]: the one
/// silent for longest is forgotten, and could be believed once more.
#[derive(Debug, Default)]
pub(super) struct Heard {
    peers: BTreeMap<PeerId, Sender>,
    clock: u64,
    changed: bool,
}

#[derive(Debug, Default)]
struct Sender {
    /// The newest start of its process.
    start: u64,
    streams: BTreeMap<(u16, TopicDigest), Window>,
    /// By topic: session and counter of the newest manifest.
    manifests: BTreeMap<TopicDigest, (u64, u64)>,
    age: u64,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    highest: u64,
    /// Bit n: the counter `highest - n` was heard.
    heard: u64,
    age: u64,
}

impl Window {
    fn new(counter: u64, age: u64) -> Self {
        Self { highest: counter, heard: 1, age }
    }

    /// Whether the counter is heard for the first time.
    fn take(&mut self, counter: u64) -> bool {
        if let Some(ahead) = counter.checked_sub(self.highest).filter(|ahead| *ahead > 0) {
            self.heard = if ahead < WINDOW { self.heard << ahead } else { 0 } | 1;
            self.highest = counter;
            return true;
        }
        let behind = self.highest - counter;
        let is_new = behind < WINDOW && self.heard & (1 << behind) == 0;
        if is_new {
            self.heard |= 1 << behind;
        }
        is_new
    }
}

impl Heard {
    /// What an older start of this peer itself sent is old.
    pub(super) fn of_own(peer: PeerId, session: Session) -> Self {
        let own = Sender { start: session.start(), ..Sender::default() };
        Self { peers: BTreeMap::from([(peer, own)]), ..Self::default() }
    }

    /// What an earlier process wrote with [`save`](Self::save); what cannot be read counts as nothing.
    pub(super) fn restore(&mut self, bytes: &[u8]) {
        let rows: Vec<Row> = minicbor::decode(bytes).unwrap_or_default();
        for Row { peer, start, streams, manifests } in rows.into_iter().take(MAX_HEARD_PEERS) {
            let sender = self.peers.entry(PeerId(*peer)).or_default();
            sender.start = sender.start.max(start);
            for Mark { number, topic, high } in streams.into_iter().take(MAX_HEARD_STREAMS) {
                // Which of those before it came is not kept: none of them comes any more.
                let window = Window { highest: high, heard: u64::MAX, age: 0 };
                sender.streams.insert((number, *topic), window);
            }
            for Newest { topic, session, counter } in manifests.into_iter().take(MAX_HEARD_MANIFESTS) {
                sender.manifests.insert(*topic, (session, counter));
            }
        }
    }

    /// What has to survive this process, if that has changed since it was last asked for.
    pub(super) fn save(&mut self) -> Option<Vec<u8>> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        let rows: Vec<Row> = self.peers.iter().map(|(peer, sender)| Row::of(*peer, sender)).collect();
        minicbor::to_vec(rows).ok()
    }

    /// Whether anything has to be saved.
    pub(super) fn is_changed(&self) -> bool {
        self.changed
    }

    /// Whether a message that should be acted on once is new.
    pub(super) fn take(&mut self, sender: PeerId, session: Session, topic: &str, counter: u64) -> bool {
        let age = self.tick();
        let known = self.sender(sender);
        if session.start() < known.start {
            return false;
        }
        known.age = age;
        if session.start() > known.start {
            known.start = session.start();
            known.streams.clear();
        }
        let stream = (session.number(), digest(topic));
        let is_new = if let Some(window) = known.streams.get_mut(&stream) {
            window.age = age;
            window.take(counter)
        } else {
            if known.streams.len() >= MAX_HEARD_STREAMS {
                let silent = known.streams.iter().min_by_key(|(_, window)| window.age).map(|(stream, _)| *stream);
                silent.and_then(|stream| known.streams.remove(&stream));
            }
            known.streams.insert(stream, Window::new(counter, age));
            true
        };
        self.changed |= is_new;
        is_new
    }

    /// Notes a writer's manifest of a topic, and says whether a newer one was heard of before.
    pub(super) fn is_older_manifest(&mut self, writer: PeerId, session: Session, topic: &str, counter: u64) -> bool {
        let age = self.tick();
        let known = self.sender(writer);
        known.age = age;
        let (topic, mark) = (digest(topic), (session.0, counter));
        if known.manifests.len() >= MAX_HEARD_MANIFESTS && !known.manifests.contains_key(&topic) {
            known.manifests.pop_first();
        }
        let newest = known.manifests.get(&topic).copied();
        if newest.is_none_or(|newest| mark > newest) {
            known.manifests.insert(topic, mark);
            self.changed = true;
        }
        newest.is_some_and(|newest| mark < newest)
    }

    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    fn sender(&mut self, peer: PeerId) -> &mut Sender {
        if self.peers.len() >= MAX_HEARD_PEERS && !self.peers.contains_key(&peer) {
            let silent = self.peers.iter().min_by_key(|(_, sender)| sender.age).map(|(id, _)| *id);
            silent.and_then(|id| self.peers.remove(&id));
        }
        self.peers.entry(peer).or_default()
    }
}

fn digest(topic: &str) -> TopicDigest {
    let mut digest = TopicDigest::default();
    digest.copy_from_slice(&Sha256::digest(topic)[..16]);
    digest
}

/// One peer, as it is stored. In the order of the fields; a later version may add some at the end.
#[derive(minicbor::Encode, minicbor::Decode)]
struct Row {
    #[n(0)]
    peer: ByteArray<32>,
    #[n(1)]
    start: u64,
    #[n(2)]
    streams: Vec<Mark>,
    #[n(3)]
    manifests: Vec<Newest>,
}

#[derive(minicbor::Encode, minicbor::Decode)]
struct Mark {
    #[n(0)]
    number: u16,
    #[n(1)]
    topic: ByteArray<16>,
    #[n(2)]
    high: u64,
}

#[derive(minicbor::Encode, minicbor::Decode)]
struct Newest {
    #[n(0)]
    topic: ByteArray<16>,
    #[n(1)]
    session: u64,
    #[n(2)]
    counter: u64,
}

impl Row {
    fn of(peer: PeerId, sender: &Sender) -> Self {
        let streams = sender.streams.iter();
        let manifests = sender.manifests.iter();
        Self {
            peer: peer.0.into(),
            start: sender.start,
            streams: streams
                .map(|((number, topic), window)| Mark { number: *number, topic: (*topic).into(), high: window.highest })
                .collect(),
            manifests: manifests
                .map(|(topic, (session, counter))| Newest {
                    topic: (*topic).into(),
                    session: *session,
                    counter: *counter,
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: PeerId = PeerId([1; 32]);

    fn session(start: u64) -> Session {
        Session::of(start, 0)
    }

    #[test]
    fn each_message_is_taken_once_in_whatever_order_it_comes() {
        let mut heard = Heard::default();
        let mut take = |counter| heard.take(PEER, session(1), "t", counter);
        assert!(take(100) && !take(100));
        assert!(take(102) && take(101) && !take(101) && !take(102));
        assert!(take(102 - WINDOW + 1), "the oldest that may come");
        assert!(!take(102 - WINDOW), "one older");
        assert!(take(10_000) && !take(102) && !take(9_000) && take(9_999));
        assert!(take(u64::MAX) && !take(u64::MAX) && take(u64::MAX - 1));
    }

    #[test]
    fn streams_are_apart_and_what_an_older_start_sent_is_old() {
        let mut heard = Heard::default();
        assert!(heard.take(PEER, session(5), "t", 7) && heard.take(PEER, session(5), "u", 7));
        assert!(heard.take(PEER, Session::of(5, 1), "t", 7), "another repository of the same process");
        assert!(heard.take(PEER, session(6), "t", 0));
        assert!(!heard.take(PEER, session(5), "t", 8) && !heard.take(PEER, session(5), "new", 0));
        assert!(heard.take(PeerId([2; 32]), session(1), "t", 0));
    }

    #[test]
    fn a_new_process_knows_what_the_one_before_has_heard() {
        let mut heard = Heard::default();
        for counter in 0..10 {
            heard.take(PEER, session(5), "t", counter);
        }
        assert!(!heard.is_older_manifest(PEER, session(5), "m", 3));
        let bytes = heard.save().unwrap();
        assert_eq!(heard.save(), None, "nothing has changed");
        let mut heard = Heard::default();
        heard.restore(&bytes);
        assert!((0..10).all(|counter| !heard.take(PEER, session(5), "t", counter)));
        assert!(!heard.take(PEER, session(4), "t", 99));
        assert!(heard.take(PEER, session(5), "t", 10) && heard.take(PEER, session(6), "t", 0));
        assert!(
            heard.is_older_manifest(PEER, session(5), "m", 2) && !heard.is_older_manifest(PEER, session(5), "m", 3)
        );
        assert!(
            heard.is_older_manifest(PEER, session(4), "m", 9) && !heard.is_older_manifest(PEER, session(6), "m", 0)
        );
        heard.restore(b"garbage");
    }

    #[test]
    fn memory_is_bounded() {
        let mut heard = Heard::default();
        for n in 0..2 * MAX_HEARD_PEERS as u64 {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&n.to_be_bytes());
            heard.take(PeerId(id), session(1), "t", 0);
        }
        assert_eq!(heard.peers.len(), MAX_HEARD_PEERS);
        for n in 0..2 * MAX_HEARD_STREAMS {
            heard.take(PEER, session(1), &format!("t{n}"), 0);
        }
        for n in 0..2 * MAX_HEARD_MANIFESTS {
            heard.is_older_manifest(PEER, session(1), &format!("m{n}"), 0);
        }
        assert_eq!(heard.peers[&PEER].streams.len(), MAX_HEARD_STREAMS);
        assert_eq!(heard.peers[&PEER].manifests.len(), MAX_HEARD_MANIFESTS);
        assert!(!heard.take(PEER, session(1), &format!("t{}", 2 * MAX_HEARD_STREAMS - 1), 0));
    }
}
