//! The manifests that the broker is known to keep.

use std::collections::BTreeMap;

use crate::ids::{DocumentId, Heads, PeerId, Session};
use crate::limits::{MAX_MANIFEST_HASHES, MAX_MANIFESTS, MAX_MANIFESTS_PER_DOCUMENT};
use crate::wire::Manifest;

/// SHA-256 of a part.
pub(crate) type Digest = [u8; 32];

/// A manifest as it was last heard of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) heads: Heads,
    pub(crate) parts: Vec<Digest>,
    pub(crate) total_bytes: u64,
    /// The session that wrote it, and its counter within the topic.
    pub(crate) session: Session,
    pub(crate) counter: u64,
    /// The writer's clock, in milliseconds since the Unix epoch.
    pub(crate) sent_unix_ms: u64,
    /// What it points to could not be had, or was not what it says.
    pub(crate) broken: bool,
}

impl Known {
    pub(crate) fn new(manifest: Manifest, session: Session, counter: u64, sent_unix_ms: u64) -> Self {
        let Manifest { heads, parts, total_bytes } = manifest;
        Self { heads, parts, total_bytes, session, counter, sent_unix_ms, broken: false }
    }

    /// Whether a document can be read by it, as far as is known.
    pub(crate) fn is_readable(&self) -> bool {
        !self.broken && !self.parts.is_empty()
    }

    fn hashes(&self) -> usize {
        self.heads.as_slice().len() + self.parts.len()
    }
}

#[derive(Debug)]
struct Entry {
    known: Known,
    age: u64,
}

/// What manifests there are, one for each document and writer, also of documents that are not held: a canvas's manifest
/// may come before the index lists the canvas, and a retained message comes once, when its topic is subscribed.
///
/// Bounded by [`MAX_MANIFESTS`], [`MAX_MANIFESTS_PER_DOCUMENT`] and [`MAX_MANIFEST_HASHES`]: the oldest is forgotten. What
/// it covered then counts as not covered, and is written again.
#[derive(Debug, Default)]
pub(crate) struct ManifestBook {
    documents: BTreeMap<DocumentId, BTreeMap<PeerId, Entry>>,
    by_age: BTreeMap<u64, (DocumentId, PeerId)>,
    clock: u64,
    hashes: usize,
}

impl ManifestBook {
    /// Notes a manifest; whether it is new. One that its writer's session has replaced since is passed over, however late
    /// it comes.
    pub(crate) fn note(&mut self, id: &DocumentId, writer: PeerId, known: Known) -> bool {
        if let Some(present) = self.get(id, &writer)
            && present.session == known.session
            && known.counter <= present.counter
        {
            return false;
        }
        self.forget(id, &writer);
        self.clock += 1;
        self.hashes += known.hashes();
        self.by_age.insert(self.clock, (id.clone(), writer));
        self.documents.entry(id.clone()).or_default().insert(writer, Entry { known, age: self.clock });
        self.enforce_caps(id);
        true
    }

    pub(crate) fn get(&self, id: &DocumentId, writer: &PeerId) -> Option<&Known> {
        self.documents.get(id)?.get(writer).map(|entry| &entry.known)
    }

    /// All of one document.
    pub(crate) fn of(&self, id: &DocumentId) -> impl Iterator<Item = (PeerId, &Known)> {
        self.documents.get(id).into_iter().flatten().map(|(writer, entry)| (*writer, &entry.known))
    }

    /// The documents of which there are manifests.
    pub(crate) fn documents(&self) -> impl Iterator<Item = &DocumentId> {
        self.documents.keys()
    }

    /// What the manifest points to could not be had.
    pub(crate) fn mark_broken(&mut self, id: &DocumentId, writer: &PeerId) {
        if let Some(entry) = self.documents.get_mut(id).and_then(|writers| writers.get_mut(writer)) {
            entry.known.broken = true;
        }
    }

    /// The broker no longer has it.
    pub(crate) fn forget(&mut self, id: &DocumentId, writer: &PeerId) -> Option<Known> {
        let writers = self.documents.get_mut(id)?;
        let Entry { known, age } = writers.remove(writer)?;
        if writers.is_empty() {
            self.documents.remove(id);
        }
        self.by_age.remove(&age);
        self.hashes -= known.hashes();
        Some(known)
    }

    /// Whether a manifest needs this part.
    pub(crate) fn needs(&self, id: &DocumentId, part: &Digest) -> bool {
        self.of(id).any(|(_, known)| known.parts.contains(part))
    }

    fn enforce_caps(&mut self, id: &DocumentId) {
        while self.documents.get(id).is_some_and(|writers| writers.len() > MAX_MANIFESTS_PER_DOCUMENT) {
            let writers = self.documents.get(id).into_iter().flatten();
            let Some(oldest) = writers.min_by_key(|(_, entry)| entry.age).map(|(writer, _)| *writer) else { break };
            self.forget(id, &oldest);
        }
        // The newest stays: its hashes are bounded by the message that brought it.
        while self.by_age.len() > 1 && (self.by_age.len() > MAX_MANIFESTS || self.hashes > MAX_MANIFEST_HASHES) {
            let Some((_, (id, writer))) = self.by_age.first_key_value() else { break };
            let (id, writer) = (id.clone(), *writer);
            self.forget(&id, &writer);
        }
    }
}

#[cfg(test)]
mod tests {
    use automerge::ChangeHash;

    use super::*;
    use crate::ids::RepositoryName;

    fn id(name: &str) -> DocumentId {
        DocumentId::Index { repository: RepositoryName::new(name).unwrap() }
    }

    fn known(session: u64, counter: u64, parts: usize) -> Known {
        let manifest = Manifest {
            heads: Heads::new(vec![ChangeHash([1; 32])]),
            parts: vec![[u8::try_from(counter).unwrap(); 32]; parts],
            total_bytes: 1,
        };
        Known::new(manifest, Session(session), counter, 0)
    }

    fn writer(number: usize) -> PeerId {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&number.to_be_bytes());
        PeerId(key)
    }

    #[test]
    fn a_writers_newer_manifest_replaces_its_older_one_and_not_the_other_way_round() {
        let mut book = ManifestBook::default();
        let writer = writer(1);
        assert!(book.note(&id("r"), writer, known(1, 5, 1)));
        assert!(!book.note(&id("r"), writer, known(1, 4, 1)));
        assert!(!book.note(&id("r"), writer, known(1, 5, 1)));
        assert!(book.note(&id("r"), writer, known(2, 0, 1)), "another session of the writer");
        assert!(book.needs(&id("r"), &[0; 32]) && !book.needs(&id("r"), &[5; 32]));
        assert_eq!(book.of(&id("r")).count(), 1);
    }

    #[test]
    fn what_is_broken_stays_so_until_it_is_replaced() {
        let mut book = ManifestBook::default();
        let writer = writer(1);
        book.note(&id("r"), writer, known(1, 1, 1));
        book.mark_broken(&id("r"), &writer);
        book.note(&id("r"), writer, known(1, 1, 1));
        assert!(!book.get(&id("r"), &writer).unwrap().is_readable());
        book.note(&id("r"), writer, known(1, 2, 1));
        assert!(book.get(&id("r"), &writer).unwrap().is_readable());
    }

    #[test]
    fn many_writers_and_large_manifests_push_out_the_oldest() {
        let mut book = ManifestBook::default();
        for number in 0..MAX_MANIFESTS_PER_DOCUMENT + 3 {
            book.note(&id("r"), writer(number), known(1, 1, 1));
        }
        assert_eq!(book.of(&id("r")).count(), MAX_MANIFESTS_PER_DOCUMENT);
        assert!(book.get(&id("r"), &writer(2)).is_none());
        for number in 0..20 {
            book.note(&id(&format!("s{number}")), writer(0), known(1, 1, MAX_MANIFEST_HASHES / 16));
        }
        assert!(book.hashes <= MAX_MANIFEST_HASHES);
        assert_eq!(book.by_age.len(), book.documents.values().map(BTreeMap::len).sum::<usize>());
        assert!(book.get(&id("s19"), &writer(0)).is_some() && book.get(&id("s0"), &writer(0)).is_none());
    }
}
