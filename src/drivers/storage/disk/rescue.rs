//! Puts documents together from the pieces that were found of them.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use automerge::{Change, ChangeHash};

use super::scan::{Found, Pieces};
use super::tables::SUMMARY;
use super::values;
use crate::canvas::decode_change;
use crate::ids::{DocumentId, Heads};
use crate::sync::{Content, Summary};
use crate::wire::{Voucher, decode_voucher};

/// A document as it is stored anew.
pub(super) struct Rescued {
    pub(super) snapshot: Option<Vec<u8>>,
    /// Changes that cannot be applied: what they depend on is lost here, but others may have it.
    pub(super) changes: Vec<Vec<u8>>,
    pub(super) summary: Summary,
    pub(super) acknowledged: Option<Heads>,
    /// Who vouches for the changes of its actors, as far as that was found.
    pub(super) vouchers: Vec<Voucher>,
    /// How many snapshots of it were found that could be read.
    pub(super) snapshots_read: u64,
    /// How many changes it has, applied or not.
    pub(super) change_count: u64,
    /// Whether all is there that was noted of it.
    pub(super) complete: bool,
}

/// What is known of one document while the pieces are sorted.
pub(super) struct Puzzle {
    id: DocumentId,
    /// The snapshots that can be read, the newest first.
    snapshots: Vec<Content>,
    changes: BTreeMap<ChangeHash, Change>,
    /// Hashes that are of this document and no other: of its changes, of what they depend on, and of its noted heads.
    hashes: BTreeSet<ChangeHash>,
    acknowledged: Option<Heads>,
    vouchers: Vec<Voucher>,
    /// The newest changes that it should have, if the note on it was found.
    noted: Option<Heads>,
}

/// Automerge may panic on bytes that pass its checks.
fn load(id: &DocumentId, bytes: &[u8]) -> Option<Content> {
    catch_unwind(AssertUnwindSafe(|| Content::load(id, bytes))).ok()?.ok()
}

impl Puzzle {
    pub(super) fn new(id: DocumentId, mut pieces: Pieces<'_>) -> Self {
        pieces.snapshots.sort_by_key(|(covered, _)| std::cmp::Reverse(*covered));
        let acknowledged = pieces.acknowledged().and_then(values::decode_heads);
        let noted = pieces.notes.get(&SUMMARY).and_then(|row| values::decode_summary(row));
        let mut puzzle = Self {
            id,
            snapshots: Vec::new(),
            changes: BTreeMap::new(),
            hashes: BTreeSet::new(),
            acknowledged,
            vouchers: Vec::new(),
            noted: noted.map(|summary| summary.heads),
        };
        let heads = [puzzle.noted.clone(), puzzle.acknowledged.clone()];
        puzzle.hashes.extend(heads.iter().flatten().flat_map(Heads::as_slice));
        puzzle.add(pieces);
        puzzle
    }

    fn add(&mut self, pieces: Pieces<'_>) {
        for (_, bytes) in pieces.snapshots {
            if let Some(document) = load(&self.id, bytes) {
                self.hashes.extend(document.replica().history());
                self.snapshots.push(document);
            }
        }
        for change in pieces.changes.into_iter().filter_map(|bytes| decode_change(bytes.to_vec()).ok()) {
            self.hashes.insert(change.hash());
            self.hashes.extend(change.deps());
            self.changes.insert(change.hash(), change);
        }
        self.vouchers.extend(pieces.vouchers.into_iter().filter_map(|bytes| decode_voucher(bytes).ok()));
        // All documents of a kind have these.
        for hash in Content::new(&self.id).replica().history() {
            self.hashes.remove(hash);
        }
    }

    /// Whether a chunk that was found somewhere has anything in common with this document.
    fn is_ours(&self, chunk: &Chunk<'_>) -> bool {
        let hashes = match self.id {
            DocumentId::Index { .. } => &chunk.as_index,
            DocumentId::Canvas { .. } => &chunk.as_canvas,
        };
        hashes.iter().any(|hash| self.hashes.contains(hash))
    }

    /// The document, with everything that can be applied; `None` if nothing of it is left.
    pub(super) fn solve(mut self) -> Option<Rescued> {
        let snapshots_read = self.snapshots.len() as u64;
        let mut all = self.snapshots.drain(..);
        let mut document = all.next().unwrap_or_else(|| Content::new(&self.id));
        for older in all {
            self.changes.extend(older.replica().changes_since(&[]).into_iter().map(|change| (change.hash(), change)));
        }
        document.apply(self.changes.values().cloned().collect());
        let replica = document.replica();
        let bytes = replica.save();
        // What cannot be read back is worth nothing; then its changes are kept one by one.
        let sound = load(&self.id, &bytes).is_some_and(|read| read.replica().heads() == replica.heads());
        let lacking = |change: &&Change| !sound || !replica.contains(&change.hash());
        let changes: Vec<_> = self.changes.values().filter(lacking).map(|change| change.raw_bytes().to_vec()).collect();
        let applied = if sound { replica.change_count() - Content::new(&self.id).replica().change_count() } else { 0 };
        if applied == 0 && changes.is_empty() {
            return None;
        }
        let newest = replica.newest_of_actors();
        let vouches = |voucher: &Voucher| newest.get(&voucher.actor).is_some_and(|last| last.hash == voucher.hash);
        self.vouchers.retain(vouches);
        let (nodes, edges) = document.counts();
        let noted = |heads: &Heads| heads.as_slice().iter().all(|head| replica.contains(head));
        Some(Rescued {
            complete: changes.is_empty() && self.noted.as_ref().is_some_and(noted),
            snapshot: sound.then_some(bytes),
            change_count: (applied + changes.len()) as u64,
            changes,
            // Whatever the broker is not known to have is sent again.
            summary: Summary { heads: replica.heads(), nodes, edges, unsent: true },
            acknowledged: self.acknowledged,
            vouchers: self.vouchers,
            snapshots_read,
        })
    }
}

/// A chunk of which no header says what it belongs to.
struct Chunk<'a> {
    bytes: &'a [u8],
    is_change: bool,
    /// The hashes in it, should it be of a canvas.
    as_canvas: Vec<ChangeHash>,
    /// The hashes in it, should it be of an index.
    as_index: Vec<ChangeHash>,
}

impl<'a> Chunk<'a> {
    fn change(bytes: &'a [u8], change: &Change) -> Self {
        let hashes: Vec<_> = change.deps().iter().copied().chain([change.hash()]).collect();
        Self { bytes, is_change: true, as_canvas: hashes.clone(), as_index: hashes }
    }

    fn snapshot(bytes: &'a [u8], canvas: &DocumentId, index: &DocumentId) -> Self {
        let history = |id| load(id, bytes).map_or_else(Vec::new, |read| read.replica().history().to_vec());
        Self { bytes, is_change: false, as_canvas: history(canvas), as_index: history(index) }
    }

    fn pieces(&self) -> Pieces<'a> {
        if self.is_change {
            Pieces { changes: vec![self.bytes], ..Pieces::default() }
        } else {
            Pieces { snapshots: vec![(0, self.bytes)], ..Pieces::default() }
        }
    }
}

/// Gives loose chunks to the documents that they have changes in common with, until nothing more fits. Returns how many
/// bytes of them are left.
pub(super) fn assign(puzzles: &mut [Puzzle], found: Pieces<'_>) -> u64 {
    let any = |puzzles: &[Puzzle], canvas: bool| {
        let of_kind = |puzzle: &&Puzzle| matches!(puzzle.id, DocumentId::Canvas { .. }) == canvas;
        puzzles.iter().find(of_kind).map(|puzzle| puzzle.id.clone())
    };
    let mut loose = Vec::new();
    for bytes in found.changes {
        let Ok(change) = decode_change(bytes.to_vec()) else { continue };
        // Pages that are free by now hold copies of what was found elsewhere.
        if !puzzles.iter().any(|puzzle| puzzle.changes.contains_key(&change.hash())) {
            loose.push(Chunk::change(bytes, &change));
        }
    }
    // Without any document of a kind nothing can belong to one.
    if let Some(some) = any(puzzles, true).or_else(|| any(puzzles, false)) {
        let canvas = any(puzzles, true).unwrap_or_else(|| some.clone());
        let index = any(puzzles, false).unwrap_or(some);
        loose.extend(found.snapshots.into_iter().map(|(_, bytes)| Chunk::snapshot(bytes, &canvas, &index)));
    }
    loop {
        let before = loose.len();
        loose.retain(|chunk| {
            let Some(puzzle) = puzzles.iter_mut().find(|puzzle| puzzle.is_ours(chunk)) else { return true };
            puzzle.add(chunk.pieces());
            false
        });
        if loose.len() == before {
            return loose.iter().map(|chunk| chunk.bytes.len() as u64).sum();
        }
    }
}

/// The documents of which pieces were found, by their keys.
pub(super) fn puzzles(found: &mut Found<'_>) -> Vec<(Vec<u8>, Puzzle)> {
    let documents = std::mem::take(&mut found.documents).into_iter();
    documents
        .filter_map(|(key, pieces)| {
            let (_, id, _) = super::keys::read(&key)?;
            Some((key, Puzzle::new(id, pieces)))
        })
        .collect()
}
