//! Looks through bytes for what is ours, whatever holds it: rows by their headers, and Automerge's chunks by theirs.
//!
//! redb keeps a value in one piece (pages of one value are next to each other in the file), so a row that is found goes on
//! to its end. Pages that are free by now still hold rows as they were before; what is in them is known to be old by
//! nothing, and does no harm: changes are a set, and adding one that is there already changes nothing.

use std::collections::BTreeMap;

use super::keys;
use super::row::{self, Kind};
use super::tables::{ACKNOWLEDGED, VOUCHER, document_of_note};
use super::values;
use crate::canvas::chunk::{self, CHANGE, DOCUMENT};

/// What was found, borrowed from the bytes.
#[derive(Default)]
pub(super) struct Found<'a> {
    /// By the keys of documents.
    pub(super) documents: BTreeMap<Vec<u8>, Pieces<'a>>,
    /// Chunks of which no header says what they belong to.
    pub(super) loose: Pieces<'a>,
    /// Bytes of rows that were damaged, beside the chunks in them.
    pub(super) lost_bytes: u64,
}

/// What was found of one document.
#[derive(Default)]
pub(super) struct Pieces<'a> {
    /// Compacted documents, each with the sequence number up to which it covers the changes.
    pub(super) snapshots: Vec<(u64, &'a [u8])>,
    pub(super) changes: Vec<&'a [u8]>,
    /// Notes by their kind; the last one found of each.
    pub(super) notes: BTreeMap<u8, &'a [u8]>,
    /// Who vouches for the changes of its actors; older ones may be among them.
    pub(super) vouchers: Vec<&'a [u8]>,
}

impl<'a> Found<'a> {
    /// Takes everything out of some bytes: a whole file, or the value of one row.
    pub(super) fn scan(&mut self, bytes: &'a [u8]) {
        let mut at = 0;
        while at < bytes.len() {
            at += match bytes[at] {
                first if first == row::MAGIC[0] => self.row(&bytes[at..]),
                first if first == chunk::MAGIC[0] => self.loose_chunk(&bytes[at..]),
                _ => None,
            }
            .unwrap_or(1);
        }
    }

    /// Takes the row at the beginning of the bytes, and returns how long it is.
    fn row(&mut self, bytes: &'a [u8]) -> Option<usize> {
        let row = row::read(bytes)?;
        let length = row.length();
        let document = match row.kind {
            Kind::Snapshot | Kind::Changes => keys::split_number(row.context)?.0,
            Kind::Note => document_of_note(row.context)?,
            Kind::Actor => row.context,
        };
        keys::read(document).filter(|(_, _, rest)| rest.is_empty())?;
        let pieces = self.documents.entry(document.to_vec()).or_default();
        if row.intact {
            pieces.take(&row);
            return Some(length);
        }
        let before = pieces.bytes();
        // A payload that is cut off may reach into what it does not own: only what is a chunk counts.
        let mut rest = row.payload;
        while !rest.is_empty() {
            let length = chunk(rest).map_or(1, |chunk| {
                pieces.take_chunk(chunk);
                chunk.len()
            });
            rest = &rest[length..];
        }
        let rescued = pieces.bytes() - before;
        self.lost_bytes += row.payload.len().saturating_sub(rescued) as u64;
        // What follows may be another row, if it was the length that was damaged; nothing is counted twice but chunks.
        Some(length)
    }

    fn loose_chunk(&mut self, bytes: &'a [u8]) -> Option<usize> {
        let chunk = chunk(bytes)?;
        self.loose.take_chunk(chunk);
        Some(chunk.len())
    }
}

impl<'a> Pieces<'a> {
    fn take(&mut self, row: &row::Row<'a>) {
        match row.kind {
            Kind::Snapshot => {
                let covered = keys::split_number(row.context).map_or(0, |(_, covered)| covered);
                self.snapshots.push((covered, row.payload));
            }
            Kind::Changes => self.changes.extend(values::changes(row.payload).flatten()),
            Kind::Note => match row.context.last() {
                Some(&VOUCHER) => self.vouchers.push(row.payload),
                Some(kind) => drop(self.notes.insert(*kind, row.payload)),
                None => {}
            },
            // After losses an actor must not be used again: it may have made changes that are known elsewhere.
            Kind::Actor => {}
        }
    }

    fn take_chunk(&mut self, chunk: &'a [u8]) {
        match chunk::split_first(chunk) {
            Some((DOCUMENT, ..)) => self.snapshots.push((0, chunk)),
            Some((CHANGE, ..)) => self.changes.push(chunk),
            _ => {}
        }
    }

    /// What the broker is known to have, as a row has it.
    pub(super) fn acknowledged(&self) -> Option<&'a [u8]> {
        self.notes.get(&ACKNOWLEDGED).copied()
    }

    /// Adds what belongs to the same document.
    pub(super) fn merge(&mut self, other: Pieces<'a>) {
        self.snapshots.extend(other.snapshots);
        self.changes.extend(other.changes);
        self.vouchers.extend(other.vouchers);
    }

    fn bytes(&self) -> usize {
        let snapshots = self.snapshots.iter().map(|(_, snapshot)| snapshot.len());
        snapshots.chain(self.changes.iter().map(|change| change.len())).sum()
    }
}

/// The chunk at the beginning of the bytes, if they go on to its end and it is of a kind that we keep.
fn chunk(bytes: &[u8]) -> Option<&[u8]> {
    let (kind, _, rest) = chunk::split_first(bytes)?;
    matches!(kind, DOCUMENT | CHANGE).then(|| &bytes[..bytes.len() - rest.len()])
}
