//! What canvases and indexes share: an Automerge document with our own edits, changes from elsewhere, and questions
//! about who has what.

use std::collections::{BTreeMap, BTreeSet};

use automerge::transaction::{CommitOptions, Transactable, Transaction};
use automerge::{ActorId, Automerge, Change, ChangeHash, PatchLog, ROOT, ReadDoc, TextEncoding};

use crate::canvas::chunk;
use crate::canvas::derived;
use crate::canvas::error::CanvasError;
use crate::canvas::schema::{Maps, Root, SCHEMA, Touched, inspect};
use crate::canvas::size::Grown;
use crate::canvas::tail::{Lost, Tail};
use crate::canvas::unread::{self, Document};
use crate::ids::Heads;
use crate::limits::MAX_CHANGE_OPERATIONS;

/// The last change of an actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Newest {
    /// Its sequence number.
    pub sequence: u64,
    /// Its hash.
    pub hash: ChangeHash,
}

/// One document as this peer holds it.
#[derive(Debug)]
pub struct Replica {
    /// All changes but those of the tail.
    pub(super) doc: Document,
    pub(super) tail: Tail,
    /// See [`Replica::is_lost`].
    pub(super) lost: Option<Lost>,
    pub(super) maps: Maps,
    pub(super) root: &'static Root,
    pub(super) root_hash: ChangeHash,
    /// All changes in the order in which they came, which is a causal one.
    pub(super) log: Vec<ChangeHash>,
    /// The last change of each actor.
    pub(super) newest: BTreeMap<ActorId, Newest>,
    /// The actors under which this process has edited the document; the last one is in use.
    actors: Vec<ActorId>,
    pub(super) grown: Grown,
}

/// A document that holds nothing at all; texts are indexed by character.
pub(super) fn empty() -> Automerge {
    Automerge::new_with_encoding(TextEncoding::UnicodeCodePoint)
}

/// The first change of every document of a kind.
pub(super) fn root_change(root: &Root) -> Change {
    Change::from_bytes(root.bytes.to_vec()).unwrap_or_else(|_| unreachable!("the constants are tested"))
}

/// A document that holds nothing but its root.
pub(super) fn with_root(root: &Root) -> Automerge {
    let mut doc = empty();
    match doc.apply_changes([root_change(root)]) {
        Ok(()) => doc,
        Err(_) => unreachable!("the constants are tested"),
    }
}

impl Replica {
    /// A document that holds nothing but its root.
    pub(super) fn new(root: &'static Root) -> Self {
        Self::of(root, with_root(root).into())
    }

    /// A document that is a root as far as is noted.
    pub(super) fn of(root: &'static Root, doc: Document) -> Self {
        let change = root_change(root);
        let (root_hash, maps) = (change.hash(), Maps::new(root, change.actor_id()));
        let mut grown = Grown::default();
        grown.add(&change);
        Self {
            doc,
            tail: Tail::default(),
            lost: None,
            maps,
            root,
            root_hash,
            log: vec![root_hash],
            newest: BTreeMap::new(),
            actors: Vec::new(),
            grown,
        }
    }

    /// Reads what [`save`](Self::save) wrote.
    pub(super) fn load(root: &'static Root, bytes: &[u8]) -> Result<Self, CanvasError> {
        let corrupt = |reason: &str| CanvasError::Corrupt(reason.to_owned());
        chunk::check_document(bytes).map_err(corrupt)?;
        let doc = unread::load(bytes).map_err(CanvasError::Corrupt)?;
        let mut replica = Self::of(root, doc.into());
        if !replica.contains(&replica.root_hash) {
            return Err(corrupt("it is a document of another kind"));
        }
        match replica.doc.get(ROOT, "schema") {
            Ok(Some((value, _))) => match value.as_i64() {
                Some(SCHEMA) => {}
                Some(found) => return Err(CanvasError::SchemaTooNew { found }),
                None => return Err(corrupt("its schema is no number")),
            },
            _ => return Err(corrupt("it has no schema")),
        }
        let changes = replica.doc.get_changes_meta(&[]);
        replica.grown = Grown::saved(&changes, bytes.len());
        let newest = changes
            .iter()
            .map(|change| (change.actor.clone().into_owned(), Newest { sequence: change.seq, hash: change.hash }));
        replica.newest = newest.collect();
        replica.log = changes.into_iter().map(|change| change.hash).collect();
        Ok(replica)
    }

    /// The document in Automerge's own form, uncompressed.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        if self.tail.is_empty() { self.doc.save() } else { self.merged().save_nocompress() }
    }

    /// Edits are made under this actor from now on. Never one that another process, or a copy of this document, uses.
    pub(super) fn set_actor(&mut self, actor: ActorId) {
        self.doc.set_actor(actor.clone());
        self.actors.retain(|known| *known != actor);
        self.actors.push(actor);
    }

    /// The actors under which this process has edited the document.
    pub(super) fn into_actors(self) -> Vec<ActorId> {
        self.actors
    }

    /// This process has edited the document under these actors before it was loaded again.
    pub(super) fn remember_actors(&mut self, actors: Vec<ActorId>) {
        self.actors.splice(..0, actors);
    }

    /// The sequence number of an actor's last change; 0 if it made none.
    #[must_use]
    pub fn last_sequence(&self, actor: &ActorId) -> u64 {
        self.newest.get(actor).map_or(0, |newest| newest.sequence)
    }

    /// The last change of each actor.
    #[must_use]
    pub fn newest_of_actors(&self) -> &BTreeMap<ActorId, Newest> {
        &self.newest
    }

    /// The raw bytes of the newest `count` changes, in the order in which they came.
    #[must_use]
    pub fn newest(&self, count: usize) -> Vec<Vec<u8>> {
        let from = self.log.len().saturating_sub(count);
        let raw = |hash| Some(self.change(hash)?.raw_bytes().to_vec());
        self.log.get(from..).unwrap_or_default().iter().filter_map(raw).collect()
    }

    /// Whether this process edited under the actor, or under one that Automerge derived from it for edits of older
    /// versions.
    pub(super) fn is_own(&self, actor: &ActorId) -> bool {
        self.actors.iter().any(|own| actor.to_bytes().ends_with(own.to_bytes()))
    }

    /// The newest changes.
    #[must_use]
    pub fn heads(&self) -> Heads {
        Heads::new(self.newest_hashes())
    }

    /// The version that holds the root and nothing else.
    pub(super) fn root_heads(&self) -> Heads {
        Heads::new(vec![self.root_hash])
    }

    /// Whether the document holds this change.
    #[must_use]
    pub fn contains(&self, hash: &ChangeHash) -> bool {
        self.tail.change(hash).is_some() || self.doc.holds(hash)
    }

    /// Whether the document holds all of these changes.
    #[must_use]
    pub fn contains_all(&self, hashes: &[ChangeHash]) -> bool {
        hashes.iter().all(|hash| self.contains(hash))
    }

    /// Whether the document holds nothing but its root.
    #[must_use]
    pub fn is_pristine(&self) -> bool {
        self.log.len() == 1
    }

    /// The hashes of all changes in the order in which they came, which is a causal one; the root is the first.
    #[must_use]
    pub fn history(&self) -> &[ChangeHash] {
        &self.log
    }

    /// How many changes the document holds, its root among them.
    #[must_use]
    pub fn change_count(&self) -> usize {
        self.log.len()
    }

    /// Which of a change's dependencies the document lacks.
    pub fn missing_dependencies(&self, change: &Change) -> impl Iterator<Item = ChangeHash> {
        change.deps().iter().copied().filter(|hash| !self.contains(hash))
    }

    /// A change that the document holds.
    #[must_use]
    pub fn change(&self, hash: &ChangeHash) -> Option<Change> {
        self.tail.change(hash).cloned().or_else(|| self.doc.get_change_by_hash(hash))
    }

    /// Changes that are 1, 2, 4, 8, … back from the newest in the order in which they came, and the first after the
    /// root: enough for another peer to find a point that both know.
    #[must_use]
    pub fn ancestors_at_powers(&self) -> Vec<ChangeHash> {
        let distances = std::iter::successors(Some(1_usize), |distance| distance.checked_mul(2));
        let indexes =
            distances.map_while(|distance| self.log.len().checked_sub(1 + distance)).filter(|index| *index > 0);
        indexes.filter_map(|index| self.log.get(index).copied()).collect()
    }

    /// Whether all that this document holds is among the announced changes and their ancestors. Announced hashes that
    /// it does not know cover nothing.
    #[must_use]
    pub fn is_covered_by(&self, announced: &Heads) -> bool {
        self.newest_hashes().iter().all(|head| announced.as_slice().contains(head))
            || self.hashes_since(announced.as_slice()).is_empty()
    }

    /// Whether the document knows all of `heads`, and each is among `announced` and their ancestors.
    #[must_use]
    pub fn is_within(&self, heads: &Heads, announced: &Heads) -> bool {
        let (heads, announced) = (heads.as_slice(), announced.as_slice());
        if heads.iter().all(|head| announced.contains(head)) {
            return self.contains_all(heads);
        }
        let beyond = self.hashes_since(announced);
        heads.iter().all(|head| self.contains(head) && !beyond.contains(head))
    }

    /// Makes an edit at the present, or as if it were made at the older version `at`, and returns its change; `None`
    /// if it changed nothing. After an error the document is as before.
    pub(super) fn edit(
        &mut self,
        at: Option<&[ChangeHash]>,
        author: &str,
        write: impl FnOnce(&mut Transaction<'_>, &Maps) -> Result<(), CanvasError>,
    ) -> Result<Option<Change>, CanvasError> {
        self.merge_tail();
        self.tail.writers.clear();
        let mut tx = match at {
            None => self.doc.transaction(),
            Some(heads) => {
                let heads = self.with_own_last(heads);
                self.doc
                    .transaction_at(PatchLog::inactive(), &heads)
                    .map_err(|error| CanvasError::Internal(error.to_string()))?
            }
        };
        write(&mut tx, &self.maps)?;
        check_size(tx.pending_ops())?;
        // Time 0: nothing here reads a clock.
        let (hash, _) = tx.commit_with(CommitOptions::default().with_message(author).with_time(0));
        let change = hash.and_then(|hash| self.doc.get_change_by_hash(&hash));
        if let Some(change) = &change {
            self.note(change);
        }
        Ok(change)
    }

    /// A version, with the last changes of our present actor, and of those that Automerge derives from it, as far as the
    /// version holds them: each change depends on its actor's last, so that who vouches for one vouches for all before. At
    /// the present Automerge sees to that by itself.
    fn with_own_last(&self, heads: &[ChangeHash]) -> Vec<ChangeHash> {
        let own = self.doc.get_actor();
        let mut all = heads.to_vec();
        let is_own = |actor: &ActorId| actor.to_bytes().ends_with(own.to_bytes());
        let last = self.newest.iter().filter(|(actor, _)| is_own(actor)).map(|(_, newest)| newest.hash);
        let last: Vec<ChangeHash> = last.filter(|hash| !heads.contains(hash)).collect();
        if !last.is_empty() {
            let later = self.doc.get_changes_meta(heads);
            let later: BTreeSet<ChangeHash> = later.into_iter().map(|change| change.hash).collect();
            all.extend(last.into_iter().filter(|hash| !later.contains(hash)));
        }
        all
    }

    /// Makes a change that does nothing but name the present: its maker stands by everything that is here.
    pub(super) fn stand_by(&mut self) -> Option<Change> {
        self.merge_tail();
        let hash = self.doc.empty_commit(CommitOptions::default().with_time(0));
        let change = self.doc.get_change_by_hash(&hash)?;
        self.note(&change);
        Some(change)
    }

    /// The actors of the newest changes.
    #[must_use]
    pub fn head_actors(&self) -> Vec<ActorId> {
        let heads = self.newest_hashes();
        let newest = self.newest.iter().filter(|(_, newest)| heads.contains(&newest.hash));
        newest.map(|(actor, _)| actor.clone()).collect()
    }

    /// Notes a change that the document now holds.
    pub(super) fn note(&mut self, change: &Change) {
        self.grown.add(change);
        self.log.push(change.hash());
        self.newest.insert(change.actor_id().clone(), Newest { sequence: change.seq(), hash: change.hash() });
    }

    /// Makes the edit that every peer makes alike from the same content at the same version: on a document that holds that
    /// version and nothing else, for the numbers of operations follow from what a document holds.
    pub(super) fn derive(
        &self,
        at: &Heads,
        write: impl FnOnce(&mut Transaction<'_>, &Maps) -> Result<(), CanvasError>,
    ) -> Result<Option<Change>, CanvasError> {
        let mut scratch = self.doc.fork_at(at.as_slice())?;
        scratch.set_actor(derived::zero_actor());
        let mut tx = scratch.transaction();
        write(&mut tx, &self.maps)?;
        check_size(tx.pending_ops())?;
        let (hash, _) = tx.commit_with(CommitOptions::default().with_time(0));
        let change = hash.and_then(|hash| scratch.get_change_by_hash(&hash));
        change
            .map(|change| derived::derive(&change))
            .transpose()
            .map_err(|error| CanvasError::Internal(error.to_string()))
    }

    /// The newest changes that were made at a version, at most `limit`; only content-derived ones if so wanted.
    pub(super) fn made_at(&self, at: &Heads, derived: bool, limit: usize) -> Vec<Change> {
        let later = self.doc.get_changes_meta(at.as_slice()).into_iter().rev();
        let hashes = later
            .filter(|change| !derived || change.actor.to_bytes().len() == derived::DERIVED_ACTOR_BYTES)
            .filter(|change| Heads::new(change.deps.clone()) == *at)
            .map(|change| change.hash);
        hashes.take(limit).filter_map(|hash| self.change(&hash)).collect()
    }

    /// What a change of our own touched.
    pub(super) fn touched_by(&self, change: &Change) -> Touched {
        inspect(self.root, &self.maps, change, &change.decode().operations).unwrap_or_default()
    }
}

/// Refuses an edit of so many operations that other peers would refuse it.
pub(super) fn check_size(operations: usize) -> Result<(), CanvasError> {
    if operations as u64 > MAX_CHANGE_OPERATIONS {
        return Err(CanvasError::too_many_operations(operations));
    }
    Ok(())
}
