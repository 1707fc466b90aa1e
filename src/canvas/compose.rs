//! Own edits that leave before Automerge has made them.
//!
//! Of the time that a move takes from process to process an eighth went into Automerge's transaction, more the more often
//! the same key was written. For a few puts it is known beforehand which change that makes: each overwrites the operation
//! that alone stands at its key, and of keys that were written lately that is remembered.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;

use automerge::legacy::{Key, ObjectId, Op, OpId, OpType};
use automerge::{Change, ChangeHash, ExpandedChange, ObjId, ReadDoc, ScalarValue};

use crate::canvas::replica::Replica;
use crate::limits::{MAX_FORESEEN_OPERATIONS, MAX_KNOWN_WRITERS};

/// One thing to put: map, key and value.
pub(crate) type Put = (usize, String, ScalarValue);

/// The newest change, if all others lead to it, and which operation alone stands at a key.
#[derive(Debug, Default)]
pub(super) struct Tip {
    head: Option<ChangeHash>,
    last_operation: u64,
    /// The last change under our present actor, if it was made here.
    own: Option<Own>,
    /// Of keys written lately; at the bound all is forgotten.
    writers: BTreeMap<(usize, String), OpId>,
}

#[derive(Debug)]
struct Own {
    sequence: u64,
    hash: ChangeHash,
}

impl Replica {
    /// The document has taken in a change; `own` ones overwrite all that stood at their keys.
    pub(super) fn note_writers(&mut self, change: &Change, own: bool) {
        let follows = self.tip.head.is_some_and(|head| change.deps().contains(&head));
        let small = change.len() <= MAX_FORESEEN_OPERATIONS;
        if !follows || !small || self.tip.writers.len() >= MAX_KNOWN_WRITERS {
            self.tip.writers.clear();
        }
        self.note_head(change);
        let operations = if small { change.decode().operations } else { Vec::new() };
        for (counter, op) in (change.start_op().get()..).zip(operations) {
            let (ObjectId::Id(object), Key::Map(key)) = (op.obj, op.key) else { continue };
            let Some(map) = self.maps.index_of(&object) else { continue };
            let place = (map, key.to_string());
            let known = self.tip.writers.get(&place);
            let overwrites = own || known.is_some_and(|known| op.pred.len() == 1 && op.pred.get(0) == Some(known));
            if matches!(op.action, OpType::Put(_)) && (overwrites || self.stands_alone(&place, counter, change)) {
                self.tip.writers.insert(place, OpId::new(counter, change.actor_id()));
            } else {
                self.tip.writers.remove(&place);
            }
        }
    }

    /// The document has taken in changes, this one last; too many to look at each.
    pub(super) fn forget_writers(&mut self, last: &Change) {
        self.tip.writers.clear();
        self.note_head(last);
    }

    fn note_head(&mut self, change: &Change) {
        let alone = self.doc.get_heads() == [change.hash()];
        self.tip.head = alone.then(|| change.hash());
        self.tip.last_operation = change.max_op();
        if change.actor_id() == self.doc.get_actor() {
            self.tip.own = Some(Own { sequence: change.seq(), hash: change.hash() });
        }
    }

    /// Another actor is used from now on.
    pub(super) fn forget_own(&mut self) {
        self.tip.own = None;
    }

    fn stands_alone(&self, (map, key): &(usize, String), counter: u64, change: &Change) -> bool {
        let values = self.doc.get_all(self.maps.id(*map), key.as_str()).unwrap_or_default();
        let [(_, ObjId::Id(found, actor, _))] = values.as_slice() else { return false };
        *found == counter && actor == change.actor_id()
    }

    /// The change that puts these values at the present; the document does not have it yet. `None` if it is not known
    /// what it overwrites.
    pub(super) fn compose(&self, author: &str, puts: Vec<Put>) -> Option<Change> {
        let head = self.tip.head?;
        let actor = self.doc.get_actor();
        let sequence = self.last_sequence(actor) + 1;
        let mut deps = vec![head];
        if sequence > 1 {
            // As a transaction does: a change of ours also depends on our last.
            let own = self.tip.own.as_ref().filter(|own| own.sequence + 1 == sequence)?;
            deps.extend(Some(own.hash).filter(|hash| *hash != head));
        }
        let mut places = BTreeSet::new();
        let mut operations = Vec::with_capacity(puts.len());
        for (map, key, value) in puts {
            let place = (map, key);
            let overwritten = self.tip.writers.get(&place)?.clone();
            if !places.insert(place.clone()) {
                // The second would overwrite the first.
                return None;
            }
            operations.push(Op {
                action: OpType::Put(value),
                obj: self.maps.object(map)?,
                key: Key::Map(place.1.into()),
                pred: vec![overwritten].into(),
                insert: false,
            });
        }
        Some(Change::from(ExpandedChange {
            operations,
            actor_id: actor.clone(),
            hash: None,
            seq: sequence,
            start_op: NonZeroU64::new(self.tip.last_operation + 1)?,
            time: 0,
            message: Some(author.to_owned()),
            deps,
            extra_bytes: Vec::new(),
            author: None,
        }))
    }
}
