//! Changes of which it is known what they make, without asking Automerge.
//!
//! A plain change only puts values, each in the place of the one operation that stands at its key, or where nothing stands.
//! Whatever else was done meanwhile, by whomever, its values are then what stands there. Moves are plain, and most other
//! edits of properties; texts are not, nor what is concurrent at the same key.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;

use automerge::legacy::{Key, ObjectId, Op, OpId, OpType};
use automerge::{Change, ChangeHash, ExpandedChange, ObjId, ReadDoc, ScalarValue, Value as Stored};

use crate::canvas::intake::Batch;
use crate::canvas::reader::Source;
use crate::canvas::replica::Replica;
use crate::canvas::root::CanvasMap;
use crate::canvas::schema::{TextId, Touched, text_id};
use crate::limits::{MAX_KNOWN_WRITERS, MAX_PLAIN_BATCH_OPERATIONS, MAX_PLAIN_OPERATIONS};

/// One thing to put: map, key and value.
pub(crate) type Put = (usize, String, ScalarValue);

/// Which operation alone stands at a key that was written lately. At the bound all is forgotten, and asked again.
#[derive(Debug, Default)]
pub(super) struct Writers(BTreeMap<(usize, String), OpId>);

impl Writers {
    pub(super) fn extend(&mut self, newer: Self) {
        self.0.extend(newer.0);
    }

    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= MAX_KNOWN_WRITERS
    }

    /// Something was done that may have changed any of them.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// Plain changes, found to be so, and what is known of the replica with them.
#[derive(Debug)]
pub(super) struct Plain {
    /// In causal order.
    pub(super) changes: Vec<Change>,
    pub(super) touched: Touched,
    pub(super) values: Values,
    pub(super) heads: Vec<ChangeHash>,
    pub(super) writers: Writers,
}

/// What stands at the keys that plain changes write.
#[derive(Debug, Default)]
pub(super) struct Values(BTreeMap<(usize, String), ScalarValue>);

impl Source for &Values {
    fn get(&self, map: CanvasMap, key: &str) -> Option<(Stored<'_>, ObjId)> {
        let value = self.0.get(&(map.number(key), key.to_owned()))?;
        Some((Stored::Scalar(Cow::Borrowed(value)), ObjId::Root))
    }

    fn text(&self, _: &TextId) -> Option<String> {
        None
    }
}

impl Plain {
    fn on(replica: &Replica) -> Self {
        Self {
            changes: Vec::new(),
            touched: Touched::default(),
            values: Values::default(),
            heads: replica.newest_hashes(),
            writers: Writers::default(),
        }
    }

    /// What stands at a key after these changes: one operation or none; `None` if more do, or a text.
    fn standing(&self, replica: &Replica, place: &(usize, String)) -> Option<Vec<OpId>> {
        let known = self.writers.0.get(place).or_else(|| replica.tail.writers.0.get(place));
        if let Some(writer) = known {
            return Some(vec![writer.clone()]);
        }
        // Automerge has not taken in the tail, but what that wrote is known.
        let (map, key) = place;
        match replica.doc.get_all(replica.maps.id(*map), key.as_str()).ok()?.as_slice() {
            [] => Some(Vec::new()),
            [(Stored::Scalar(_), id)] => text_id(id).map(|(counter, actor)| vec![OpId::new(counter, &actor)]),
            _ => None,
        }
    }

    /// Adds a change after the others.
    fn add(&mut self, change: Change, first: u64, puts: impl IntoIterator<Item = Put>) {
        let hash = change.hash();
        for (counter, (map, key, value)) in (first..).zip(puts) {
            let writer = OpId::new(counter, change.actor_id());
            self.writers.0.insert((map, key.clone()), writer);
            self.touched.keys.insert((map, key.clone()));
            self.values.0.insert((map, key), value);
        }
        self.heads.retain(|head| !change.deps().contains(head));
        let place = self.heads.partition_point(|head| *head < hash);
        self.heads.insert(place, hash);
        self.changes.push(change);
    }

    /// What a checked change puts, if it is plain.
    fn puts_of(&self, replica: &Replica, operations: &[Op]) -> Option<Vec<Put>> {
        let mut places = BTreeSet::new();
        let mut puts = Vec::with_capacity(operations.len());
        for op in operations {
            let (ObjectId::Id(object), Key::Map(key), OpType::Put(value)) = (&op.obj, &op.key, &op.action) else {
                return None;
            };
            let place = (replica.maps.index_of(object)?, key.to_string());
            let overwrites_it = op.pred.iter().eq(&self.standing(replica, &place)?);
            // Of two puts at one key the second would overwrite the first.
            if !overwrites_it || !places.insert(place.clone()) {
                return None;
            }
            puts.push((place.0, place.1, value.clone()));
        }
        Some(puts)
    }
}

impl Replica {
    /// Changes from elsewhere, if all of them are plain, new, sound and in causal order.
    pub(super) fn as_plain(&self, changes: &[Change]) -> Option<Plain> {
        let operations: usize = changes.iter().map(Change::len).sum();
        if changes.is_empty() || operations > MAX_PLAIN_BATCH_OPERATIONS || self.is_pristine() {
            return None;
        }
        let (mut plain, mut batch) = (Plain::on(self), Batch::default());
        for change in changes {
            let held = |hash: &ChangeHash| batch.has(hash) || self.contains(hash);
            if change.len() > MAX_PLAIN_OPERATIONS || change.is_empty() || held(&change.hash()) {
                return None;
            }
            // What follows the operations may mean something to Automerge that nobody here looks at.
            if !change.deps().iter().all(held) || !change.extra_bytes().is_empty() {
                return None;
            }
            // Checked first: the decoder panics on some inputs.
            let (_, expanded) = self.check(change, &mut batch).ok()?;
            let puts = plain.puts_of(self, &expanded.operations)?;
            if !is_canonical(change, expanded) {
                return None;
            }
            plain.add(change.clone(), change.start_op().get(), puts);
        }
        Some(plain)
    }

    /// The change that puts these values at the present, if it is plain.
    pub(super) fn compose(&self, author: &str, puts: Vec<Put>) -> Option<Plain> {
        if puts.is_empty() || puts.len() > MAX_PLAIN_OPERATIONS {
            return None;
        }
        let mut plain = Plain::on(self);
        let actor = self.doc.get_actor();
        let own = self.newest.get(actor);
        let mut deps = plain.heads.clone();
        // As a transaction does: a change of ours also depends on our last.
        deps.extend(own.map(|own| own.hash).filter(|hash| !plain.heads.contains(hash)));
        let last = deps.iter().map(|head| self.last_operation(head, &Batch::default())).max()?;
        let mut operations = Vec::with_capacity(puts.len());
        let mut places = BTreeSet::new();
        for (map, key, value) in &puts {
            let place = (*map, key.clone());
            let overwritten = plain.standing(self, &place)?;
            if !places.insert(place) {
                return None;
            }
            operations.push(Op {
                action: OpType::Put(value.clone()),
                obj: self.maps.object(*map)?,
                key: Key::Map(key.as_str().into()),
                pred: overwritten.into(),
                insert: false,
            });
        }
        let first = NonZeroU64::new(last + 1)?;
        let change = Change::from(ExpandedChange {
            operations,
            actor_id: actor.clone(),
            hash: None,
            seq: own.map_or(0, |own| own.sequence) + 1,
            start_op: first,
            time: 0,
            message: Some(author.to_owned()),
            deps,
            extra_bytes: Vec::new(),
            author: None,
        });
        plain.add(change, first.get(), puts);
        Some(plain)
    }
}

/// Whether a change is encoded as Automerge encodes what is in it. What is not reads back as another one.
fn is_canonical(change: &Change, expanded: ExpandedChange) -> bool {
    Change::from(ExpandedChange { hash: None, ..expanded }).raw_bytes() == change.raw_bytes()
}
