//! What canvases and indexes share: an Automerge document with our own edits, changes from elsewhere, and questions
//! about who has what.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use automerge::transaction::{CommitOptions, Transactable, Transaction};
use automerge::{ActorId, Automerge, Change, ChangeHash, LoadOptions, ObjType, PatchLog, ROOT, ReadDoc, TextEncoding};

use crate::canvas::chunk;
use crate::canvas::derived;
use crate::canvas::error::CanvasError;
use crate::canvas::schema::{Maps, Root, SCHEMA, TextId, Touched, inspect, text_object};
use crate::ids::Heads;
use crate::limits::MAX_CHANGE_OPERATIONS;

/// After this many panics of Automerge in one batch, the rest of the batch is refused unread: each costs rebuilding
/// the document.
const MAX_PANICS_PER_BATCH: usize = 3;

/// One document as this peer holds it.
#[derive(Debug)]
pub struct Replica {
    pub(super) doc: Automerge,
    pub(super) maps: Maps,
    root: &'static Root,
    root_hash: ChangeHash,
    /// All changes in the order in which they came, which is a causal one.
    log: Vec<ChangeHash>,
    /// The actors under which this process has edited the document; the last one is in use.
    actors: Vec<ActorId>,
}

/// What became of changes from elsewhere.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Newly applied, in causal order.
    pub(super) applied: Vec<Change>,
    /// Refused, with why.
    pub(super) rejected: Vec<(ChangeHash, String)>,
    /// What the applied ones touched.
    pub(super) touched: Touched,
    /// The document is unusable: see [`crate::canvas::Applied::damaged`].
    pub(super) damaged: bool,
}

fn empty() -> Automerge {
    Automerge::new_with_encoding(TextEncoding::UnicodeCodePoint)
}

impl Replica {
    /// A document that holds nothing but its root.
    pub(super) fn new(root: &'static Root) -> Self {
        let mut doc = empty();
        let change = match Change::from_bytes(root.bytes.to_vec()) {
            Ok(change) if doc.apply_changes([change.clone()]).is_ok() => change,
            _ => unreachable!("the constants are tested"),
        };
        let (root_hash, maps) = (change.hash(), Maps::new(root, change.actor_id()));
        Self {
            doc,
            maps,
            root,
            root_hash,
            log: vec![root_hash],
            actors: Vec::new(),
        }
    }

    /// Reads what [`save`](Self::save) wrote.
    pub(super) fn load(root: &'static Root, bytes: &[u8]) -> Result<Self, CanvasError> {
        let corrupt = |reason: &str| CanvasError::Corrupt(reason.to_owned());
        chunk::check_document(bytes).map_err(corrupt)?;
        let options = || LoadOptions::new().text_encoding(TextEncoding::UnicodeCodePoint);
        let doc = catch_unwind(AssertUnwindSafe(|| Automerge::load_with_options(bytes, options())))
            .map_err(|_| corrupt("the decoder panicked"))?
            .map_err(|error| corrupt(&error.to_string()))?;
        let mut replica = Self { doc, ..Self::new(root) };
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
        replica.log = replica
            .doc
            .get_changes_meta(&[])
            .into_iter()
            .map(|change| change.hash)
            .collect();
        Ok(replica)
    }

    /// The document in Automerge's own form, uncompressed.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        self.doc.save_nocompress()
    }

    /// Edits are made under this actor from now on. Never one that another process, or a copy of this document, uses.
    pub(super) fn set_actor(&mut self, actor: ActorId) {
        self.doc.set_actor(actor.clone());
        self.actors.retain(|known| *known != actor);
        self.actors.push(actor);
    }

    /// Whether this process edited under the actor, or under one that Automerge derived from it for edits of older
    /// versions.
    pub(super) fn is_own(&self, actor: &ActorId) -> bool {
        self.actors.iter().any(|own| actor.to_bytes().ends_with(own.to_bytes()))
    }

    /// The newest changes.
    #[must_use]
    pub fn heads(&self) -> Heads {
        Heads::new(self.doc.get_heads())
    }

    /// The version that holds the root and nothing else.
    pub(super) fn root_heads(&self) -> Heads {
        Heads::new(vec![self.root_hash])
    }

    /// Whether the document holds this change.
    #[must_use]
    pub fn contains(&self, hash: &ChangeHash) -> bool {
        self.doc.get_missing_deps(&[*hash]).is_empty()
    }

    /// Whether the document holds nothing but its root.
    #[must_use]
    pub fn is_pristine(&self) -> bool {
        self.log.len() == 1
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

    /// The changes that are no ancestors of those in `have`, in causal order. Unknown hashes in `have` are ignored;
    /// the root, which every peer has, is never among them.
    #[must_use]
    pub fn changes_since(&self, have: &[ChangeHash]) -> Vec<Change> {
        self.doc.get_changes(&self.known(have))
    }

    /// A change that the document holds.
    #[must_use]
    pub fn change(&self, hash: &ChangeHash) -> Option<Change> {
        self.doc.get_change_by_hash(hash)
    }

    fn known(&self, hashes: &[ChangeHash]) -> Vec<ChangeHash> {
        hashes
            .iter()
            .copied()
            .filter(|hash| self.contains(hash))
            .chain([self.root_hash])
            .collect()
    }

    /// Changes that are 1, 2, 4, 8, … back from the newest in the order in which they came, and the first after the
    /// root: enough for another peer to find a point that both know.
    #[must_use]
    pub fn ancestors_at_powers(&self) -> Vec<ChangeHash> {
        let distances = std::iter::successors(Some(1_usize), |distance| distance.checked_mul(2));
        let indexes = distances
            .map_while(|distance| self.log.len().checked_sub(1 + distance))
            .filter(|index| *index > 0);
        indexes.filter_map(|index| self.log.get(index).copied()).collect()
    }

    /// Whether all that this document holds is among the announced changes and their ancestors. Announced hashes that
    /// it does not know cover nothing.
    #[must_use]
    pub fn is_covered_by(&self, announced: &Heads) -> bool {
        let heads = self.doc.get_heads();
        heads.iter().all(|head| announced.as_slice().contains(head))
            || self.doc.get_changes_meta(&self.known(announced.as_slice())).is_empty()
    }

    /// Makes an edit at the present, or as if it were made at the older version `at`, and returns its change; `None`
    /// if it changed nothing. After an error the document is as before.
    pub(super) fn edit(
        &mut self,
        at: Option<&[ChangeHash]>,
        author: &str,
        write: impl FnOnce(&mut Transaction<'_>, &Maps) -> Result<(), CanvasError>,
    ) -> Result<Option<Change>, CanvasError> {
        let mut tx = match at {
            None => self.doc.transaction(),
            Some(heads) => self
                .doc
                .transaction_at(PatchLog::inactive(), heads)
                .map_err(|error| CanvasError::Internal(error.to_string()))?,
        };
        write(&mut tx, &self.maps)?;
        check_size(&tx)?;
        // Time 0: nothing here reads a clock.
        let (hash, _) = tx.commit_with(CommitOptions::default().with_message(author).with_time(0));
        let change = hash.and_then(|hash| self.doc.get_change_by_hash(&hash));
        self.log.extend(change.as_ref().map(Change::hash));
        Ok(change)
    }

    /// Makes the edit that every peer makes alike from the same content, on a document that holds nothing but the root.
    pub(super) fn derive(
        &self,
        write: impl FnOnce(&mut Transaction<'_>, &Maps) -> Result<(), CanvasError>,
    ) -> Result<Option<Change>, CanvasError> {
        let mut scratch = Self::new(self.root);
        scratch.doc.set_actor(derived::zero_actor());
        let mut tx = scratch.doc.transaction();
        write(&mut tx, &self.maps)?;
        check_size(&tx)?;
        check_size(&tx)?;
        let (hash, _) = tx.commit_with(CommitOptions::default().with_time(0));
        let change = hash.and_then(|hash| scratch.doc.get_change_by_hash(&hash));
        change
            .map(|change| derived::derive(&change))
            .transpose()
            .map_err(|error| CanvasError::Internal(error.to_string()))
    }

    /// What a change of our own touched.
    pub(super) fn touched_by(&self, change: &Change) -> Touched {
        inspect(self.root, &self.maps, change).unwrap_or_default()
    }

    /// Takes changes from elsewhere: applies all that can be, and refuses the others one by one, together with what
    /// depends on them.
    pub(super) fn take(&mut self, changes: Vec<Change>) -> Taken {
        let mut taken = Taken::default();
        let mut inspected = BTreeMap::new();
        let mut sound = Vec::new();
        let mut made = BTreeSet::new();
        for change in self.in_causal_order(changes, &mut taken.rejected) {
            match self.check(&change, &mut made) {
                Ok(touched) => {
                    inspected.insert(change.hash(), touched);
                    sound.push(change);
                }
                Err(reason) => taken.rejected.push((change.hash(), reason)),
            }
        }
        let refused: BTreeSet<_> = taken.rejected.iter().map(|(hash, _)| *hash).collect();
        let attempt = if refused.is_empty() {
            self.try_apply(&sound)
        } else {
            Attempt::Refused(String::new())
        };
        if let Attempt::Applied = attempt {
            taken.applied = sound;
        } else {
            taken.damaged = matches!(attempt, Attempt::Panicked { restored: false });
            self.apply_one_by_one(sound, refused, &mut taken);
        }
        for change in &taken.applied {
            self.log.push(change.hash());
            taken
                .touched
                .extend(inspected.remove(&change.hash()).unwrap_or_default());
        }
        taken
    }

    /// Checks a change before Automerge sees it. `made` holds the texts that changes before it in the batch begin.
    fn check(&self, change: &Change, made: &mut BTreeSet<TextId>) -> Result<Touched, String> {
        derived::verify(change).map_err(|error| error.to_string())?;
        let mut touched = catch_unwind(AssertUnwindSafe(|| inspect(self.root, &self.maps, change)))
            .map_err(|_| "the decoder panicked".to_owned())??;
        made.append(&mut touched.made);
        let is_text = |id| made.contains(id) || self.doc.object_type(text_object(id)) == Ok(ObjType::Text);
        if touched.texts.iter().all(is_text) {
            Ok(touched)
        } else {
            Err("it edits as a text what is none".to_owned())
        }
    }

    /// New changes, each after those that it depends on; the others are refused.
    fn in_causal_order(&self, changes: Vec<Change>, rejected: &mut Vec<(ChangeHash, String)>) -> Vec<Change> {
        let mut waiting: BTreeMap<ChangeHash, Change> = BTreeMap::new();
        let mut sequence = Vec::with_capacity(changes.len());
        for change in changes {
            if !self.contains(&change.hash()) {
                sequence.push(change.hash());
                waiting.insert(change.hash(), change);
            }
        }
        let mut ordered = Vec::with_capacity(sequence.len());
        let mut placed = BTreeSet::new();
        for hash in sequence {
            // Depth first through the dependencies in the batch, without recursion: chains may be long.
            let mut stack = vec![hash];
            while let Some(top) = stack.last().copied() {
                let Some(change) = waiting.get(&top) else {
                    stack.pop();
                    continue;
                };
                let before = stack.len();
                stack.extend(change.deps().iter().filter(|dep| waiting.contains_key(*dep)));
                if stack.len() > before {
                    continue;
                }
                stack.pop();
                let Some(change) = waiting.remove(&top) else { continue };
                if change
                    .deps()
                    .iter()
                    .all(|dep| placed.contains(dep) || self.contains(dep))
                {
                    placed.insert(top);
                    ordered.push(change);
                } else {
                    rejected.push((top, "it depends on changes that are missing".into()));
                }
            }
        }
        ordered
    }

    fn apply_one_by_one(&mut self, changes: Vec<Change>, mut refused: BTreeSet<ChangeHash>, taken: &mut Taken) {
        let mut panics = 0;
        for change in changes {
            let reason = if taken.damaged || panics >= MAX_PANICS_PER_BATCH {
                "it came with others that damaged the document".to_owned()
            } else if change.deps().iter().any(|dep| refused.contains(dep)) {
                "it depends on a change that was refused".to_owned()
            } else {
                match self.try_apply(std::slice::from_ref(&change)) {
                    Attempt::Applied => {
                        taken.applied.push(change);
                        continue;
                    }
                    Attempt::Refused(reason) => reason,
                    Attempt::Panicked { restored } => {
                        panics += 1;
                        taken.damaged |= !restored;
                        "Automerge panicked while applying it".to_owned()
                    }
                }
            };
            refused.insert(change.hash());
            taken.rejected.push((change.hash(), reason));
        }
    }

    fn try_apply(&mut self, changes: &[Change]) -> Attempt {
        let before = self.doc.get_heads();
        let doc = &mut self.doc;
        match catch_unwind(AssertUnwindSafe(|| doc.apply_changes(changes.to_vec()))) {
            Ok(Ok(())) => Attempt::Applied,
            Ok(Err(error)) => Attempt::Refused(error.to_string()),
            Err(_) => Attempt::Panicked {
                restored: self.restore(&before),
            },
        }
    }

    /// Rebuilds the document from the changes that it held before a panic left it half changed.
    fn restore(&mut self, heads: &[ChangeHash]) -> bool {
        let (doc, log) = (&self.doc, &self.log);
        let rebuilt = catch_unwind(AssertUnwindSafe(|| {
            let held: BTreeSet<_> = log.iter().collect();
            let changes: Vec<_> = doc
                .get_changes(&[])
                .into_iter()
                .filter(|change| held.contains(&change.hash()))
                .collect();
            let mut rebuilt = empty();
            rebuilt.apply_changes(changes).map(|()| rebuilt)
        }));
        match rebuilt {
            Ok(Ok(mut rebuilt)) if rebuilt.get_heads() == heads => {
                rebuilt.set_actor(self.doc.get_actor().clone());
                self.doc = rebuilt;
                true
            }
            _ => false,
        }
    }
}

/// Refuses an edit that other peers would refuse.
fn check_size(tx: &Transaction<'_>) -> Result<(), CanvasError> {
    match tx.pending_ops() {
        operations if operations as u64 > MAX_CHANGE_OPERATIONS => Err(CanvasError::too_many_operations(operations)),
        _ => Ok(()),
    }
}

enum Attempt {
    Applied,
    Refused(String),
    Panicked { restored: bool },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canvas::root;

    #[test]
    fn a_document_is_rebuilt_from_what_it_held() {
        let mut replica = Replica::new(&root::CANVAS);
        replica.set_actor(ActorId::from([2; 16]));
        for value in 0..5 {
            let write = |tx: &mut Transaction<'_>, maps: &Maps| Ok(tx.put(maps.id(0), "a/x", value)?);
            assert!(replica.edit(None, "", write).unwrap().is_some());
        }
        let (heads, saved) = (replica.doc.get_heads(), replica.save());
        assert!(replica.restore(&heads));
        assert_eq!(replica.save(), saved);
        assert_eq!(*replica.doc.get_actor(), ActorId::from([2; 16]));
    }
}
