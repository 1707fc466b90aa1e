//! Retained manifests and snapshots: how a canvas reaches a peer that joins when no other is there.
//!
//! | file | what |
//! | --- | --- |
//! | `book.rs` | which manifests the broker keeps |
//! | `fetch.rs`, `reading.rs` | one snapshot being read; what is read, and when |
//! | `write.rs`, `writing.rs` | one snapshot being written; by whom, and when |
//! | `election.rs` | when one document is due |
//! | `hidden.rs` | which manifest a topic with hidden names is of |
//! | `litter.rs`, `clearing.rs` | what is taken off the broker again |
//!
//! `docs/protocol.md`, section 10.2, says what other peers may rely upon.

mod book;
mod clearing;
mod election;
mod fetch;
mod hidden;
mod litter;
mod reading;
mod write;
mod writing;

use std::collections::{BTreeMap, BTreeSet};

use book::ManifestBook;
use election::Election;
use fetch::Fetch;
use hidden::HiddenManifests;
use litter::Litter;
use write::Write;

use super::io::PublishToken;
use crate::ids::{DocumentId, PeerId};

/// Everything that a synchroniser keeps about snapshots.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    /// What the broker keeps, as heard on this connection.
    book: ManifestBook,
    pub(super) hidden: HiddenManifests,
    fetches: BTreeMap<DocumentId, Fetch>,
    /// Documents that wait until fewer are fetched.
    fetch_queue: BTreeSet<DocumentId>,
    writes: BTreeMap<DocumentId, Write>,
    /// Which write a publish belongs to.
    tokens: BTreeMap<PublishToken, DocumentId>,
    elections: BTreeMap<DocumentId, Election>,
    litter: Litter,
    /// How often the retained messages of a deleted canvas were cleared.
    clearings: BTreeMap<DocumentId, u32>,
    /// When whatever the broker keeps of this repository will have arrived.
    heard_ms: u64,
    /// Documents that are to be written, those under way included.
    to_write: BTreeSet<DocumentId>,
    /// The counter of the next manifest or part. One for all their topics: there is one for every part, and receivers only
    /// need a later manifest to have a higher one.
    pub(super) counter: u64,
    /// Whether this peer is taking its leave, and has listed what it holds in `to_write`.
    leaving: bool,
}

impl Snapshots {
    /// The connection is gone: what was under way is abandoned, and what the broker keeps is heard again on the next.
    pub(super) fn disconnected(&mut self, peer: PeerId) {
        let book = std::mem::take(&mut self.book);
        for id in book.documents() {
            // Should the broker have lost the manifest, nobody else knows of its parts.
            for digest in book.get(id, &peer).into_iter().flat_map(|known| &known.parts) {
                self.litter.add(id, *digest);
            }
        }
        self.fetches.clear();
        self.fetch_queue.clear();
        self.writes.clear();
        self.tokens.clear();
        self.elections.clear();
        self.to_write.clear();
        self.leaving = false;
    }

    /// Whether a document is being read or written, or about to.
    pub(super) fn concerns(&self, id: &DocumentId) -> bool {
        self.fetches.contains_key(id) || self.to_write.contains(id)
    }
}
