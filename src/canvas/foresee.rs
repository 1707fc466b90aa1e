//! What a change from elsewhere makes of a canvas, before Automerge has applied it.
//!
//! Applying one takes Automerge a fifth of a move's way from process to process, more the more often the same key was
//! written. Yet most changes depend on all that is here, so their operations are newer than every other: what they put is
//! what stands. Such a change is told first. [`CanvasDocument::apply`] must follow before anything else is done with the
//! document: it reads again what was told, so should Automerge see it differently, that is one more difference to tell.

use std::borrow::Cow;
use std::collections::BTreeMap;

use automerge::legacy::{Key, ObjectId, OpType};
use automerge::{Change, ChangeHash, ObjId, ScalarValue, Value as Stored};

use crate::canvas::changes::CanvasChanges;
use crate::canvas::document::{CanvasDocument, reader};
use crate::canvas::intake::Batch;
use crate::canvas::reader::Source;
use crate::canvas::replica::Replica;
use crate::canvas::root::CanvasMap;
use crate::canvas::schema::{TextId, Touched};
use crate::canvas::view::View;
use crate::limits::MAX_FORESEEN_OPERATIONS;

/// What the application was told, and the document does not say yet.
#[derive(Debug)]
pub(super) struct Foretold {
    pub(super) change: ChangeHash,
    pub(super) touched: Touched,
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

/// What will stand at the keys that a change writes.
struct Foreseen(BTreeMap<(usize, String), ScalarValue>);

impl Source for &Foreseen {
    fn get(&self, map: CanvasMap, key: &str) -> Option<(Stored<'_>, ObjId)> {
        let value = self.0.get(&(map.number(key), key.to_owned()))?;
        Some((Stored::Scalar(Cow::Borrowed(value)), ObjId::Root))
    }

    fn text(&self, _: &TextId) -> Option<String> {
        None
    }
}

impl CanvasDocument {
    /// How the visible canvas will have changed when [`apply`](Self::apply) has taken in this change; the canvas and its
    /// version are from now on as if it had. `None`, and nothing changes, if that cannot be known or might be refused.
    pub fn foresee(&mut self, change: &Change) -> Option<CanvasChanges> {
        let (foreseen, touched) = self.is_settled().then(|| self.replica.foresee(change))??;
        let diff = self.view.refresh(&foreseen, &touched);
        self.foretold = Some(Foretold { change: change.hash(), touched });
        Some(diff)
    }

    /// Whether [`apply`](Self::apply) is due.
    #[must_use]
    pub fn has_foretold(&self) -> bool {
        self.foretold.is_some()
    }

    /// What was told ahead of the document, which is about to be thrown away.
    pub fn take_told(&mut self) -> Option<Told> {
        let touched = self.foretold.take()?.touched;
        Some(Told { view: std::mem::take(&mut self.view), touched })
    }
}

impl Replica {
    /// What a change puts, if it does nothing else and is newer than everything here.
    fn foresee(&self, change: &Change) -> Option<(Foreseen, Touched)> {
        // It may name more: Automerge has everybody's changes depend on their own last.
        let newest = self.doc.get_heads().iter().all(|head| change.deps().contains(head));
        if change.len() > MAX_FORESEEN_OPERATIONS || !newest || self.missing_dependencies(change).next().is_some() {
            return None;
        }
        let (touched, operations) = self.check(change, &mut Batch::default()).ok()?;
        if !touched.texts.is_empty() {
            return None;
        }
        let mut values = BTreeMap::new();
        for op in operations {
            let (ObjectId::Id(object), Key::Map(key), OpType::Put(value)) = (op.obj, op.key, op.action) else {
                return None;
            };
            values.insert((self.maps.index_of(&object)?, key.to_string()), value);
        }
        Some((Foreseen(values), touched))
    }
}
