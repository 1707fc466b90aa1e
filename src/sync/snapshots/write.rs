//! Writing one snapshot: its parts, and then the manifest that names them.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

use super::super::io::PublishToken;
use super::book::Digest;
use crate::ids::Heads;
use crate::limits::{MAX_BODY_BYTES, MAX_PARTS_WRITING, MAX_SNAPSHOT_PARTS};
use crate::wire::Manifest;

/// What the encodings of a byte string, of a list and of an integer need at most beside their content.
const HEAD_BYTES: usize = 9;
/// An encoded hash.
const HASH_BYTES: usize = 34;

/// A snapshot on its way to the broker.
///
/// | state | next | an acknowledgement | the last acknowledgement |
/// | --- | --- | --- | --- |
/// | parts | publish a part, while few are unacknowledged | parts | manifest |
/// | manifest | publish the manifest, once | – | done |
///
/// Refused, or disconnected: it is abandoned, and begun anew later.
#[derive(Debug)]
pub(crate) struct Write {
    saved: Vec<u8>,
    part_bytes: usize,
    manifest: Manifest,
    /// The next part to publish.
    next: usize,
    unacknowledged: BTreeSet<PublishToken>,
    /// Once it is published, the manifest's counter.
    manifest_counter: Option<u64>,
    /// How many changes the document had.
    pub(crate) changes: usize,
}

/// What to publish now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing until something is acknowledged.
    Rest,
    /// A part, on the topic that bears its digest.
    Part(Digest, Vec<u8>),
    /// The manifest.
    Manifest(Manifest),
}

impl Write {
    /// Cuts a saved document into parts that fit a packet with room for so many bytes each, *before* compression, since a
    /// broker keeps one message a topic: nothing retained may travel in fragments. `None` when the manifest would not
    /// fit one packet, or the document is larger than anyone takes.
    pub(crate) fn new(saved: Vec<u8>, heads: Heads, changes: usize, room: usize) -> Option<Self> {
        let part_bytes = room.checked_sub(HEAD_BYTES).filter(|bytes| *bytes > 0)?;
        let count = saved.len().div_ceil(part_bytes);
        let manifest_bytes = 4 * HEAD_BYTES + HASH_BYTES * (count + heads.as_slice().len());
        if saved.len() > MAX_BODY_BYTES || count > MAX_SNAPSHOT_PARTS || manifest_bytes > room {
            return None;
        }
        let parts = saved.chunks(part_bytes).map(|part| Sha256::digest(part).into()).collect();
        let manifest = Manifest { heads, parts, total_bytes: saved.len() as u64 };
        let unacknowledged = BTreeSet::new();
        Some(Self { saved, part_bytes, manifest, next: 0, unacknowledged, manifest_counter: None, changes })
    }

    pub(crate) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What to publish under this counter; [`Write::sent`] must follow.
    pub(crate) fn next(&mut self, counter: u64) -> Next {
        if let Some(digest) = self.manifest.parts.get(self.next) {
            if self.unacknowledged.len() >= MAX_PARTS_WRITING {
                return Next::Rest;
            }
            let part = self.saved.chunks(self.part_bytes).nth(self.next).unwrap_or_default();
            self.next += 1;
            return Next::Part(*digest, part.to_vec());
        }
        if self.manifest_counter.is_some() || !self.unacknowledged.is_empty() {
            return Next::Rest;
        }
        self.manifest_counter = Some(counter);
        Next::Manifest(self.manifest.clone())
    }

    /// Notes under which token it was published.
    pub(crate) fn sent(&mut self, token: PublishToken) {
        self.unacknowledged.insert(token);
    }

    /// The broker has it. When it has everything now: the counter of the manifest.
    pub(crate) fn acknowledged(&mut self, token: PublishToken) -> Option<u64> {
        self.unacknowledged.remove(&token);
        self.manifest_counter.filter(|_| self.unacknowledged.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use automerge::ChangeHash;

    use super::*;

    const ROOM: usize = 4 << 10;

    fn heads(count: u8) -> Heads {
        (0..count).map(|byte| ChangeHash([byte; 32])).collect()
    }

    #[test]
    fn the_manifest_leaves_when_all_parts_are_acknowledged() {
        let saved: Vec<u8> = (0..40_000_u32).flat_map(u32::to_be_bytes).collect();
        let mut write = Write::new(saved.clone(), heads(1), 1, ROOM).unwrap();
        let mut sent = Vec::new();
        let mut in_flight = Vec::new();
        let mut token = 0;
        loop {
            match write.next(7) {
                Next::Part(digest, part) => {
                    assert_eq!(digest[..], Sha256::digest(&part)[..]);
                    assert!(part.len() + HEAD_BYTES <= ROOM);
                    sent.extend(part);
                    token += 1;
                    write.sent(PublishToken(token));
                    in_flight.push(PublishToken(token));
                    assert!(in_flight.len() <= MAX_PARTS_WRITING);
                }
                Next::Rest => assert_eq!(write.acknowledged(in_flight.remove(0)), None),
                Next::Manifest(manifest) => {
                    assert!(in_flight.is_empty());
                    assert_eq!(manifest.total_bytes, 160_000);
                    break;
                }
            }
        }
        assert_eq!(sent, saved);
        write.sent(PublishToken(99));
        assert_eq!(write.next(8), Next::Rest);
        assert_eq!(write.acknowledged(PublishToken(99)), Some(7));
    }

    #[test]
    fn what_no_manifest_can_describe_is_not_begun() {
        assert!(Write::new(vec![0; 100 * ROOM], heads(1), 1, ROOM).is_some());
        assert!(Write::new(vec![0; 200 * ROOM], heads(1), 1, ROOM).is_none());
        assert!(Write::new(vec![0; 1], heads(200), 1, ROOM).is_none());
        assert!(Write::new(vec![0; 1], heads(1), 1, 0).is_none());
    }
}
