//! Putting fragments together again, within bounds (`docs/protocol.md`, section 3.5).

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::ids::{Nonce, PeerId, Session};
use crate::limits::{
    FRAGMENT_OVERHEAD_BYTES, MAX_BODY_BYTES, MAX_REASSEMBLIES, MAX_REASSEMBLIES_PER_PEER, MAX_REASSEMBLY_BYTES,
    REASSEMBLY_TIMEOUT_MS,
};
use crate::time::Now;
use crate::wire::codec::Limit;
use crate::wire::envelope::read_body;
use crate::wire::error::WireError;
use crate::wire::header::Header;
use crate::wire::messages::Body;
use crate::wire::topics::Topic;

/// What fragments of one message have in common. The sender comes first, so that its messages lie side by side.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    sender: PeerId,
    session: Session,
    topic: Topic,
    message: Nonce,
}

/// A message of which fragments are missing.
#[derive(Debug)]
struct Pending {
    /// The header of the first fragment that came; the others must agree with it.
    header: Header,
    count: u32,
    pieces: BTreeMap<u32, Vec<u8>>,
    /// Length of all pieces.
    body_bytes: usize,
    /// When the newest fragment came, as [`Now::elapsed_ms`].
    touched_ms: u64,
}

impl Pending {
    /// What it counts for against [`MAX_REASSEMBLY_BYTES`].
    fn cost_bytes(&self) -> usize {
        self.pieces.len() * FRAGMENT_OVERHEAD_BYTES + self.body_bytes
    }

    fn agrees_with(&self, header: &Header, count: u32) -> bool {
        (self.header.kind, self.header.codec, self.count) == (header.kind, header.codec, count)
    }

    fn concatenate(self) -> Vec<u8> {
        let mut whole = Vec::with_capacity(self.body_bytes);
        for piece in self.pieces.into_values() {
            whole.extend_from_slice(&piece);
        }
        whole
    }
}

/// Collects fragments of verified packets. What it forgets at a bound, catching up repairs.
#[derive(Debug)]
pub struct Reassembler {
    pending: BTreeMap<Key, Pending>,
    /// Sum of all [`Pending::cost_bytes`].
    cost_bytes: usize,
    max_message_bytes: usize,
    max_cost_bytes: usize,
}

impl Default for Reassembler {
    fn default() -> Self {
        Self::new()
    }
}

impl Reassembler {
    /// An empty one, with the caps of `src/limits.rs`.
    #[must_use]
    pub fn new() -> Self {
        Self::with_caps(MAX_BODY_BYTES, MAX_REASSEMBLY_BYTES)
    }

    /// An empty one that holds at most `max_message_bytes` of one message and `max_cost_bytes` in all.
    pub(super) fn with_caps(max_message_bytes: usize, max_cost_bytes: usize) -> Self {
        Self { pending: BTreeMap::new(), cost_bytes: 0, max_message_bytes, max_cost_bytes }
    }

    /// Whether no message waits for fragments.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Takes a piece that [`open`](super::envelope::open) gave; returns the body when it was the last that was missing.
    ///
    /// # Errors
    /// * [`WireError::ConflictingFragment`]: it contradicts an earlier one, which stays.
    /// * [`WireError::TooLong`]: the message exceeds [`MAX_BODY_BYTES`]; it is forgotten.
    /// * Whatever is wrong with the complete body; it is forgotten.
    pub fn add(&mut self, now: Now, topic: &Topic, header: &Header, piece: &[u8]) -> Result<Option<Body>, WireError> {
        let fragment = header.fragment.ok_or(WireError::Malformed { what: "fragment" })?;
        let key =
            Key { sender: header.sender, session: header.session, topic: topic.clone(), message: fragment.message };
        let pending = match self.pending.entry(key.clone()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(Pending {
                header: header.clone(),
                count: fragment.count,
                pieces: BTreeMap::new(),
                body_bytes: 0,
                touched_ms: now.elapsed_ms,
            }),
        };
        if !pending.agrees_with(header, fragment.count) {
            return Err(WireError::ConflictingFragment);
        }
        match pending.pieces.entry(fragment.index) {
            Entry::Occupied(known) if known.get() == piece => return Ok(None),
            Entry::Occupied(_) => return Err(WireError::ConflictingFragment),
            Entry::Vacant(place) => place.insert(piece.to_vec()),
        };
        pending.body_bytes += piece.len();
        pending.touched_ms = now.elapsed_ms;
        self.cost_bytes += piece.len() + FRAGMENT_OVERHEAD_BYTES;

        let (length, complete) = (pending.body_bytes, pending.pieces.len() == pending.count as usize);
        let limit = Limit { what: "fragmented body", max: self.max_message_bytes };
        if let Err(too_long) = limit.check(length) {
            self.forget(&key);
            return Err(too_long);
        }
        if complete {
            let Some(pending) = self.forget(&key) else {
                return Ok(None);
            };
            return read_body(topic, header, &pending.concatenate()).map(Some);
        }
        self.enforce_caps(&key);
        Ok(None)
    }

    /// Forgets what has waited too long for its next fragment; returns how many messages that were.
    pub fn expire(&mut self, now: Now) -> usize {
        let before = self.pending.len();
        let cost_bytes = &mut self.cost_bytes;
        self.pending.retain(|_, pending| {
            let alive = now.elapsed_ms.saturating_sub(pending.touched_ms) < REASSEMBLY_TIMEOUT_MS;
            if !alive {
                *cost_bytes = cost_bytes.saturating_sub(pending.cost_bytes());
            }
            alive
        });
        before - self.pending.len()
    }

    /// Forgets the messages that waited longest, first of this sender, then of all, but never the one just touched.
    fn enforce_caps(&mut self, newest: &Key) {
        let mine = |key: &Key| key.sender == newest.sender;
        while self.pending.keys().filter(|key| mine(key)).count() > MAX_REASSEMBLIES_PER_PEER {
            if !self.forget_oldest(|key| mine(key) && key != newest) {
                break;
            }
        }
        while self.pending.len() > MAX_REASSEMBLIES || self.cost_bytes > self.max_cost_bytes {
            if !self.forget_oldest(|key| key != newest) {
                break;
            }
        }
    }

    /// A linear search: at most [`MAX_REASSEMBLIES`] are held.
    fn forget_oldest(&mut self, eligible: impl Fn(&Key) -> bool) -> bool {
        let oldest = self.pending.iter().filter(|(key, _)| eligible(key)).min_by_key(|(_, pending)| pending.touched_ms);
        match oldest.map(|(key, _)| key.clone()) {
            Some(key) => self.forget(&key).is_some(),
            None => false,
        }
    }

    fn forget(&mut self, key: &Key) -> Option<Pending> {
        let pending = self.pending.remove(key)?;
        self.cost_bytes = self.cost_bytes.saturating_sub(pending.cost_bytes());
        Some(pending)
    }
}

#[cfg(test)]
impl Reassembler {
    /// Whether the books are right and the caps hold.
    pub(super) fn is_consistent(&self) -> bool {
        let cost: usize = self.pending.values().map(Pending::cost_bytes).sum();
        let mut by_sender = BTreeMap::<PeerId, usize>::new();
        for key in self.pending.keys() {
            *by_sender.entry(key.sender).or_default() += 1;
        }
        cost == self.cost_bytes
            && cost <= self.max_cost_bytes
            && self.pending.len() <= MAX_REASSEMBLIES
            && by_sender.values().all(|count| *count <= MAX_REASSEMBLIES_PER_PEER)
    }
}
