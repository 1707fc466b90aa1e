//! The first import of a canvas into a document that holds nothing: a change that every peer makes alike.
//!
//! A transaction looks up each key before it writes, and a change made by one is encoded a second time to derive its actor.
//! Here nothing can stand anywhere, so the operations are known at once.

use std::num::NonZeroU64;

use automerge::legacy::{ElementId, Key, ObjectId, Op, OpId, OpType};
use automerge::{ActorId, Change, ExpandedChange, ObjType, ScalarValue};

use crate::canvas::create;
use crate::canvas::derived;
use crate::canvas::document::{CanvasDocument, LocalEdit};
use crate::canvas::error::CanvasError;
use crate::canvas::model::Canvas;
use crate::canvas::plan::{Batch, First};
use crate::canvas::replica::{Replica, check_size};
use crate::canvas::schema::{Maps, Touched};
use crate::canvas::version::Version;

impl CanvasDocument {
    /// The first import into a pristine document.
    pub(super) fn import(&mut self, canvas: &Canvas) -> Result<LocalEdit, CanvasError> {
        let Some(change) = self.replica.first_change(&create::import(canvas))? else { return Ok(LocalEdit::default()) };
        self.replica.take_made(&change)?;
        let diff = self.refresh(&Touched::default(), true);
        let version = Version(self.replica.heads());
        Ok(LocalEdit { content: true, changes: vec![change], version, diff, ..LocalEdit::default() })
    }
}

impl Replica {
    /// The content-derived change that carries a batch out in a document which holds nothing but the root, and in which the
    /// batch writes no key twice; `None` if that is empty.
    fn first_change(&self, batch: &Batch) -> Result<Option<Change>, CanvasError> {
        check_size(batch.operations())?;
        let actor = derived::zero_actor();
        let internal = |what: &str| CanvasError::Internal(what.to_owned());
        let root = self.change(&self.root_hash).ok_or_else(|| internal("the document has no root"))?;
        let mut made = Made { maps: &self.maps, actor: &actor, next: root.max_op() + 1, operations: Vec::new() };
        let start_op = NonZeroU64::new(made.next).ok_or_else(|| internal("the root has no operations"))?;
        for first in batch.firsts() {
            made.add(first).ok_or_else(|| internal("not a first import"))?;
        }
        if made.operations.is_empty() {
            return Ok(None);
        }
        let change = Change::from(ExpandedChange {
            operations: made.operations,
            actor_id: actor.clone(),
            hash: None,
            seq: 1,
            start_op,
            time: 0,
            message: None,
            deps: vec![self.root_hash],
            extra_bytes: Vec::new(),
            author: None,
        });
        derived::derive(&change).map(Some).map_err(|error| CanvasError::Internal(error.to_string()))
    }
}

/// Operations as far as they are made.
struct Made<'a> {
    maps: &'a Maps,
    actor: &'a ActorId,
    /// The counter of the next operation.
    next: u64,
    operations: Vec<Op>,
}

impl Made<'_> {
    /// `None` if it is nothing that can come first.
    fn add(&mut self, first: First<'_>) -> Option<()> {
        match first {
            First::Put((map, key, value)) => {
                let object = self.maps.object(map)?;
                self.push(object, Key::Map(key.as_str().into()), OpType::Put(value), false);
            }
            First::Text(map, key, text) => {
                let object = self.maps.object(map)?;
                let made = self.push(object, Key::Map(key.into()), OpType::Make(ObjType::Text), false);
                let mut behind = ElementId::Head;
                for character in text.chars() {
                    let value = OpType::Put(ScalarValue::Str(character.to_string().into()));
                    behind = ElementId::Id(self.push(ObjectId::Id(made.clone()), Key::Seq(behind), value, true));
                }
            }
            First::Other => return None,
        }
        Some(())
    }

    fn push(&mut self, obj: ObjectId, key: Key, action: OpType, insert: bool) -> OpId {
        let id = OpId::new(self.next, self.actor);
        self.next += 1;
        self.operations.push(Op { action, obj, key, pred: Vec::new().into(), insert });
        id
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::canvas::root;
    use crate::canvas::{Element, Value};

    fn properties() -> impl Strategy<Value = BTreeMap<String, Value>> {
        let value = prop_oneof![
            any::<i64>().prop_map(Value::Int),
            any::<bool>().prop_map(Value::Bool),
            "\\PC{0,6}".prop_map(Value::String),
            Just(Value::Null),
        ];
        prop::collection::btree_map("text|color|\\PC{1,3}", value, 0..5)
    }

    fn elements() -> impl Strategy<Value = Vec<Element>> {
        let elements = prop::collection::btree_map("\\PC{0,4}", properties(), 0..6);
        elements.prop_map(|found| found.into_iter().map(|(id, properties)| Element { id, properties }).collect())
    }

    fn canvas() -> impl Strategy<Value = Canvas> {
        (elements(), elements(), properties()).prop_map(|(nodes, edges, properties)| Canvas {
            nodes,
            edges,
            properties,
        })
    }

    proptest! {
        #[test]
        fn the_change_is_that_of_a_transaction(canvas in canvas()) {
            let replica = Replica::new(&root::CANVAS);
            let batch = create::import(&canvas);
            let written = replica.derive(&replica.heads(), |tx, maps| batch.write(tx, maps)).unwrap();
            let made = replica.first_change(&batch).unwrap();
            prop_assert_eq!(made.map(|change| change.hash()), written.map(|change| change.hash()));
        }

        #[test]
        fn what_was_imported_is_there(canvas in canvas()) {
            let mut document = CanvasDocument::new();
            let edit = document.import(&canvas).unwrap();
            let mut other = CanvasDocument::new();
            let applied = other.apply(edit.changes);
            prop_assert!(applied.rejected.is_empty());
            prop_assert_eq!(&applied.diff, &edit.diff);
            prop_assert_eq!(other.replica().save(), document.replica().save());
            prop_assert_eq!(other.canvas(), document.canvas());
        }
    }
}
