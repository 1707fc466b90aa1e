//! Changes from elsewhere: checked, ordered, applied together if that works and one by one if it does not.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use automerge::{ActorId, Automerge, AutomergeError, Change, ChangeHash, ExpandedChange, ObjType, ReadDoc};

use crate::canvas::derived;
use crate::canvas::error::CanvasError;
use crate::canvas::replica::{Newest, Replica, empty};
use crate::canvas::schema::{TextId, Touched, inspect, text_object};
use crate::canvas::standing::settle;

/// After this many changes of one batch have broken the document, the rest of the batch is left out: each costs
/// rebuilding the document.
const MAX_REBUILDS_PER_BATCH: usize = 3;

const PANICKED: &str = "Automerge panicked while applying it";
const DAMAGES: &str = "the document could not be saved with it";
const DEPENDS_ON_REFUSED: &str = "it depends on a change that was refused";

/// What became of changes from elsewhere.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Newly applied, in causal order.
    pub(super) applied: Vec<Change>,
    /// Refused, with why.
    pub(super) rejected: Vec<(ChangeHash, String)>,
    /// Not applied, for what they would stand by was refused, or lacks something.
    pub(super) unsettled: Vec<Change>,
    /// What the applied ones touched.
    pub(super) touched: Touched,
    /// The document is unusable: see [`crate::canvas::Applied::damaged`].
    pub(super) damaged: bool,
}

/// What is known of a batch while its changes are checked in causal order.
#[derive(Default)]
pub(super) struct Batch {
    /// Changes that did not pass.
    refused: BTreeSet<ChangeHash>,
    /// Texts that were begun.
    made: BTreeSet<TextId>,
    /// The last change of each actor.
    newest: BTreeMap<ActorId, Newest>,
    /// The counter of the last operation of each actor.
    last_operations: BTreeMap<ActorId, u64>,
    /// The counter of the last operation of each change.
    ends: BTreeMap<ChangeHash, u64>,
}

impl Batch {
    /// Whether this change has been checked.
    pub(super) fn has(&self, hash: &ChangeHash) -> bool {
        self.ends.contains_key(hash)
    }
}

enum Attempt {
    Applied,
    Refused(String),
    /// The document was left half changed, and rebuilt if possible.
    Broken {
        reason: &'static str,
        restored: bool,
    },
}

impl Attempt {
    fn broken(reason: &'static str, restored: bool) -> Self {
        Self::Broken { reason, restored }
    }
}

/// Up to this many, changes are read back one by one rather than all that were added at once.
const FEW: usize = 4;

/// Whether newly applied changes read back as they came. Automerge accepts some that do not, and a document that holds
/// one can be saved but never loaded again.
fn are_intact(doc: &Automerge, changes: &[Change], before: &[ChangeHash]) -> bool {
    if changes.len() <= FEW {
        let intact =
            |change: &Change| doc.get_change_by_hash(&change.hash()).is_some_and(|read| read.hash() == change.hash());
        return changes.iter().all(intact);
    }
    let read: BTreeSet<_> = doc.get_changes(before).iter().map(Change::hash).collect();
    changes.iter().all(|change| read.contains(&change.hash()))
}

impl Replica {
    /// Takes changes from elsewhere: applies all that can be, and refuses the others one by one, together with what
    /// depends on them. Only what stands by itself, or by a later change of its actor that does, is applied.
    pub(super) fn take(&mut self, changes: Vec<Change>, stands: &dyn Fn(&Change) -> bool) -> Taken {
        self.merge_tail();
        self.tail.writers.clear();
        let mut taken = Taken { damaged: self.is_lost(), ..Taken::default() };
        let mut inspected = BTreeMap::new();
        let mut batch = Batch::default();
        let mut sound = Vec::new();
        let ordered = self.in_causal_order(changes, &mut taken.rejected);
        // Only what may be applied is worth the time that checking takes.
        for change in settle(ordered, stands, &mut taken.unsettled) {
            match self.check(&change, &mut batch) {
                Ok((touched, _)) => {
                    inspected.insert(change.hash(), touched);
                    sound.push(change);
                }
                Err(reason) => {
                    batch.refused.insert(change.hash());
                    taken.rejected.push((change.hash(), reason));
                }
            }
        }
        let sound = settle(sound, stands, &mut taken.unsettled);
        match self.try_apply(&sound) {
            Attempt::Applied => taken.applied = sound,
            // One bad change makes Automerge refuse the whole batch.
            attempt => {
                taken.damaged = matches!(attempt, Attempt::Broken { restored: false, .. });
                self.apply_one_by_one(sound, &mut taken);
                let mut unsettled = Vec::new();
                settle(taken.applied.clone(), stands, &mut unsettled);
                // What they stand by turned out to be refused: without them, all may come again.
                taken.damaged |= !unsettled.is_empty();
            }
        }
        for change in &taken.applied {
            self.note(change);
            taken.touched.extend(inspected.remove(&change.hash()).unwrap_or_default());
        }
        taken
    }

    /// Takes in a change that was just made here.
    ///
    /// # Errors
    /// Automerge refused it; the replica is as before, or [lost](Self::is_lost).
    pub(super) fn take_made(&mut self, change: &Change) -> Result<(), CanvasError> {
        match self.take_in(vec![change.clone()]) {
            Ok(()) => {
                self.note(change);
                Ok(())
            }
            Err(refused) => {
                let reason = refused.into_iter().next().map_or_else(|| PANICKED.to_owned(), |(_, reason)| reason);
                Err(CanvasError::Internal(reason))
            }
        }
    }

    /// Has Automerge take in changes that are part of the replica already.
    ///
    /// # Errors
    /// Those that it refuses, with why.
    pub(super) fn take_in(&mut self, changes: Vec<Change>) -> Result<(), Vec<(ChangeHash, String)>> {
        let mut taken = match self.try_apply(&changes) {
            Attempt::Applied => return Ok(()),
            Attempt::Refused(_) => Taken::default(),
            Attempt::Broken { restored, .. } => Taken { damaged: !restored, ..Taken::default() },
        };
        self.apply_one_by_one(changes, &mut taken);
        Err(taken.rejected)
    }

    /// Checks a change before Automerge sees it: what it touches, and all that is in it, which to decode takes longest.
    pub(super) fn check(&self, change: &Change, batch: &mut Batch) -> Result<(Touched, ExpandedChange), String> {
        if change.deps().iter().any(|dep| batch.refused.contains(dep)) {
            return Err(DEPENDS_ON_REFUSED.to_owned());
        }
        let known = batch.newest.get(change.actor_id()).or_else(|| self.newest.get(change.actor_id()));
        let last = known.map_or(0, |newest| newest.sequence);
        if change.seq() <= last {
            // The other one is in the document, or in this batch: what is the same would not have come so far.
            let (number, actor) = (change.seq(), change.actor_id());
            return Err(format!("equivocation: there is another change number {number} of actor {actor}"));
        }
        if change.seq() != last + 1 {
            return Err(format!("it is number {} of its actor, where {} is next", change.seq(), last + 1));
        }
        if known.is_some_and(|newest| !change.deps().contains(&newest.hash)) {
            // Whoever vouches for an actor's last change vouches by that for all before.
            return Err("it does not depend on its actor's last change".to_owned());
        }
        let newest = change.deps().iter().map(|dep| self.last_operation(dep, batch)).max();
        if change.start_op().get() <= newest.unwrap_or_default() {
            return Err("its operations are not newer than those that it depends on".to_owned());
        }
        if change.is_empty() && change.start_op().get() != newest.unwrap_or_default() + 1 {
            // Automerge would save it, and take operations of others for its own when it loads that.
            return Err("it is empty and leaves numbers of operations out".to_owned());
        }
        derived::verify(change).map_err(|error| error.to_string())?;
        let expanded =
            catch_unwind(AssertUnwindSafe(|| change.decode())).map_err(|_| "the decoder panicked".to_owned())?;
        let mut touched = inspect(self.root, &self.maps, change, &expanded.operations)?;
        batch.made.append(&mut touched.made);
        let is_text = |id| batch.made.contains(id) || self.doc.object_type(text_object(id)) == Ok(ObjType::Text);
        if !touched.texts.iter().all(is_text) {
            return Err("it edits as a text what is none".to_owned());
        }
        let is_known = |(counter, actor): &(u64, ActorId)| {
            batch.last_operations.get(actor).is_some_and(|last| counter <= last)
                || self.tail.made(*counter, actor)
                || self.doc.hash_for_opid(&text_object(&(*counter, actor.clone()))).is_some()
        };
        if !std::mem::take(&mut touched.references).iter().all(is_known) {
            return Err("it refers to operations that do not exist".to_owned());
        }
        let last = Newest { sequence: change.seq(), hash: change.hash() };
        batch.newest.insert(change.actor_id().clone(), last);
        batch.last_operations.insert(change.actor_id().clone(), change.max_op());
        batch.ends.insert(change.hash(), change.max_op());
        Ok((touched, expanded))
    }

    /// The counter of a change's last operation, or of the last one before it if it has none.
    pub(super) fn last_operation(&self, hash: &ChangeHash, batch: &Batch) -> u64 {
        let waits = || self.tail.change(hash).map(Change::max_op);
        let held = || self.doc.get_change_meta_by_hash(hash).map(|change| change.max_op);
        batch.ends.get(hash).copied().or_else(waits).or_else(held).unwrap_or_default()
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
                if change.deps().iter().all(|dep| placed.contains(dep) || self.contains(dep)) {
                    placed.insert(top);
                    ordered.push(change);
                } else {
                    rejected.push((top, "it depends on changes that are missing".into()));
                }
            }
        }
        ordered
    }

    fn apply_one_by_one(&mut self, changes: Vec<Change>, taken: &mut Taken) {
        let mut refused = BTreeSet::new();
        let mut rebuilt = 0;
        for change in changes {
            if taken.damaged || rebuilt >= MAX_REBUILDS_PER_BATCH {
                // Nobody knows whether it is at fault: it is left out, not refused, and may come again.
                break;
            }
            let reason = if change.deps().iter().any(|dep| refused.contains(dep)) {
                DEPENDS_ON_REFUSED.to_owned()
            } else {
                match self.try_apply(std::slice::from_ref(&change)) {
                    Attempt::Applied => {
                        taken.applied.push(change);
                        continue;
                    }
                    Attempt::Refused(reason) => reason,
                    Attempt::Broken { reason, restored } => {
                        rebuilt += 1;
                        taken.damaged |= !restored;
                        reason.to_owned()
                    }
                }
            };
            refused.insert(change.hash());
            taken.rejected.push((change.hash(), reason));
        }
    }

    fn try_apply(&mut self, changes: &[Change]) -> Attempt {
        let before = self.doc.get_heads();
        let doc = &mut *self.doc;
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            doc.apply_changes(changes.to_vec())?;
            Ok(are_intact(doc, changes, &before))
        }));
        match outcome {
            Ok(Ok(true)) => Attempt::Applied,
            Ok(Err(error)) => Attempt::Refused(AutomergeError::to_string(&error)),
            Ok(Ok(false)) => Attempt::broken(DAMAGES, self.restore(&before)),
            Err(_) => Attempt::broken(PANICKED, self.restore(&before)),
        }
    }

    /// Rebuilds the document from the changes that it held before a panic left it half changed.
    fn restore(&mut self, heads: &[ChangeHash]) -> bool {
        let (doc, log) = (&self.doc, &self.log);
        let rebuilt = catch_unwind(AssertUnwindSafe(|| {
            let held: BTreeSet<_> = log.iter().collect();
            let changes: Vec<_> =
                doc.get_changes(&[]).into_iter().filter(|change| held.contains(&change.hash())).collect();
            let mut rebuilt = empty();
            rebuilt.apply_changes(changes).map(|()| rebuilt)
        }));
        match rebuilt {
            Ok(Ok(mut rebuilt)) if rebuilt.get_heads() == heads => {
                rebuilt.set_actor(self.doc.get_actor().clone());
                self.doc = rebuilt.into();
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use automerge::transaction::{Transactable, Transaction};

    use super::*;
    use crate::canvas::root;
    use crate::canvas::schema::Maps;

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
