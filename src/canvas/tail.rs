//! Changes that a replica holds and Automerge has still to take in.
//!
//! To apply one change Automerge walks through all that was ever written at the keys that it writes, 0.1 µs each: half a
//! millisecond for a node that was moved five thousand times. Several together cost one walk. Of a [plain](super::plain)
//! change it is known without Automerge what it makes, so it waits here: until there are many, or until anything else is
//! to be done with the document.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use automerge::{ActorId, Automerge, Change, ChangeHash};

use crate::canvas::changes::CanvasChanges;
use crate::canvas::document::{CanvasDocument, reader};
use crate::canvas::plain::{Plain, Writers};
use crate::canvas::replica::Replica;
use crate::canvas::schema::Touched;
use crate::canvas::shown::Shown;
use crate::canvas::tables::Tables;
use crate::canvas::view::View;
use crate::limits::MAX_TAIL_CHANGES;

/// Plain changes in the order in which they came, which is a causal one.
#[derive(Debug, Default)]
pub(super) struct Tail {
    changes: Vec<Change>,
    places: BTreeMap<ChangeHash, usize>,
    /// Of each actor and first operation of a change of it, the last one.
    ends: BTreeMap<(ActorId, u64), u64>,
    /// The newest changes of the replica, in order, where any change is here.
    heads: Vec<ChangeHash>,
    keys: BTreeSet<(usize, String)>,
    /// Also of what Automerge has taken in meanwhile.
    pub(super) writers: Writers,
}

impl Tail {
    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    pub(super) fn change(&self, hash: &ChangeHash) -> Option<&Change> {
        self.changes.get(*self.places.get(hash)?)
    }

    /// Whether one of the changes made this operation.
    pub(super) fn made(&self, counter: u64, actor: &ActorId) -> bool {
        let before = (actor.clone(), 0)..=(actor.clone(), counter);
        self.ends.range(before).next_back().is_some_and(|(_, end)| counter <= *end)
    }
}

/// What a replica said that it holds, and does not.
#[derive(Debug, Default)]
pub(super) struct Lost {
    keys: BTreeSet<(usize, String)>,
    /// What Automerge refused, with why.
    pub(super) refused: Vec<(ChangeHash, String)>,
}

/// What of a replica is no ancestor of some changes.
struct Beyond<'a> {
    /// Changes in Automerge that are, if none of what is there but their descendants is wanted.
    merged: Vec<ChangeHash>,
    tail: Vec<&'a Change>,
}

impl Replica {
    /// The newest changes, the smallest hash first.
    pub(super) fn newest_hashes(&self) -> Vec<ChangeHash> {
        if self.tail.is_empty() { self.doc.heads() } else { self.tail.heads.clone() }
    }

    /// Whether there is something that Automerge has still to take in.
    pub(super) fn has_tail(&self) -> bool {
        !self.tail.is_empty() || self.doc.is_unread()
    }

    /// Holds changes from now on, which were found to be plain as the replica is.
    pub(super) fn append(&mut self, plain: Plain) {
        if self.tail.changes.len() + plain.changes.len() > MAX_TAIL_CHANGES {
            self.merge_tail();
        }
        if self.tail.writers.is_full() {
            // What the tail wrote must be known, or have been taken in.
            self.merge_tail();
            self.tail.writers.clear();
        }
        self.tail.heads = plain.heads;
        self.tail.keys.extend(plain.touched.keys);
        self.tail.writers.extend(plain.writers);
        for change in plain.changes {
            self.note(&change);
            self.tail.places.insert(change.hash(), self.tail.changes.len());
            self.tail.ends.insert((change.actor_id().clone(), change.start_op().get()), change.max_op());
            self.tail.changes.push(change);
        }
    }

    /// Has Automerge take in what waits. Should it refuse any of it, as has never been seen, the replica
    /// [is lost](Self::is_lost).
    pub(super) fn merge_tail(&mut self) {
        self.doc.read();
        if self.tail.is_empty() || self.is_lost() {
            return;
        }
        let changes = std::mem::take(&mut self.tail.changes);
        self.tail.places.clear();
        self.tail.ends.clear();
        let keys = std::mem::take(&mut self.tail.keys);
        if let Err(refused) = self.take_in(changes) {
            let lost = self.lost.get_or_insert_default();
            lost.keys.extend(keys);
            lost.refused.extend(refused);
        }
    }

    /// Whether changes that were here have gone: the document must be loaded again.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.is_some() || self.doc.has_failed()
    }

    /// What was touched by changes that may have gone with those that were refused.
    pub(super) fn take_lost_keys(&mut self) -> Option<Touched> {
        let unreadable = self.doc.take_failed();
        if unreadable.is_none() && self.lost.is_none() {
            return None;
        }
        let mut keys = self.lost.take().unwrap_or_default().keys;
        keys.append(&mut self.tail.keys);
        let tables = unreadable.as_deref().and_then(|bytes| Tables::read(bytes).ok());
        let shown = tables.and_then(|tables| Shown::read(&tables, &self.maps).ok()).unwrap_or_default();
        keys.extend(shown.entries.into_iter().map(|(map, key, _)| (map, key.to_owned())));
        Some(Touched { keys, ..Touched::default() })
    }

    /// All changes, as Automerge would have them; the replica stays as it is.
    pub(super) fn merged(&self) -> Automerge {
        let mut doc = Automerge::clone(&self.doc);
        match catch_unwind(AssertUnwindSafe(|| doc.apply_changes(self.tail.changes.iter().cloned()))) {
            Ok(Ok(())) => doc,
            // Of what it refuses `merge_tail` tells.
            _ => Automerge::clone(&self.doc),
        }
    }

    fn beyond(&self, have: &[ChangeHash]) -> Beyond<'_> {
        let mut reached: BTreeSet<ChangeHash> = have.iter().copied().collect();
        let mut tail = Vec::new();
        for change in self.tail.changes.iter().rev() {
            if reached.contains(&change.hash()) {
                reached.extend(change.deps());
            } else {
                tail.push(change);
            }
        }
        tail.reverse();
        let is_merged = |hash: &ChangeHash| self.doc.holds(hash);
        let merged = reached.into_iter().filter(is_merged).chain([self.root_hash]).collect();
        Beyond { merged, tail }
    }

    /// The changes that are no ancestors of those in `have`, in causal order. Unknown hashes in `have` are ignored;
    /// the root, which every peer has, is never among them.
    #[must_use]
    pub fn changes_since(&self, have: &[ChangeHash]) -> Vec<Change> {
        let Beyond { merged, tail } = self.beyond(have);
        let mut changes = self.doc.get_changes(&merged);
        changes.extend(tail.into_iter().cloned());
        changes
    }

    /// The hashes of those.
    pub(super) fn hashes_since(&self, have: &[ChangeHash]) -> BTreeSet<ChangeHash> {
        let Beyond { merged, tail } = self.beyond(have);
        let merged = self.doc.get_changes_meta(&merged).into_iter().map(|change| change.hash);
        merged.chain(tail.into_iter().map(Change::hash)).collect()
    }
}

impl CanvasDocument {
    /// Whether there is anything for [`merge`](Self::merge) to do.
    #[must_use]
    pub fn is_to_be_merged(&self) -> bool {
        self.replica.has_tail()
    }

    /// Has Automerge take in what it was spared so far. To be called now and then; what needs it, does it.
    pub fn merge(&mut self) {
        self.replica.merge_tail();
    }

    /// Whether something that was here has gone, as never happens unless Automerge fails: see [`Applied::damaged`](crate::canvas::Applied::damaged).
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.replica.is_lost()
    }

    /// Changes that were here and that Automerge has refused since, with why.
    pub fn take_refused(&mut self) -> Vec<(ChangeHash, String)> {
        self.replica.lost.as_mut().map(|lost| std::mem::take(&mut lost.refused)).unwrap_or_default()
    }

    /// What was told of a document that is about to be thrown away, and may be otherwise when it is loaded again.
    pub fn take_told(&mut self) -> Option<Told> {
        let touched = self.replica.take_lost_keys()?;
        Some(Told { view: std::mem::take(&mut self.view), touched })
    }
}

/// The canvas as the application was told that it is, while the document that should say so is lost.
#[derive(Debug)]
pub struct Told {
    view: View,
    touched: Touched,
}

impl Told {
    /// What leads from what was told to what a document, loaded again, says.
    #[must_use]
    pub fn corrected_by(mut self, document: &CanvasDocument) -> CanvasChanges {
        self.view.refresh(reader(&document.replica, None), &self.touched)
    }
}
