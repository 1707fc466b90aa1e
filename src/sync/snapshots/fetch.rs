//! Reading one snapshot: its parts, each taken from its own topic.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::book::{Digest, Known};
use crate::ids::PeerId;
use crate::limits::{MAX_BODY_BYTES, MAX_PARTS_FETCHING};

/// The parts of one manifest on their way here. Whoever drives it subscribes to what [`Fetch::subscribe`] says, gives
/// what arrives to [`Fetch::part`], and abandons it when nothing has come for a while.
///
/// | state | a part of it arrives | too many bytes | the last part arrives | nothing arrives for a while |
/// | --- | --- | --- | --- | --- |
/// | waiting for parts | waiting for parts | failed | complete | failed |
#[derive(Debug)]
pub(crate) struct Fetch {
    /// Whose manifest it is.
    pub(crate) writer: PeerId,
    pub(crate) known: Known,
    total_bytes: usize,
    /// Not subscribed yet.
    waiting: VecDeque<Digest>,
    /// Subscribed, and not yet here.
    awaited: BTreeSet<Digest>,
    got: BTreeMap<Digest, Vec<u8>>,
    got_bytes: usize,
}

/// What a part did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Nothing: it was not asked for, or not any more.
    Stray,
    /// More parts are needed.
    More,
    /// All parts are here: the saved document.
    Complete(Vec<u8>),
    /// The parts are not as long as the manifest says.
    WrongLength,
}

impl Fetch {
    /// `None` when the manifest names no parts, or more bytes than a document may have; nothing is allocated for them.
    pub(crate) fn new(writer: PeerId, known: &Known) -> Option<Self> {
        let total_bytes = usize::try_from(known.total_bytes).ok().filter(|bytes| *bytes <= MAX_BODY_BYTES)?;
        if !known.is_readable() {
            return None;
        }
        let distinct: BTreeSet<Digest> = known.parts.iter().copied().collect();
        Some(Self {
            writer,
            known: known.clone(),
            total_bytes,
            waiting: distinct.into_iter().collect(),
            awaited: BTreeSet::new(),
            got: BTreeMap::new(),
            got_bytes: 0,
        })
    }

    /// How many bytes it will hold at most.
    pub(crate) fn total_bytes(&self) -> usize {
        self.total_bytes
    }

    /// What to subscribe to now.
    pub(crate) fn subscribe(&mut self) -> Vec<Digest> {
        let room = MAX_PARTS_FETCHING.saturating_sub(self.awaited.len()).min(self.waiting.len());
        let next: Vec<Digest> = self.waiting.drain(..room).collect();
        self.awaited.extend(&next);
        next
    }

    /// What is subscribed at present.
    pub(crate) fn subscribed(&self) -> impl Iterator<Item = &Digest> {
        self.awaited.iter()
    }

    /// A part arrived whose digest was verified. What was awaited is to be unsubscribed.
    pub(crate) fn part(&mut self, digest: &Digest, bytes: Vec<u8>) -> Taken {
        if !self.awaited.remove(digest) {
            return Taken::Stray;
        }
        self.got_bytes += bytes.len();
        if self.got_bytes > self.total_bytes {
            return Taken::WrongLength;
        }
        self.got.insert(*digest, bytes);
        if !self.waiting.is_empty() || !self.awaited.is_empty() {
            return Taken::More;
        }
        self.assemble().map_or(Taken::WrongLength, Taken::Complete)
    }

    /// A part may occur repeatedly; the bytes are counted before they are put together.
    fn assemble(&mut self) -> Option<Vec<u8>> {
        let lengths = self.known.parts.iter().map(|digest| self.got.get(digest).map_or(0, Vec::len));
        if lengths.fold(0_usize, usize::saturating_add) != self.total_bytes {
            return None;
        }
        if let [only] = self.known.parts.as_slice() {
            return self.got.remove(only);
        }
        let mut whole = Vec::with_capacity(self.total_bytes);
        for digest in &self.known.parts {
            whole.extend_from_slice(self.got.get(digest)?);
        }
        Some(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Heads, Session};
    use crate::wire::Manifest;

    fn fetch(parts: &[u8], total_bytes: u64) -> Option<Fetch> {
        let parts = parts.iter().map(|byte| [*byte; 32]).collect();
        let manifest = Manifest { heads: Heads::default(), parts, total_bytes };
        Fetch::new(PeerId([1; 32]), &Known::new(manifest, Session(1), 0, 0))
    }

    #[test]
    fn parts_in_any_order_come_together_in_theirs_a_few_at_a_time() {
        let parts: Vec<u8> = (0..10).collect();
        let mut fetch = fetch(&parts, 20).unwrap();
        let mut subscribed = fetch.subscribe();
        assert_eq!(subscribed.len(), MAX_PARTS_FETCHING);
        let mut whole = None;
        while let Some(digest) = subscribed.pop() {
            match fetch.part(&digest, vec![digest[0]; 2]) {
                Taken::More => subscribed.extend(fetch.subscribe()),
                Taken::Complete(bytes) => whole = Some(bytes),
                other => panic!("{other:?}"),
            }
            assert!(fetch.subscribed().count() <= MAX_PARTS_FETCHING);
        }
        assert_eq!(whole.unwrap(), parts.iter().flat_map(|byte| [*byte; 2]).collect::<Vec<u8>>());
    }

    #[test]
    fn a_part_that_occurs_twice_is_fetched_once() {
        let mut fetch = fetch(&[1, 2, 1], 6).unwrap();
        assert_eq!(fetch.subscribe().len(), 2);
        assert_eq!(fetch.part(&[1; 32], vec![1, 1]), Taken::More);
        assert_eq!(fetch.part(&[1; 32], vec![1, 1]), Taken::Stray);
        assert_eq!(fetch.part(&[9; 32], vec![1, 1]), Taken::Stray);
        assert_eq!(fetch.part(&[2; 32], vec![2, 2]), Taken::Complete(vec![1, 1, 2, 2, 1, 1]));
    }

    #[test]
    fn lengths_that_the_manifest_did_not_say_are_refused() {
        for total_bytes in [3, 5] {
            let mut fetch = fetch(&[1, 2], total_bytes).unwrap();
            fetch.subscribe();
            assert_eq!(fetch.part(&[1; 32], vec![1, 1]), Taken::More);
            assert_eq!(fetch.part(&[2; 32], vec![2, 2]), Taken::WrongLength);
        }
        let mut repeated = fetch(&[1; 1000], 10).unwrap();
        repeated.subscribe();
        assert_eq!(repeated.part(&[1; 32], vec![0; 10]), Taken::WrongLength, "not a thousand times as much");
    }

    #[test]
    fn what_is_too_large_or_has_no_parts_is_not_begun() {
        assert!(fetch(&[1], MAX_BODY_BYTES as u64 + 1).is_none());
        assert!(fetch(&[1], u64::MAX).is_none());
        assert!(fetch(&[], 0).is_none());
    }
}
